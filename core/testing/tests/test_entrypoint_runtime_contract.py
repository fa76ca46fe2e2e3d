"""The contract of runtimes: a third party's simple one meets it, and one that does not is caught."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from botdock.entrypoints import shell_entrypoint
from botdock.model import ResultFormat, Runtime, RuntimeCapabilities
from botdock_testing import RuntimeContract

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


def test_a_word_of_its_own_is_caught() -> None:
    with pytest.raises(AssertionError):
        held(simple(f"echo starting; {START}")).test_the_exit_code_is_the_bots_own()


def test_an_exit_code_that_is_not_the_bots_is_caught() -> None:
    with pytest.raises(AssertionError):
        held(simple('"$@" "$SCRIPT_PATH"; exit 0')).test_the_exit_code_is_the_bots_own()


def test_a_name_that_a_shell_takes_apart_is_caught() -> None:
    with pytest.raises(AssertionError):
        held(simple('exec "$@" $SCRIPT_PATH')).test_a_script_below_folders_of_awkward_names_is_run()


def test_a_variable_that_is_lost_is_caught() -> None:
    with pytest.raises((AssertionError, KeyError)):
        held(simple(f"unset LONGEST; {START}")).test_the_longest_variable_arrives()


def test_a_variable_that_comes_after_the_start_is_caught() -> None:
    late = held(simple(f"unset TZ; {START}"))
    with pytest.raises(AssertionError, match="TZ=Asia"):
        late.test_what_the_loader_and_the_c_library_read_is_there_when_the_interpreter_starts()


def test_one_that_does_not_wait_is_caught() -> None:
    impatient = simple(files=shell_entrypoint("python3").replace(b"/ready", b"/steady"))
    with pytest.raises(AssertionError, match="did not wait"):
        held(impatient).test_it_can_be_kept_waiting_for_its_context()


def test_an_entrypoint_that_is_no_shell_script_is_caught(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(AssertionError):
        held(simple("if then")).test_its_program_is_valid_and_the_same_each_time(tmp_path_factory.mktemp("files"))


def test_scripts_without_the_endings_of_the_runtime_are_caught() -> None:
    with pytest.raises(AssertionError):
        held(attrs.evolve(GOOD, suffixes=(".rb",))).test_it_says_what_it_is()


def test_without_its_interpreter_a_bot_is_not_run_and_that_is_said() -> None:
    with pytest.raises(pytest.skip.Exception, match="none of cobol85 is on PATH"):
        held(attrs.evolve(GOOD, interpreters=("cobol85",))).test_the_exit_code_is_the_bots_own()


def test_a_check_that_reads_whatever_it_is_given_is_caught(tmp_path: Path) -> None:
    careless = held(attrs.evolve(GOOD, check=lambda tree, script: [str((tree / script).read_bytes()[:9])]))
    with pytest.raises(AssertionError, match="read with botdock"):
        careless.test_a_strangers_script_is_looked_at_in_bounded_memory(tmp_path, "x", 64 * 1024 * 1024)
