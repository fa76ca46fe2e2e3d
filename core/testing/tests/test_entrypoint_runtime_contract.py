"""The contract of runtimes: a third party's simple one meets it, and one that does not is caught."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from botdock import Config, PluginManager, Runner, hookimpl
from botdock.entrypoints import shell_entrypoint
from botdock.model import ResultFormat, Runtime, RuntimeCapabilities
from botdock_testing import ContainedRuntimeContract, RuntimeContract, contained_runtime
from testbed.mutants import CAUGHT, call, unbroken

START = 'exec "$@" "$SCRIPT_PATH"'


def simple(start: str = START, files: bytes = shell_entrypoint("python3")) -> Runtime:
    """Return a runtime whose scripts are programs in Python, and whose `entrypoint.sh` ends in its own way."""
    return Runtime(
        name="simple",
        image="python:3",
        interpreters=("python3",),
        suffixes=(".py",),
        scripts={"bot": ("main.py",), "backtest": ("backtest.py",)},
        files=lambda: {"entrypoint.sh": files.replace(START.encode(), start.encode())},
        capabilities=RuntimeCapabilities(result=ResultFormat.VALUE),
    )


class TestASimpleRuntime(RuntimeContract):
    runtime = simple()
    echo = """
import json, os

seen = dict(os.environ)
kind = seen["ENTRYPOINT_TYPE"].upper()
text = seen.get(f"{kind}_CONFIG") or open(seen[f"{kind}_CONFIG_FILE"]).read()
with open(seen["BOTDOCK_RESULT_FILE"], "w") as file:
    json.dump({"id": seen[f"{kind}_ID"], "config": json.loads(text), "environment": seen}, file)
"""
    exits = "raise SystemExit(7)"
    waits = """
import signal, sys, time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
try:
    print("waiting", flush=True)
    while True:
        time.sleep(0.02)
finally:
    print("stopped")
