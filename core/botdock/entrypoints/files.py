"""Writes what stands beside a bot's code: the runtime's program, and the context of one run.

They are two folders: the program is the same for every bot, so it is kept, and there before a bot is; the context
comes when a bot is there to run, and goes with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from botdock.entrypoints.context import config_text, context_document, environment_of, fits_a_variable
from botdock.entrypoints.result import not_written
from botdock.errors import BotdockError, EntrypointError
from botdock.model.runtime import (
    CONFIG_FILE,
    CONTEXT_FILE,
    ENTRYPOINT_SCRIPT,
    ENVIRONMENT_FILE,
    READY_FIFO,
    STARTUP_FILE,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdock.model import ExecutionContext, Runtime

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_LAST = "BOTDOCK_RESULT_FILE"
_TAKEN = frozenset({CONFIG_FILE, CONTEXT_FILE, ENVIRONMENT_FILE, READY_FIFO, STARTUP_FILE})

_PROGRAM_MODE = 0o755
_DATA_MODE = 0o644
"""Others read it too: the bot runs as another user than botdock."""


def write_program(runtime: Runtime, directory: Path) -> Path:
    """Write the files of a runtime, which are the same for every bot, and return the path of `entrypoint.sh`.

    Raises:
        EntrypointError: The runtime does not give what it must, or the files cannot be written.
    """
    return _write_files(_program(runtime), directory)


def keep_program(runtime: Runtime, programs: Path) -> Path:
    """Return the `entrypoint.sh` of a runtime in a folder named by the SHA-256 of the program, which is written once.

    One that a bot or a crash has damaged is replaced.

    Raises:
        EntrypointError: As `write_program`.
    """
    files = _program(runtime)
    said = b"".join(b"%d %s %d " % (len(name), name.encode(), len(data)) + data for name, data in sorted(files.items()))
    folder = programs / hashlib.sha256(said).hexdigest()
    if not _is_whole(folder, files):
        _replace_folder(folder, files)
    return folder / ENTRYPOINT_SCRIPT


def _is_whole(folder: Path, files: Mapping[str, bytes]) -> bool:
    try:
        return {path.name for path in folder.iterdir()} == set(files) and all(
            not (folder / name).is_symlink() and (folder / name).read_bytes() == content
            for name, content in files.items()
        )
    except OSError:
        return False


def _replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let a folder hold these files; one that is written by several at once is whole for each of them."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as name:
            new, old = Path(name) / "new", Path(name) / "old"
            new.mkdir()
            new.chmod(_PROGRAM_MODE)
            _write_files(files, new)
            if folder.exists() and not _is_whole(folder, files):
                folder.rename(old)
            try:
                new.rename(folder)
            except OSError:
                if not _is_whole(folder, files):  # else another runner was quicker
                    raise
    except OSError as error:
        raise EntrypointError(
            f"cannot write {folder}: {error.strerror}", hint="Look at the disk that botdock's state folder is on."
        ) from error


def _write_files(files: Mapping[str, bytes], directory: Path) -> Path:
    for name, content in sorted(files.items()):
        _write(directory / name, content, _PROGRAM_MODE if name == ENTRYPOINT_SCRIPT else _DATA_MODE)
    return directory / ENTRYPOINT_SCRIPT


def begin_result(runtime: Runtime, path: Path) -> None:
    """Write into the result file, which exists, what says that the wrapper has not.

    Raises:
        EntrypointError: It cannot be written.
    """
    _write(path, not_written(runtime), None)


def write_context(context: ExecutionContext, directory: Path) -> None:
    """Write what one run is told: `context.json` and `environment`; `config.json` and `startup` where they are needed.

    Raises:
        ExecutableError: As `environment_of`.
        EntrypointError: The files cannot be written.
    """
    for name, content in _context_files(context).items():
        _write(directory / name, content, _DATA_MODE)


def _context_files(context: ExecutionContext) -> dict[str, bytes]:
    environment = sorted(environment_of(context).items(), key=lambda variable: (variable[0] == _LAST, variable))
    files = {
        ENVIRONMENT_FILE: _lines(environment),
        CONTEXT_FILE: json.dumps(context_document(context), allow_nan=False, separators=(",", ":")).encode(),
    }
    if context.startup:
        files[STARTUP_FILE] = _lines((name, context.variables[name]) for name in context.startup)
    text = config_text(context)
    return files if fits_a_variable(context, text) else {CONFIG_FILE: text.encode(), **files}


def _lines(variables: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}={value}".replace("\n", "\n=") + "\n" for name, value in variables).encode()


def _program(runtime: Runtime) -> Mapping[str, bytes]:
    try:
        files = dict(runtime.files())
    except BotdockError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's code may raise anything
        _refuse(runtime, f"its files() raised {type(error).__name__}: {error}", error)
    if ENTRYPOINT_SCRIPT not in files:
        _refuse(runtime, f"its files() give no {ENTRYPOINT_SCRIPT}")
    for name, content in files.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
            _refuse(runtime, f"its files() give {name!r}, which is no plain file name or is taken by botdock")
        if not isinstance(content, bytes):
            _refuse(runtime, f"its files() give {type(content).__name__} for {name!r}, not bytes")
    return files


def _refuse(runtime: Runtime, problem: str, cause: Exception | None = None) -> NoReturn:
    raise EntrypointError(
        f"runtime {runtime.name!r}: {problem}",
        hint="Its plugin must be mended; `botdock plugins` names the distribution it comes from.",
    ) from cause


def _write(path: Path, content: bytes, mode: int | None) -> None:
    """Write a file whose mode does not depend on the umask (None keeps it); a link in its place is not followed."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode or 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
    except OSError as error:
        raise EntrypointError(
            f"cannot write {path}: {error.strerror}", hint="Look at the disk that botdock's state folder is on."
        ) from error
