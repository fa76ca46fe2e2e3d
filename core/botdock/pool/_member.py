"""One container that waits, and how a run is put into it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import struct
import termios
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

import attrs

from botdock._whole_files import publish
from botdock.archive import remove_tree
from botdock.errors import BotdockError, CapabilityError, ContainerError
from botdock.model import ContainerHandle, ContainerRun, ContainerTemplate, LogStream, new_execution_id
from botdock.model.container import LABEL_OWNER, LABEL_POOL, LABEL_RUNTIME
from botdock.model.runtime import READY_FIFO, SECRETS_TARGET
from botdock.services.code import Workspace
from botdock.services.code.workspace import make_workspace

if TYPE_CHECKING:
    from botdock.services.interfaces import Containers

EXECUTION = "execution"
"""The file in a member's folder that names the execution it became."""
DIED, HUNG, TAMPERED, OLD = "died", "hung", "tampered", "old"
"""Why a member is not given out."""
_PATIENCE = 1.0
"""Seconds that a member which waits may take to read a byte."""
_SHORT = 0.000_1
_READY = 60.0
"""Seconds that one may take from its start until it waits."""
_REMOVED = 60.0
"""Seconds that the removal of its folder may take."""
_READ_BY_ALL = 0o644
_FOLDER = 0o755


@attrs.define(eq=False, kw_only=True)
class Member:
    """A container that waits.

    Attributes:
        slot: Its place in the pool: the name of its folder, and of that of its runner.
        digest: Of its template.
        memory: Bytes that it may use.
        files: Its folder.
        container: Names it to its engine.
        stream: Its log from the first byte on.
        fifo: The writing end of the FIFO that it waits for.
        since: When it was ready, on the monotonic clock.
        seen: What its folder looked like then.
    """

    slot: str
    digest: str
    memory: int
    files: Workspace
    container: ContainerHandle
    stream: LogStream
    fifo: int | None
    since: float = attrs.field(factory=time.monotonic)
    seen: object = attrs.field()

    @seen.default
    def _that_is_there(self) -> object:
        return _look_of(self.files)

    def __attrs_post_init__(self) -> None:
        """Be known to forked children."""
        _members.add(self)

    def problem(self, max_age: float) -> str:
        """Say why it may not be given out; an empty text where nothing is known against it."""
        if time.monotonic() - self.since > max_age:
            return OLD
        try:
            wrote = self.stream.read(0.0)
        except ContainerError:
            return DIED
        if wrote or self.stream.ended:
            return TAMPERED if wrote else DIED
        try:
            return "" if _look_of(self.files) == self.seen else TAMPERED
        except OSError:
            return TAMPERED

    def ask(self) -> str:
        """Send it a byte, which means nothing but that it should read; say why that cannot be, or nothing."""
        try:
            os.write(self.fifo or -1, b"\n")
        except OSError:  # EPIPE: it reads no more
            return DIED
        return ""

    def answer(self) -> str:
        """Wait until it has read what it was sent, and so is neither stopped nor frozen; say why not, or nothing."""
        deadline, pause = time.monotonic() + _PATIENCE, _SHORT
        while struct.unpack("i", fcntl.ioctl(self.fifo or -1, termios.FIONREAD, b"\0" * 4))[0]:
            if time.monotonic() > deadline:
                return HUNG
            time.sleep(pause)
            pause *= 1.5
        return ""

    def mark(self, execution_id: str) -> None:
        """Note on disk which execution it is from now on.

        Raises:
            OSError: The disk took it not.
        """
        publish(self.files.root / EXECUTION, execution_id.encode(), durable=False)

    def release(self) -> None:
        """Let its program go on; what has a context then runs it, and what has none ends."""
        if self.fifo is not None:
            os.close(self.fifo)
            self.fifo = None

    def discard(self, containers: Containers) -> None:
        """Remove it, its container first, so that its program does not go on.

        Raises:
            BotdockError: Its container stays.
            OSError: Its folder stays.
        """
        try:
            self.stream.close()
            containers.remove_container(self.container)
            remove_tree(self.files.root, timeout=_REMOVED)
        finally:
            self.release()


