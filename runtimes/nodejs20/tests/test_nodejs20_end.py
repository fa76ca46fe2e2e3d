"""How a Node.js bot ends: exit codes, errors, signals."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from botdock_runtime_nodejs20.runtime import NODEJS20
from botdock_testing.runtime import Ended, bot


def run(source: str, **more: Any) -> Ended:
    with bot(NODEJS20, source, **more) as made:
        return made.run()


def stop(source: str, *, times: int = 1, signum: signal.Signals = signal.SIGTERM, **more: Any) -> Ended:
    """Run a bot, and signal it after each of the first lines that it prints."""
    with bot(NODEJS20, source, **more) as made:
        made.prepare()
        with made.start() as process:
            assert process.stdout is not None
            for _ in range(times):
                assert process.stdout.readline()
                process.send_signal(signum)
            return made.finish(process)


@pytest.mark.parametrize(
    ("body", "exit_code"),
    [
        ("process.exit(7)", 7),
        ("process.exit(0)", 0),
        ("process.exit()", 0),
        ("process.exit(-1)", 255),
        ("process.exit(256 + 7)", 7),
        ("process.exitCode = 5", 5),
        ("process.exitCode = '6'", 6),
        ("process.exitCode = 0", 0),
        ("setTimeout(() => process.exit(8), 5); await new Promise(() => setInterval(() => {}, 1000))", 8),
    ],
)
def test_what_it_exits_with_is_its_own(body: str, exit_code: int) -> None:
    ended = run(f"exports.main = async () => {{ {body}; }};")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (exit_code, b"", b"")
    assert ended.reading.exit_code == exit_code


@pytest.mark.parametrize("how", ["async () => fail()", "() => fail()", "() => Promise.resolve().then(fail)"])
def test_an_error_is_shown_by_node_without_our_frames(how: str) -> None:
    ended = run(
        f'const fail = () => {{ throw new RangeError("no market", {{cause: Error("x")}}); }};\nexports.main = {how};'
    )
    said = ended.stderr.decode()
    assert ended.exit_code == 1
    assert "RangeError: no market\n    at fail (" in said
    assert "main.js:1:" in said
    assert "wrapper.cjs" not in said
    assert (ended.reading.exit_code, ended.reading.error) == (1, "RangeError: no market")


@pytest.mark.parametrize(
    ("script", "source", "said"),
    [
        ("main.js", "let a = 1;\nlet b = ;", "main.js:2\nlet b = ;"),
        ("main.mjs", "let a = 1;\nlet b = ;", "main.mjs:2\nlet b = ;"),
        ("main.js", "require('nowhere');", "Cannot find module 'nowhere'"),
        ("main.mjs", "import 'nowhere';", "Cannot find package 'nowhere'"),
        (
            "main.js",
            "exports.run = () => 1;",
            "main.js exports no function: neither main, nor default, nor the module itself",
        ),
    ],
)
def test_a_script_that_does_not_load_fails_with_nodes_words(script: str, source: str, said: str) -> None:
    ended = run(source, script=script)
    assert ended.exit_code == 1
    assert said in ended.stderr.decode()
    assert b"wrapper.cjs" not in ended.stderr
    assert ended.reading.error


LISTING = {"package.json": '{"dependencies": {"sums": "1"}}'}
BROUGHT = {"node_modules/sums/package.json": '{"main": "gone.js"}'}


@pytest.mark.parametrize(
    ("source", "tree", "hinted"),
    [
        ("require('sums/add');", LISTING, "'sums'; where it is listed in"),
        ("exports.main = () => require('@a/b/c');", LISTING, "'@a/b'; where it is to be listed in"),
        ("exports.main = () => import('sums');", LISTING, "'sums'; where it is listed in"),
        ("require('sums');", LISTING | BROUGHT, ""),
        ("require('./sums');", LISTING, ""),
        ("require('sums');", {"package.json": '{"dependencies": {}}'}, ""),
        ("require('sums');", {"package.json": '{"dependencies": null}'}, ""),
        ("require('sums');", {}, ""),
        ("throw Object.assign(new Error('Cannot find module'), {code: 'MODULE_NOT_FOUND'});", LISTING, ""),
        ("throw null;", LISTING, ""),
    ],
)
def test_a_package_that_was_not_brought_of_a_bot_that_lists_some_is_hinted_at(
    source: str, tree: dict[str, str], hinted: str
) -> None:
    ended = run(source, tree=tree)
    assert ended.exit_code == 1
    brings = "package.json, `botdock pack --vendor` brings it into the archive"
    assert ended.reading.hint == (f"there is no package {hinted} {brings}" if hinted else "")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("throw Object.assign(new Error(), {code: 'EROFS'});", "only $TMPDIR and $HOME can be written to"),
        ("throw new Error('', {cause: new Error('', {cause: {code: 'ENOTFOUND'}})});", "{network}"),
        ("throw Object.assign(new Error(), {code: 'EACCES'});", ""),
    ],
)
def test_what_isolation_denies_is_hinted_at(source: str, hint: str) -> None:
    alone = len(Path("/proc/net/route").read_text(encoding="ascii").splitlines()) <= 1
    network = "this run has no network; --network names one" if alone else ""
    hinted = run(source).reading.hint
    assert hinted.startswith(expected := hint.format(network=network))
    assert bool(hinted) == bool(expected)


@pytest.mark.parametrize(("thrown", "error"), [("'text'", "string: text"), ("undefined", "undefined: undefined")])
def test_whatever_is_thrown_is_a_failure(thrown: str, error: str) -> None:
    ended = run(f"exports.main = async () => {{ throw {thrown}; }};")
    assert (ended.exit_code, ended.reading.error) == (1, error)
    assert ended.stderr


@pytest.mark.parametrize("what", ["Object.freeze(new Error('frozen'))", "Object.create(null)", "null"])
def test_odd_errors_do_not_hide_the_failure(what: str) -> None:
    ended = run(f"exports.main = async () => {{ throw {what}; }};")
    assert ended.exit_code == 1
    assert ended.reading.exit_code == 1


@pytest.mark.parametrize(
    "elsewhere", ["setImmediate(() => { throw new Error('late'); })", "Promise.reject(new Error('late'))"]
)
def test_an_error_that_nobody_catches_elsewhere_is_a_failure(elsewhere: str) -> None:
    ended = run(f"exports.main = () => {{ {elsewhere}; return new Promise(() => setInterval(() => {{}}, 1000)); }};")
    assert ended.exit_code == 1
    assert b"Error: late" in ended.stderr
    assert (ended.reading.exit_code, ended.reading.error) == (1, "Error: late")


def test_an_error_that_the_bot_survives_is_no_failure() -> None:
    ended = run("""
        process.on("uncaughtException", () => {});
        exports.main = () => {
          setImmediate(() => { throw new Error("late"); });
          return new Promise((resolve) => setTimeout(resolve, 20, "alive"));
        };
    """)
    assert (ended.exit_code, ended.reading.value, ended.reading.error) == (0, "alive", "")


def test_the_bots_life_is_mains_promise() -> None:
    ended = run("exports.main = async () => { setInterval(() => console.log('tick'), 1000); return 'over'; };")
    assert (ended.exit_code, ended.reading.value) == (0, "over")


def test_a_promise_that_can_never_settle_is_a_failure() -> None:
    ended = run("exports.main = () => new Promise(() => {});")
    assert (ended.exit_code, ended.stderr, ended.reading.exit_code) == (13, b"", 13)


def test_everything_that_was_printed_comes_out() -> None:
    ended = run("exports.main = async () => { process.stdout.write('x'.repeat(3_000_000)); console.error('end'); };")
    assert (len(ended.stdout), ended.stderr, ended.exit_code) == (3_000_000, b"end\n", 0)


FOREVER = "new Promise(() => setInterval(() => {}, 1000))"


def test_sigterm_ends_a_bot_that_takes_no_notice_and_its_exit_handlers_run() -> None:
    ended = stop(f"""
        process.on("exit", (code) => console.log("exit", code));
        exports.main = () => {{ console.log("up"); return {FOREVER}; }};
    """)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (143, b"exit 143\n", b"")
    assert (ended.reading.exit_code, ended.reading.signal) == (143, signal.SIGTERM)


def test_sigint_ends_it_too() -> None:
    ended = stop(f"exports.main = () => {{ console.log('up'); return {FOREVER}; }};", signum=signal.SIGINT)
    assert (ended.exit_code, ended.stderr, ended.reading.signal) == (130, b"", signal.SIGINT)


def test_sigterm_aborts_the_signal_and_main_may_finish() -> None:
    ended = stop("""
        exports.main = (id, config, { signal }) => new Promise((resolve) => {
          const timer = setInterval(() => {}, 1000);
          signal.addEventListener("abort", () => { clearInterval(timer); setTimeout(resolve, 20, "closed"); });
          console.log("up");
        });
    """)
    assert (ended.exit_code, ended.reading.value, ended.stderr) == (0, "closed", b"")


def test_a_bot_may_wait_for_nothing_but_its_signal() -> None:
    ended = stop("""
        exports.main = async (id, config, { signal }) => {
          console.log("up");
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
          return "closed";
        };
    """)
    assert (ended.exit_code, ended.reading.value) == (0, "closed")


@pytest.mark.parametrize("reason", ["signal.reason", "Object.assign(new Error('x'), { name: 'AbortError' })"])
def test_rejecting_with_the_abort_is_the_end_that_was_asked_for(reason: str) -> None:
    ended = stop(f"""
        exports.main = (id, config, {{ signal }}) => new Promise((resolve, reject) => {{
          setInterval(() => {{}}, 1000);
          signal.addEventListener("abort", () => reject({reason}));
          console.log("up");
        }});
    """)
    assert (ended.exit_code, ended.stderr, ended.reading.error, ended.reading.signal) == (143, b"", "", 15)


def test_another_error_after_the_abort_is_shown() -> None:
    ended = stop("""
        exports.main = (id, config, { signal }) => new Promise((resolve, reject) => {
          setInterval(() => {}, 1000);
          signal.addEventListener("abort", () => reject(new Error("cannot close")));
          console.log("up");
        });
    """)
    assert (ended.exit_code, ended.reading.exit_code, ended.reading.signal) == (143, 143, 0)
    assert b"Error: cannot close" in ended.stderr


def test_its_own_handler_decides() -> None:
    ended = stop(f"""
        process.once("SIGTERM", () => setTimeout(() => {{ console.log("down"); process.exit(143); }}, 20));
        exports.main = () => {{ console.log("up"); return {FOREVER}; }};
    """)
    assert (ended.exit_code, ended.stdout, ended.reading.signal) == (143, b"down\n", 0)


def test_a_second_sigterm_does_not_disturb_the_end() -> None:
    ended = stop(
        """
        exports.main = (id, config, { signal }) => new Promise((resolve) => {
          const timer = setInterval(() => {}, 1000);
          signal.addEventListener("abort", () => {
            console.log("closing");
            setTimeout(() => { console.log("closed"); resolve(); clearInterval(timer); }, 100);
          });
          console.log("up");
        });
        """,
        times=2,
    )
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"closed\n", b"")


def test_sigterm_during_the_load_ends_it() -> None:
    ended = stop(f"console.log('loading'); await {FOREVER}; export const main = 1;", script="main.mjs")
    assert (ended.exit_code, ended.stderr) == (143, b"")


def test_an_end_that_node_does_not_see_leaves_no_result() -> None:
    ended = run("exports.main = () => process.kill(process.pid, 'SIGKILL') && new Promise(() => {});")
    assert (ended.exit_code, ended.reading.exit_code) == (-signal.SIGKILL, None)
