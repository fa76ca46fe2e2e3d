"""What a Node.js bot resolves to, and what it finds around itself."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock_runtime_nodejs20 import check, plugin
from botdock_runtime_nodejs20.runtime import NODEJS20
from botdock_testing.runtime import Bot, Ended, bot, need_interpreter


def run(source: str, **more: Any) -> Ended:
    with bot(NODEJS20, source, **more) as made:
        return made.run()


def returning(expression: str, **more: Any) -> Ended:
    return run(f"exports.main = async () => ({expression});", **more)


@pytest.mark.parametrize(
    ("expression", "value", "nonfinite"),
    [
        ("NaN", None, 1),
        (
            "{a: [1.5, Infinity, [-Infinity, 2]], b: NaN, c: null}",
            {"a": [1.5, None, [None, 2]], "b": None, "c": None},
            3,
        ),
        ("null", None, 0),
        ("new Date(0)", "1970-01-01T00:00:00.000Z", 0),
        ("{toJSON: () => 'own'}", "own", 0),
        ("{gone: undefined, f() {}, kept: 1}", {"kept": 1}, 0),
        (
            "new Map([[1, new Set(['a', NaN])], [new Date(0), {}]])",
            {"1": ["a", None], "1970-01-01T00:00:00.000Z": {}},
            1,
        ),
        (
            "[12345678901234567890n, new Float64Array([1.5, 2]), new Number(3)]",
            ["12345678901234567890", [1.5, 2], 3],
            0,
        ),
        (
            "{first: {}, none: null, failure: new TypeError('no data')}",
            {"first": {}, "none": None, "failure": {"name": "TypeError", "message": "no data"}},
            0,
        ),
        ("((shared) => [shared, shared])({a: null})", [{"a": None}, {"a": None}], 0),
        ("'\\ud800'", "\ud800", 0),
    ],
)
def test_nan_and_infinities_become_null_and_are_counted(expression: str, value: object, nonfinite: int) -> None:
    reading = returning(expression).reading
    assert (reading.present, reading.value, reading.nonfinite) == (True, value, nonfinite)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("() => 1", "not JSON: $ is of type function"),
        ("Symbol()", "not JSON: $ is of type symbol"),
        ("/a/", "not JSON: $ is of type RegExp"),
        ("{toJSON() { throw 'never'; }}", "not JSON: never"),
    ],
)
def test_what_is_not_json_is_named(expression: str, problem: str) -> None:
    ended = returning(expression)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b""), "a bot's value is a courtesy"
    assert not ended.reading.present
    assert ended.reading.problem.startswith(problem)
    failed = returning(expression, entrypoint="backtest")
    assert (failed.exit_code, failed.reading.exit_code, failed.stderr) == (1, 1, b"")


@pytest.mark.parametrize(
    ("expression", "rest", "problem"),
    [
        (
            "{a: [1, {b: Promise.resolve()}]}",
            {"a": [1, {"b": None}]},
            "not JSON: $.a[1].b is of type Promise: await it",
        ),
        (
            "{m: new Map([[{}, 1], ['a', 2]])}",
            {"m": {"[object Object]": 1, "a": 2}},
            "not JSON: $.m has a key of type Object",
        ),
        ("new Map([[Symbol('s'), 1]])", {"Symbol(s)": 1}, "not JSON: $ has a key of type symbol"),
        ("((o) => (o.self = o))({n: 1})", {"n": 1, "self": None}, "not JSON: $.self holds itself"),
    ],
)
def test_the_parts_of_a_value_that_have_a_form_are_kept(expression: str, rest: object, problem: str) -> None:
    reading = returning(expression).reading
    assert (reading.value, reading.problem) == (rest, problem)


@pytest.mark.parametrize("star", ["function*", "async function*"])
def test_a_main_that_is_a_generator_does_not_count_as_run(star: str) -> None:
    with bot(NODEJS20, f"exports.main = {star} () {{ yield 1; }};") as made:
        ended = made.run()
    assert (ended.exit_code, ended.reading.error_type) == (1, "TypeError")
    assert "generator" in ended.reading.error


def test_undefined_is_no_value() -> None:
    ended = returning("undefined", entrypoint="backtest")
    assert (ended.exit_code, ended.reading.present, ended.reading.problem) == (0, False, "")


def test_an_object_whose_status_is_error_is_a_failure() -> None:
    ended = returning("{status: 'error', message: 'no data'}")
    assert (ended.exit_code, ended.reading.declared_error, ended.reading.error) == (1, True, "no data")


def test_a_value_that_is_too_long_is_told_by_its_limit() -> None:
    ended = returning("'é'.repeat(900)", result_limit=1000)
    assert (ended.exit_code, ended.reading.exit_code, ended.reading.present) == (0, 0, False)
    assert ended.reading.problem == "longer than the 1000 bytes that a result may have"
    assert returning("'é'.repeat(4)", result_limit=10).reading.value == "é" * 4


def limited(made: Bot, bytes_: int) -> Ended:
    """Run a bot that can write no file of more than so many bytes."""
    made.prepare()
    with made.start() as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (bytes_, bytes_))
        return made.finish(process)


def test_a_file_past_its_limit_is_an_error_and_not_the_end() -> None:
    source = """
        exports.main = () => {
          try { require("fs").writeFileSync("grown", "x".repeat(10_000)); } catch (error) { console.log(error.code); }
          return "x".repeat(10_000);
        };
    """
    with bot(NODEJS20, source) as made:
        ended = limited(made, 4096)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"EFBIG\n", b"")
    assert ended.reading.lost == "what main returned could not be written: EFBIG: file too large, write"
    with bot(NODEJS20, "exports.main = () => 1;") as made:
        assert limited(made, 50).reading.lost.endswith("cut off, or damaged")


@pytest.mark.parametrize("spoil", ["fs.unlinkSync(result)", "while (true) fs.openSync('/')"])
def test_a_bot_whose_result_cannot_be_written_at_all_does_not_end_well(spoil: str) -> None:
    source = f"""
        const fs = require("fs"), result = process.env.BOTDOCK_RESULT_FILE;
        exports.main = () => {{ try {{ {spoil}; }} catch {{}} return 1; }};
    """
    with bot(NODEJS20, source) as made:
        made.prepare()
        with made.start() as process:
            stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (74, b"", b"")


def test_an_end_past_the_wrapper_is_told_from_a_lost_result() -> None:
    ended = run("exports.main = () => process.reallyExit(0);")
    assert (ended.exit_code, ended.reading.unwritten, ended.reading.lost) == (0, True, "")


def test_a_bot_that_removes_all_handlers_has_its_result_all_the_same() -> None:
    assert run("exports.main = () => { process.removeAllListeners(); return 1; };").reading.value == 1


COMMONJS = [
    "exports.main = () => 'called';",
    "exports.default = () => 'called';",
    "module.exports = () => 'called';",
    "module.exports = { default: { main: async () => 'called' } };",
    "this.main = () => 'called';",
]
MODULES = [
    "export const main = () => 'called';",
    "export default () => 'called';",
    "export default { main: async () => 'called' };",
    "await null; export async function main() { return 'called'; }",
]
AS_MODULES = {"package.json": '{"type": "module"}'}


@pytest.mark.parametrize(
    ("source", "script", "tree"),
    [
        *[(source, script, {}) for source in COMMONJS for script in ("main.js", "main.cjs", "deep/main.js")],
        *[(source, "main.mjs", {}) for source in MODULES],
        *[(source, "main.js", AS_MODULES) for source in MODULES],
        *[(source, "deep/main.js", AS_MODULES) for source in MODULES],
        (COMMONJS[0], "main.cjs", AS_MODULES),
        (COMMONJS[0], "deep/main.js", {**AS_MODULES, "deep/package.json": "{}"}),
    ],
)
def test_each_way_to_export_a_main_is_found(source: str, script: str, tree: dict[str, str]) -> None:
    ended = run(source, script=script, tree=tree)
    assert (ended.reading.value, ended.stdout, ended.stderr, ended.exit_code) == ("called", b"", b"", 0)


def test_a_name_without_an_ending_is_resolved_as_require_does() -> None:
    source = "module.exports = () => 'called';"
    with bot(NODEJS20, source, script="strategy.js") as made:
        named = attrs.evolve(made, context=attrs.evolve(made.context, script="strategy"))
        assert named.run().reading.value == "called"


def test_packages_of_the_tree_are_found() -> None:
    tree = {
        "node_modules/dep/package.json": '{"main": "lib.js"}',
        "node_modules/dep/lib.js": "exports.answer = 42;",
        "helper.js": "exports.half = (n) => n / 2;",
    }
    ended = run("const { half } = require('./helper');\nexports.main = () => half(require('dep').answer);", tree=tree)
    assert ended.reading.value == 21


def test_working_folder_and_arguments_are_the_bots() -> None:
    source = """
        const { dirname } = require('path');
        exports.main = (...given) => [
          process.cwd() === process.env.CODE_MOUNT_DIR, dirname(process.argv[1]) === __dirname, process.argv.length,
          [require.main === module, process.argv[1] === __filename], given.length, typeof given[2],
        ];
    """
    assert run(source).reading.value == [True, True, 2, [False, False], 3, "object"]


def test_the_time_zone_is_the_one_it_was_given() -> None:
    source = "exports.main = () => new Date(0).getHours();"
    assert run(source, variables={"TZ": "Asia/Kolkata"}).reading.value == 5


@pytest.mark.parametrize(
    ("source", "package", "problem"),
    [
        ("module.exports = 1", None, None),
        ("export default 1", '{"type": "module"}', None),
        ("this.main = 1", "{}", None),
        ("console.log('hello')", None, None),
        ("function main() {}\nmain();", None, None),
        ("function main() {}", None, "main.js defines a main, which it neither exports nor calls"),
        ("const main = async (id) => id;", None, "main.js defines a main, which it neither exports nor calls"),
        ("exports.main = 1", "{", "package.json is not JSON"),
        ("exports.main = 1", "[]", "package.json must hold an object"),
        ("exports.main = 1", '\ufeff{"n": ' + "9" * 5000 + "}", None),
        ("exports.main = 1", "[" * 20_000 + "]" * 20_000, None),
        ("exports.main = 1", "[]," * 11_000, None),
    ],
)
def test_what_is_wrong_is_said_before_it_runs(
    tmp_path: Path, source: str, package: str | None, problem: str | None
) -> None:
    (tmp_path / "main.js").write_text(source)
    if package is not None:
        (tmp_path / "package.json").write_text(package)
    found = list(check.problems(tmp_path, "main.js"))
    assert [text[: len(problem or "")] for text in found] == ([problem] if problem else [])


def test_the_wrapper_is_valid_to_node() -> None:
    need_interpreter(NODEJS20)
    for name, content in NODEJS20.files().items():
        if name.endswith(".cjs"):
            checked = subprocess.run(
                ["node", "--check", "-"], input=content, capture_output=True, check=False, timeout=60
            )
            assert (checked.returncode, checked.stderr) == (0, b"")


def test_the_plugin_registers_it() -> None:
    assert list(plugin.botdock_runtimes()) == [NODEJS20]