def make_files(folder: Path) -> Workspace:
    """Make the folder of a member: no code, and in its context but a FIFO.

    Raises:
        BotdockError: The disk took no more.
    """
    files = make_workspace(folder)
    try:
        files.code.mkdir()
        files.code.chmod(_FOLDER)
        os.mkfifo(files.context / READY_FIFO)
        (files.context / READY_FIFO).chmod(_READ_BY_ALL)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BotdockError(f"cannot write {folder}: {error.strerror}") from error
    return files


def open_fifo(files: Workspace, stream: LogStream, *, timeout: float) -> int:
    """Wait until a program waits for the FIFO, and return its writing end.

    Raises:
        ContainerError: It ended, wrote something, or was not ready in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return os.open(files.context / READY_FIFO, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise ContainerError(f"the FIFO of a container that is to wait: {error.strerror}") from error
        chunks = stream.read(0.005)
        if chunks:
            said = b"".join(chunk.data for chunk in chunks)[:200].decode(errors="replace")
            raise ContainerError(f"a container that was to wait wrote {said!r}")
        if stream.ended:
            raise ContainerError("a container that was to wait has ended")
        if time.monotonic() > deadline:
            raise ContainerError(f"a container that was to wait was not ready in {timeout:g} s")


def _look_of(files: Workspace) -> object:
    """Return what shows that a folder has been changed since: its files by number, kind and size."""

    def number(path: Path | str) -> tuple[int, int, int]:
        found = os.lstat(path)
        return found.st_ino, stat.S_IFMT(found.st_mode), 0 if stat.S_ISDIR(found.st_mode) else found.st_size

    inside = {name: number(f"{files.context}/{name}") for name in os.listdir(files.context)}  # noqa: PTH208 - by far the quicker
    return number(files.code), number(files.context), number(files.result), inside, os.listdir(files.code)  # noqa: PTH208 - the same


def start(
    containers: Containers, template: ContainerTemplate, folder: Path, *, owner: str, runtime: str, count: int
) -> Member:
    """Start one that waits, and return it when it does; each may be given secrets.

    Args:
        containers: Makes it.
        template: What it is made from.
        folder: Of the runner's pool.
        owner: Names the state folder.
        runtime: For people who look at its labels.
        count: How many are to wait, for the engine.

    Raises:
        CapabilityError: The engine cannot keep any waiting.
        BotdockError: It could not be; nothing of it is left.
    """
    _require_waiting(containers, template, count)
    name = new_execution_id()
    slot = f"{folder.name}.{name}"
    with ExitStack() as undo:
        files = make_files(folder / name)
        undo.callback(shutil.rmtree, files.root, ignore_errors=True)
        run = ContainerRun(
            name=f"botdock-pool-{name}",
            selectors={LABEL_OWNER: owner, LABEL_POOL: slot},
            annotations={LABEL_RUNTIME: runtime},
            code=str(files.code),
            context=str(files.context),
            result=str(files.result),
            secrets_target=SECRETS_TARGET if containers.capabilities.private_filesystem else "",
        )
        container = containers.create_container(template, run)
        undo.callback(containers.remove_container, container)
        _require_waiting(containers, template, count)  # some engines learn only from a container what theirs see
        stream = containers.attach(container)
        undo.callback(stream.close)
        containers.start_container(container)
        fifo = open_fifo(files, stream, timeout=_READY)
        undo.pop_all()
    return Member(
        slot=slot,
        digest=template.digest,
        memory=template.limits.memory or 0,
        files=files,
        container=container,
        stream=stream,
        fifo=fifo,
    )


_members: WeakSet[Member] = WeakSet()


def _in_child() -> None:
    """Let go, in a forked child, of FIFOs: else they would not end when its parent closes them."""
    for member in _members:
        member.release()


os.register_at_fork(after_in_child=_in_child)


def _require_waiting(containers: Containers, template: ContainerTemplate, count: int) -> None:
    if not containers.prepare_pool(template, count):
        engine = containers.capabilities.engine
        reason = "its containers do not see what is written for them once they run"
        raise CapabilityError(
            f"engine {engine!r} keeps none waiting: {reason}", engine=engine, missing={"pool": reason}
        )
