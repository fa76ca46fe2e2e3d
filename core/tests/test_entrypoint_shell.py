"""The `entrypoint.sh` of a runtime with a wrapper: what it becomes, and what that finds in its environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from botdock.entrypoints import wrapper_entrypoint

SHOW = """#!/bin/sh
printf '%s\\n' "$0" "$@"
env
"""


def start(folder: Path, *programs: str, startup: str | None = None) -> subprocess.CompletedProcess[str]:
    """Start a wrapper whose interpreter, `second`, shows its arguments and its environment."""
    program = folder / "second"
    program.write_text(SHOW)
    program.chmod(0o755)
    (folder / "entrypoint.sh").write_bytes(wrapper_entrypoint("wrapper.x", *programs))
    context = folder / "context"
    context.mkdir()
    if startup is not None:
        (context / "startup").write_text(startup)
    return subprocess.run(
        ["/bin/sh", folder / "entrypoint.sh", context],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "program": "the image's own"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_becomes_the_first_interpreter_on_path_with_the_wrapper_and_the_context(tmp_path: Path) -> None:
    done = start(tmp_path, "first", "second")
    assert done.stdout.splitlines()[:3] == [str(tmp_path / name) for name in ("second", "wrapper.x", "context")]
    assert "program=the image's own" in done.stdout.splitlines()
    assert done.stderr == ""


def test_the_interpreter_finds_the_start_up_variables_as_they_are(tmp_path: Path) -> None:
    done = start(tmp_path, "second", startup="UID=7\nX_OPTIONS=$(id) 'a'\\\n=\n=`b` \nX_LAST==\n")
    assert "X_OPTIONS=$(id) 'a'\\\n\n`b` \n" in done.stdout
    assert "X_LAST==\n" in done.stdout
    assert "BOTDOCK_RESULT_FILE" not in done.stdout
    assert done.stderr == ""


def test_an_interpreter_that_is_nowhere_is_named(tmp_path: Path) -> None:
    done = start(tmp_path, "first", "zeroth")
    assert done.returncode == 127
    assert done.stderr.startswith("botdock: there is no first or zeroth on PATH (")
