"""Starting a supervisor, and learning from it whether the bot started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botdock_engine_process.folder import SUPERVISOR_ERRORS, ContainerFolder

_CODE = "import sys; sys.path.append(sys.argv.pop()); from botdock_engine_process.supervisor.main import main; main()"
"""Without site-packages, which would triple the time to start; our own folder comes after the standard library's."""
_OUR_PARENT = str(Path(__file__).resolve().parent.parent)
_KEPT_VARIABLES = ("LD_LIBRARY_PATH",)
"""What a Python with a shared library of its own may need to start at all."""

STARTED = b"+"
SHOWN_ERRORS = 2000
"""Characters of a crashed supervisor's traceback that an error repeats."""


def launch(folder: ContainerFolder, *, timeout: float) -> str:
    """Start the supervisor of a container; return what went wrong, or an empty text once the bot runs.

    Raises:
        TimeoutError: It did not answer in time.
        OSError: It could not be started at all.
    """
    if not sys.executable:
        return "this Python does not know where its own program is, so it cannot start another"
    errors = folder.file(SUPERVISOR_ERRORS)
    with errors.open("wb") as stderr, _timeouts():
        done = subprocess.run(
            supervisor_command(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
            cwd="/",
            start_new_session=True,
            timeout=timeout,
            check=False,
        )
    if done.stdout == STARTED:
        return ""
    return done.stdout[1:].decode("utf-8", "replace") or _crash(errors)


def supervisor_command(folder: ContainerFolder) -> list[str]:
    """Return the command that starts the supervisor of a container, and ends as soon as it is on its own."""
    return [sys.executable, "-I", "-S", "-c", _CODE, str(folder.path), _OUR_PARENT]


@contextmanager
def _timeouts() -> Iterator[None]:
    try:
        yield
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"the supervisor did not answer within {error.timeout:g} s") from error


def _crash(errors: Path) -> str:
    return f"the supervisor crashed: {errors.read_text('utf-8', 'replace')[-SHOWN_ERRORS:].strip()}"
