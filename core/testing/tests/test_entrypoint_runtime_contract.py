"""The contract of runtimes: a third party's simple one meets it, and one that does not is caught."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.entrypoints import shell_entrypoint
from botdock.model import ResultFormat, Runtime, RuntimeCapabilities
from botdock_testing import RuntimeContract
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
