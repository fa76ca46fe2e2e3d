"""What the plugin says of itself before and beside running anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from botdock.config import Config
from botdock.errors import ContainerError
from botdock.model import CheckStatus, Feature
from botdock_engine_process import plugin
from botdock_engine_process.engine import SYSTEM_PATH, WARNING, ProcessEngine, find_interpreter, warn_on_stderr

CALL = 30.0


def test_the_engine_is_registered_and_never_chosen_by_itself(tmp_path: Path) -> None:
    (described,) = plugin.botdock_engines()
    assert (described.name, described.automatic) == ("process", False)
    engine = described.factory(Config(home=str(tmp_path)))
    assert isinstance(engine, ProcessEngine)
    assert list(engine.list({}, timeout=CALL)) == []
    assert list(tmp_path.iterdir()) == [], "nothing is made before it is needed"


def test_discovery_imports_no_engine() -> None:
    code = "import sys; import botdock_engine_process.plugin; print('botdock_engine_process.engine' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_it_says_once_on_stderr_that_it_does_not_isolate(
    state: Path, shell_spec: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = ProcessEngine(state)
    for _ in range(2):
        engine.remove(engine.create(*shell_spec("true"), timeout=CALL), timeout=CALL)
    captured = capfd.readouterr()
    assert captured.err == f"{WARNING}\n"
    assert captured.out == ""


def test_it_enforces_little_and_says_what_to_do_about_the_rest(state: Path) -> None:
    said = ProcessEngine(state).capabilities()
    assert said.enforced == {Feature.OPEN_FILES, Feature.FILE_SIZE}
    assert not said.private_filesystem
    assert all("--engine docker or --engine oci" in reason for reason in said.missing.values())


def test_doctor_is_warned_and_told_where_the_interpreters_are() -> None:
    isolation, *interpreters = plugin_checks()
    assert isolation.status is CheckStatus.WARNING
    assert "--engine docker or --engine oci" in isolation.remedy
    (shell,) = (check for check in interpreters if check.name == "process.sh")
    assert (shell.status, shell.detail) == (CheckStatus.OK, shutil.which("sh", path="/usr/bin:/bin"))


def test_doctor_says_which_interpreter_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botdock_engine_process.engine.find_interpreter", lambda _: None)
    _, *interpreters = plugin_checks()
    assert {check.name: check.status for check in interpreters} == {
        "process.sh": CheckStatus.FAILED,
        "process.bash": CheckStatus.WARNING,
        "process.python3": CheckStatus.WARNING,
        "process.node": CheckStatus.WARNING,
    }
    assert all("install" in check.remedy for check in interpreters)


def test_the_path_ends_with_folders_of_interpreters_that_the_system_lacks(
    run: Any, shell_spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "frobnicate").touch(0o755)
    monkeypatch.setenv("PATH", f"/somewhere/else:{tmp_path}")
    path = run(shell_spec("printf $PATH", interpreters=("frobnicate", "sh", "absent"))).stdout.decode()
    assert path.split(":") == [*SYSTEM_PATH, str(tmp_path)]
    with pytest.raises(ContainerError, match="needs absent or gone, which is not on PATH"):
        run(shell_spec("true", interpreters=("absent", "gone")))


def test_without_a_known_python_the_path_alone_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", None)
    assert find_interpreter("absent-program") is None


def plugin_checks() -> list[Any]:
    (described,) = plugin.botdock_engines()
    return list(described.checks(Config()))


def test_a_warning_is_folded_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    warn_on_stderr(WARNING)
    assert capsys.readouterr().err == f"{WARNING}\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    warn_on_stderr(WARNING)
    told = capsys.readouterr().err
    assert (max(map(len, told.splitlines())) <= 40, told.split()) == (True, WARNING.split())


@pytest.mark.parametrize("stderr", [None, "full"])
def test_a_warning_that_cannot_be_written_goes_nowhere_else(
    stderr: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stderr", full if stderr else None)
        warn_on_stderr("the process engine does not isolate")
        with suppress(OSError):
            full.close()
    assert capsys.readouterr().out == ""
