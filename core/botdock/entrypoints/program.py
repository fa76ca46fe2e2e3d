"""Which runtimes there are, and the program of each: what starts a bot, the same for every bot.

So it is kept, and there before a bot is; what one run is told is in another folder, see `context`.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from botdock._locks import locked, locked_at_once
from botdock.archive import remove_tree
from botdock.config import Policies
from botdock.config.policies import same_image
from botdock.entrypoints.context import DATA_MODE, write_file
from botdock.errors import BotdockError, EntrypointError, NotFoundError, UserError
from botdock.model.image_reference import ImageReference
from botdock.model.runtime import (
    CONFIG_FILE,
    CONTEXT_FILE,
    ENTRYPOINT_SCRIPT,
    ENVIRONMENT_FILE,
    READY_FIFO,
    SECRETS_FILE,
    STARTUP_FILE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from botdock.model import Runtime


class CachedProgram(NamedTuple):
    """A program that is kept.

    Attributes:
        used: When a run last asked for it, in nanoseconds.
        name: Its digest.
        bytes: Of its files.
    """

    used: int
    name: str
    bytes: int


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_TAKEN = frozenset({CONFIG_FILE, CONTEXT_FILE, ENVIRONMENT_FILE, READY_FIFO, SECRETS_FILE, STARTUP_FILE})

_LOCK = ".lock"
"""Ends the name of the file beside the folder of all programs whose lock a run shares that looks for its program."""
_PATIENCE = 60.0
_DRAFT = ".new-"
_PROGRAM_MODE = 0o755


class EntrypointManager:
    """Knows the runtimes and writes what starts a bot.

    Example:
        >>> manager = EntrypointManager({}, {})
        >>> manager.get_supported_runtimes()
        ()
    """

    def __init__(
        self,
        runtimes: Mapping[str, Runtime],
        images: Mapping[str, str],
        *,
        policies: Policies | None = None,
        find: Callable[[str], Runtime] | None = None,
    ) -> None:
        """Make a manager.

        Args:
            runtimes: By canonical name.
            images: In place of a runtime's own image; the keys are names or aliases of runtimes.
            policies: Which other images are allowed; None means that none is.
            find: Asked for a name that is none of `runtimes`: it knows why, such as two plugins that claim it.
        """
        self._runtimes = dict(runtimes)
        self._find = find
        self._policies = policies or Policies()
        named = {name.casefold(): image for name, image in images.items()}
        self._images = {
            each.name: next((named[name.casefold()] for name in each.names if named.get(name.casefold())), each.image)
            for each in self._runtimes.values()
        }
        self._builtin = {each.image for each in self._runtimes.values()}
        self._programs: dict[str, tuple[Mapping[str, bytes], str]] = {}

    def get_supported_runtimes(self) -> tuple[str, ...]:
        """Return the canonical names, sorted."""
        return tuple(sorted(self._runtimes))

    def validate_runtime(self, name: str) -> Runtime:
        """Return the runtime of that name or alias; case does not matter, and a canonical name goes before an alias.

        Raises:
            NotFoundError: None has that name; the nearest names are in the message.
            UserError: Several runtimes have that alias.
        """
        called = [runtime for runtime in self._runtimes.values() if runtime.name.casefold() == name.casefold()]
        found = called or [runtime for runtime in self._runtimes.values() if runtime.knows(name)]
        if not found and self._find is not None:
            return self._find(name)
        if not found:
            raise NotFoundError("runtime", name, {known for each in self._runtimes.values() for known in each.names})
        if len(found) > 1:
            both = " and ".join(sorted(runtime.name for runtime in found))
            raise UserError(f"runtime {name!r} is a name of {both}", hint="Name the one that is meant.")
        return found[0]

    def get_docker_image(self, name: str) -> str:
        """Return the image of a runtime: the configured one, else its own.

        Raises:
            NotFoundError: It is not installed.
            PolicyError: It is configured, and an operator's file does not allow it.
        """
        runtime = self.validate_runtime(name)
        image = self._images.get(runtime.name, runtime.image)
        self._policies.check_image(image, configured=self._images.values(), builtin=self._builtin, wish=False)
        return image

    def get_allowed_image(self, image: str, *, source: str = "") -> str:
        """Return what an engine is to be asked for where a caller or a manifest names an image.

        That is its name in full: a shorter text may be the beginning of an image's id to an engine.

        Args:
            image: The name, as an executable or a manifest has it.
            source: The manifest that names it; empty for the caller.

        Raises:
            PolicyError: It is neither the image of a runtime nor among those that the policy allows.
        """
        self._policies.check_image(image, configured=self._images.values(), builtin=self._builtin, source=source)
        same = (one for one in self._images.values() if same_image(one, image))
        return next(same, str(ImageReference.read(image)))

    def create_entrypoint_script(self, runtime: Runtime, programs: Path) -> Path:
        """Return the path of a runtime's `entrypoint.sh`, after writing its program where it is not there whole.

        The program is the same for every bot. What a run is told is data in another folder: see `write_context`. One
        that a bot or a crash has damaged is replaced. The execution that it is for has its folder already, so that
        `remove_programs` knows of it.

        Args:
            runtime: The runtime.
            programs: The folder of all programs; each is in a folder named by the SHA-256 of what is in it.

        Raises:
            EntrypointError: The files cannot be generated or written.
        """
        script = self.locate_entrypoint_script(runtime, programs)
        folder, (files, _) = script.parent, self._programs[runtime.name]
        try:
            programs.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(programs.with_suffix(_LOCK), shared=True, timeout=_PATIENCE):
                if not _is_whole(folder, files):
                    _replace_folder(folder, files)
                os.utime(folder)
        except OSError as error:
            hint = "Look at the disk that botdock's state folder is on."
            raise EntrypointError(f"cannot write {folder}: {error.strerror}", hint=hint) from error
        return script

    def locate_entrypoint_script(self, runtime: Runtime, programs: Path) -> Path:
        """Return the path that `create_entrypoint_script` returns, without writing anything.

        A runtime is asked for its files once; the SHA-256 of them all names the folder.

        Raises:
            EntrypointError: The files cannot be generated.
        """
        if runtime.name not in self._programs:
            files = _files_of(runtime)
            content = (b"%d %s %d " % (len(name), name.encode(), len(data)) + data for name, data in files.items())
            self._programs[runtime.name] = files, hashlib.sha256(b"".join(content)).hexdigest()
        return programs / self._programs[runtime.name][1] / ENTRYPOINT_SCRIPT


def write_program(runtime: Runtime, directory: Path) -> Path:
    """Write the files of a runtime, which are the same for every bot, and return the path of `entrypoint.sh`.

    Raises:
        EntrypointError: The runtime does not give what it must, or the files cannot be written.
    """
    return _write_files(_files_of(runtime), directory)


def remove_programs(
    programs: Path, in_use: Callable[[], AbstractSet[str] | None], *, unused: float, dry_run: bool = False
) -> list[CachedProgram]:
    """Remove the programs that no run has used for long, and what a crash left of those that were being written.

    Args:
        programs: The folder of all programs.
        in_use: Returns the digests of those that executions use now; None where that is not known of each of them.
            Called while none can come to use one.
        unused: Seconds after its last use from which on a program may go.
        dry_run: Whether only to say which would go.

    Returns:
        Those that went; what cannot be removed is tried again the next time.
    """
    gone: list[CachedProgram] = []
    with suppress(OSError):
        if not any(_old(programs, unused)):
            return gone
        with locked_at_once(programs.with_suffix(_LOCK)) as alone:
            if not alone or (used := in_use()) is None:
                return gone
            for path in [path for path in _old(programs, unused) if path.name not in used]:
                size = sum(file.lstat().st_size for file in path.rglob("*"))
                found = CachedProgram(used=path.stat().st_mtime_ns, name=path.name, bytes=size)
                if not dry_run:
                    remove_tree(path, timeout=_PATIENCE)
                gone.append(found)
    return gone


def _old(programs: Path, unused: float) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        for path in programs.iterdir():
            if path.name.startswith(_DRAFT) or time.time() - path.stat().st_mtime > unused:
                yield path


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
    with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=folder.parent) as name:
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


def _write_files(files: Mapping[str, bytes], directory: Path) -> Path:
    for name, content in files.items():
        write_file(directory / name, content, _PROGRAM_MODE if name == ENTRYPOINT_SCRIPT else DATA_MODE)
    return directory / ENTRYPOINT_SCRIPT


def _files_of(runtime: Runtime) -> Mapping[str, bytes]:
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
            _refuse(runtime, f"its files() give {name!r}, which is not a plain file name or is taken by botdock")
        if not isinstance(content, bytes):
            _refuse(runtime, f"its files() give {type(content).__name__} for {name!r}, not bytes")
    return dict(sorted(files.items()))


def _refuse(runtime: Runtime, problem: str, cause: Exception | None = None) -> NoReturn:
    raise EntrypointError(
        f"runtime {runtime.name!r}: {problem}",
        hint="Its plugin must be mended; `botdock plugins` names the distribution it comes from.",
    ) from cause