"""


def held(runtime: Runtime) -> TestASimpleRuntime:
    """Return the contract, applied to another runtime with the same scripts."""
    held = TestASimpleRuntime()
    object.__setattr__(held, "runtime", runtime)
    return held


GOOD = TestASimpleRuntime.runtime
SHELL = shell_entrypoint("python3")
FOREIGN = {"text": "x", "size": 64 * 1024 * 1024}


def changed(**fields: Any) -> Runtime:
    return attrs.evolve(GOOD, **fields)


def late_secrets(files: bytes) -> Runtime:
    capabilities = RuntimeCapabilities(result=ResultFormat.VALUE, late_secrets=True)
    return attrs.evolve(simple(files=files), capabilities=capabilities)


BROKEN: list[tuple[str, Runtime, dict[str, Any]]] = [
    ("test_it_says_what_it_is", changed(suffixes=(".rb",)), {}),
    (
        "test_it_recognises_its_scripts_and_finds_nothing_wrong_with_them",
        changed(check=lambda tree, script: ["I do not like it"]),
        {},
    ),
    (
        "test_a_strangers_script_is_looked_at_in_bounded_memory",
        changed(check=lambda tree, script: [str((tree / script).read_bytes()[:9])]),
        FOREIGN,
    ),
    ("test_its_program_is_valid_and_the_same_each_time", simple("if then"), {}),
    ("test_a_bot_sees_exactly_what_it_was_given", simple(f"echo starting; {START}"), {}),
    ("test_a_script_below_folders_of_awkward_names_is_run", simple('exec "$@" $SCRIPT_PATH'), {}),
    (
        "test_what_is_generated_depends_on_the_input_alone_and_holds_it_as_data",
        changed(files=lambda: {"entrypoint.sh": SHELL + b"# " + secrets.token_hex().encode()}),
        {},
    ),
    ("test_a_config_of_a_mebibyte_arrives", simple(f"unset BOT_CONFIG_FILE; {START}"), {"entrypoint": "bot"}),
    ("test_the_longest_variable_arrives", simple(f"unset LONGEST; {START}"), {}),
    (
        "test_what_the_loader_and_the_c_library_read_is_there_when_the_interpreter_starts",
        simple(f"unset TZ; {START}"),
        {},
    ),
    ("test_the_exit_code_is_the_bots_own", simple('"$@" "$SCRIPT_PATH"; exit 0'), {}),
    ("test_the_exit_code_is_the_bots_own", simple(f"echo starting; {START}"), {}),
    ("test_a_line_is_out_at_once_and_sigterm_reaches_the_bot", simple(f"{START} >/dev/null"), {}),
    (
        "test_a_result_that_is_too_long_is_no_value_and_says_so",
        simple('"$@" "$SCRIPT_PATH"; echo {} >"$BOTDOCK_RESULT_FILE"'),
        {},
    ),
    ("test_it_can_be_kept_waiting_for_its_context", simple(files=SHELL.replace(b"/ready", b"/steady")), {}),
    ("test_secrets_that_come_late_are_files_too", late_secrets(SHELL.replace(b"umask 377", b"umask 077")), {}),
]


@pytest.mark.parametrize(("test", "broken", "parameters"), BROKEN)
def test_what_breaks_a_promise_is_found(tmp_path: Path, test: str, broken: Runtime, parameters: dict[str, Any]) -> None:
    with pytest.raises((*CAUGHT, KeyError, TypeError)):  # what a script of the contract did not write
        call(held(broken), test, {"tmp_path": tmp_path, **parameters})


def test_every_promise_has_something_that_breaks_it() -> None:
    assert unbroken(RuntimeContract, [test for test, _, _ in BROKEN]) == set()


def test_late_secrets_are_written_by_what_is_right() -> None:
    held(late_secrets(SHELL)).test_secrets_that_come_late_are_files_too()


def test_without_its_interpreter_a_bot_is_not_run_and_that_is_said() -> None:
    with pytest.raises(pytest.skip.Exception, match="none of cobol85 is on PATH"):
        held(attrs.evolve(GOOD, interpreters=("cobol85",))).test_the_exit_code_is_the_bots_own()


def runner_of(runtime: Runtime, home: Path) -> Runner:
    """Return a runner that knows the runtime, and runs it as a plain process: no mutant needs a container to show."""
    plugins = PluginManager.load()
    plugins.register(SimpleNamespace(botdock_runtimes=hookimpl(lambda: [runtime])), name="simple")
    return Runner(Config(engine="process", home=str(home)), plugins=plugins)


class TestASimpleRuntimeContained(ContainedRuntimeContract):
    runtime, echo = TestASimpleRuntime.runtime, TestASimpleRuntime.echo
    exits, waits = TestASimpleRuntime.exits, TestASimpleRuntime.waits

    @pytest.fixture
    def runner(self, tmp_path: Path) -> Iterator[Runner]:
        with runner_of(self.runtime, tmp_path / "home") as runner:
            yield runner


ENDS = "test_a_line_is_out_at_once_and_a_stop_lets_the_bot_end_itself"
CONTAINED: list[tuple[str, str, float]] = [
    ("test_a_bot_sees_what_it_was_given_and_nothing_of_the_hosts", 'exec "$@" $SCRIPT_PATH', 60.0),
    ("test_a_bot_sees_what_it_was_given_and_nothing_of_the_hosts", f"export BOTDOCK_CONTRACT_CANARY=1; {START}", 60.0),
    ("test_the_exit_code_is_the_bots_own", '"$@" "$SCRIPT_PATH"; exit 0', 60.0),
    (ENDS, '"$@" "$SCRIPT_PATH"; exit 0', 60.0),
    (ENDS, f"{START} >/dev/null", 0.5),  # it never says that it waits: it ends when its time is up
]


@pytest.mark.parametrize(("test", "start", "patience"), CONTAINED)
def test_what_breaks_a_promise_in_a_container_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test: str, start: str, patience: float
) -> None:
    monkeypatch.setattr(contained_runtime, "PATIENCE", patience)
    with runner_of(simple(start), tmp_path / "home") as runner:
        values = {"runner": runner, "tmp_path": tmp_path, "monkeypatch": monkeypatch}
        with pytest.raises(CAUGHT):
            call(TestASimpleRuntimeContained(), test, values)


def test_every_promise_in_a_container_has_something_that_breaks_it() -> None:
    assert unbroken(ContainedRuntimeContract, [test for test, _, _ in CONTAINED]) == set()


class TestAnEngineIsChosen:
    """By the option that chooses it for all tests."""

    fixture = ContainedRuntimeContract.runner.__wrapped__  # type: ignore[attr-defined]  # what pytest makes of it

    def test_without_one_the_contract_is_skipped_and_says_how(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(request.config.option, "botdock_engine", None)
        with pytest.raises(pytest.skip.Exception, match="name an engine that isolates: --botdock-engine oci"):
            TestAnEngineIsChosen.fixture(None, request)

    def test_the_one_that_is_named_runs_it(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(request.config.option, "botdock_engine", "process")
        runner: Runner = TestAnEngineIsChosen.fixture(None, request)
        assert runner.config.engine == "process"
