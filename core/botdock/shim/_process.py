"""The process of a shim: how it is started, anew or forked from one that waits, whether it lives, its end, its kill."""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from botdock.errors import EngineUnavailableError
from botdock.model import EngineEvents
from botdock.shim._program import files
from botdock.shim._program.processes import kill_below, signal_groups

_PROGRAM = str(Path(__file__).resolve().parent)
ALONE = "from _program.main import main; main()"
"""Starts the shim of a container, whose folder is the argument, and ends as soon as that is on its own."""
_SERVER = "from _program.fork_server import serve; serve()"
_ENVIRONMENT = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
"""What a Python with a shared library of its own may need to start at all."""
_ANSWER_BYTES = 64 * 1024
POLL_SECONDS = 0.02
"""Between two looks where the kernel cannot tell of a process's end."""
LONGEST_POLL = 86_400.0
"""Seconds; more milliseconds than fit into a C int are refused. Callers look again anyway."""


def is_alive(process: Mapping[str, Any]) -> bool:
    """Whether the process that a record names still runs; a later one of the same number is another."""
    identity = files.identity_of(process["pid"])
    return identity is not None and identity == process["identity"]


def wait_for_end(process: Mapping[str, Any] | None, timeout: float) -> None:
    """Return when the process has ended, or after `timeout` seconds at most; where neither can be told, soon."""
    descriptor = None
    with suppress(OSError, AttributeError):  # it has ended; or the kernel, or this Python, is too old for it
        descriptor = os.pidfd_open(process["pid"]) if process else None
    try:
        if process and not is_alive(process):  # the number may have passed to another one
            return
        if descriptor is None:
            time.sleep(max(0.0, min(POLL_SECONDS, timeout)))
        else:
            wait_readable(descriptor, timeout)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def wait_readable(descriptor: int, timeout: float) -> bool:
    """Return whether there is something to read, at most `timeout` seconds later; unlike `select`, of any number."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(math.ceil(max(0.0, min(timeout, LONGEST_POLL)) * 1000)))


class ShimEvents(EngineEvents):
    """Ends of the containers that it was told to watch, each by a descriptor of its shim, for one thread that sleeps.

    Args:
        engine: Its name, for messages.

    Raises:
        OSError: No descriptor is left.
    """

    is_certain = True

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._lock = Lock()
        self._watched: dict[int, str] = {}
        self._poll = select.epoll()
        self._closing = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._closing, select.EPOLLIN)
        self._cut = self._closed = False

    def watch(self, name: str, shim: Mapping[str, Any] | None) -> None:
        """Watch a container by its shim's record; without a descriptor for it, nothing more is told at all."""
        with self._lock:
            if shim is None or self._closed or name in self._watched.values():
                return
            try:
                descriptor = os.pidfd_open(shim["pid"])
            except ProcessLookupError:
                return  # the look that comes next sees its end
            except OSError:  # no descriptor is left, or the kernel is too old
                self._cut = True
                os.eventfd_write(self._closing, 1)
                return
            if not is_alive(shim):  # the number has passed to another one
                os.close(descriptor)
                return
            self._watched[descriptor] = name
            self._poll.register(descriptor, select.EPOLLIN)

    def read(self, timeout: float) -> Sequence[str]:
        """Return the containers whose shims have ended."""
        ended: list[str] = []
        with suppress(ValueError):  # closed meanwhile
            found = self._poll.poll(timeout)
            with self._lock:
                for descriptor, _ in found:
                    if name := self._watched.pop(descriptor, ""):
                        ended.append(name)
                        self._poll.unregister(descriptor)
                        os.close(descriptor)
        if self._cut:
            raise EngineUnavailableError("ends are not told", engine=self._engine, operation="events")
        return ended

    def close(self) -> None:
        """Let `read` return, and let go of all."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._closing, 1)
            for descriptor in self._watched:
                os.close(descriptor)
            self._watched.clear()

    def __del__(self) -> None:
        """Let go of what a reader may still have slept on when it was closed."""
        self._poll.close()
        os.close(self._closing)


def kill_process(process: Mapping[str, Any]) -> None:
    """Kill a process and its group, if it is still that one; first what is below it, which would get another parent."""
    if is_alive(process):
        kill_below(process["pid"])
        signal_groups([process["pid"]], signal.SIGKILL)


def start_alone(folder: Path, *, errors: int, timeout: float) -> bytes:
    """Start the shim of a container as a new Python; return what it answers.

    Args:
        folder: Of the container.
        errors: Descriptor of what the shim writes to when it crashes.
        timeout: Seconds to wait for the answer.

    Raises:
        TimeoutError: There was none in time.
        OSError: It could not be started at all.
    """
    try:
        done = subprocess.run(
            python_command(ALONE, str(folder)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"the shim did not answer within {error.timeout:g} s") from error
    return done.stdout


def python_command(code: str, *arguments: str) -> list[str]:
    """Return a command without site-packages, which would triple the time to start.

    Our own folder comes after the standard library's.
    """
    taking = f"import sys; sys.path.append(sys.argv.pop()); {code}"
    return [sys.executable, "-I", "-S", "-c", taking, *arguments, _PROGRAM]


class ForkServer:
    """A process that shims are forked from: a new Python for each would take 30 ms, and more memory.

    It is started when it is first needed, and anew when it has died. It is only ever a quicker way: where it does not
    answer, a shim can be started without it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._pid = self._owner = 0

    def start(self) -> None:
        """Start it, unless it is there; do not wait until it is ready."""
        with self._lock, suppress(OSError):
            self._connected()

    def fork(self, folder: Path, *, errors: int, timeout: float) -> bytes:
        """Let it fork the shim of a container; return what that answers, which is nothing where none was forked.

        Args:
            folder: Of the container.
            errors: Descriptor of what the shim writes to when it crashes.
            timeout: Seconds to wait for the answer.

        Raises:
            TimeoutError: There was none in time.
        """
        read, write = os.pipe()
        answer = b""
        try:
            try:
                with self._lock:
                    socket.send_fds(self._connected(), [os.fsencode(folder)], [write, errors])
            finally:
                os.close(write)
            answer = _read_to_end(read, timeout)
        except TimeoutError:
            raise
        except OSError:  # it has died, or could not be started
            pass
        finally:
            os.close(read)
            if not answer:  # whatever it was, the next one does not depend on it
                self.close()
        return answer

    def close(self) -> None:
        """Let it end; what it has forked goes on."""
        with self._lock:
            if self._socket is None:
                return
            self._socket.close()
            self._socket = None
            if self._owner == os.getpid():  # and not a process that was forked from the one that started it
                with suppress(ChildProcessError):  # reaped by another part of this program
                    os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                    os.kill(self._pid, signal.SIGKILL)  # at once, whichever other process has its socket, too
                    os.waitpid(self._pid, 0)

    def __del__(self) -> None:
        """Close it, as a file is."""
        self.close()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                try:
                    self._pid = os.posix_spawn(
                        sys.executable,
                        python_command(_SERVER),
                        _ENVIRONMENT,
                        file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
                        setsid=True,
                        setsigdef=[signal.SIGPIPE],
                    )
                except BaseException:
                    ours.close()
                    raise
            self._socket, self._owner = ours, os.getpid()
        return self._socket


def _read_to_end(descriptor: int, timeout: float) -> bytes:
    deadline, found = time.monotonic() + timeout, b""
    os.set_blocking(descriptor, False)
    while (left := deadline - time.monotonic()) > 0:
        wait_readable(descriptor, left)
        with suppress(BlockingIOError):
            if not (data := os.read(descriptor, _ANSWER_BYTES)):
                return found
            found += data
    raise TimeoutError(f"the shim did not answer within {timeout:g} s")
