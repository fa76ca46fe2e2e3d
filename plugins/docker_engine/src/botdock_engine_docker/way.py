"""The way to a daemon: a socket of this machine, a port with or without TLS, or a socket that ssh forwards.

One `ssh` serves all of a client's connections, each a channel of it to the daemon's socket. Docker's own command starts
an `ssh` with `docker system dial-stdio` for each connection; here each call has one of its own, so that would be a
handshake for each of them. A forwarded socket takes one handshake, needs no program on the other side, and is not
bounded by sshd's `MaxSessions`. The user's own configuration of ssh decides the rest; nothing is ever asked for.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING

from botdock.errors import EngineUnavailableError
from botdock_engine_docker.wire import Route

if TYPE_CHECKING:
    from botdock_engine_docker.endpoint import Endpoint, Ssh
    from botdock_engine_docker.errors import Call

ROUTE_LIFE = 60.0
"""Seconds until a name is looked up again: another machine may have it."""
HANDSHAKE = 15.0
"""Seconds for the keys and the way there, after the connection; docker gives it 30 in all."""
ALIVE_INTERVAL, ALIVE_COUNT = 15, 3
"""A connection of which nothing has come for so many times so many seconds is given up."""
FAILURE_LIFE = 1.0
"""Seconds for which one failure stands for others: many threads may ask at once."""
_LONGEST_BASE = 64
"""Characters of a folder for temporary files; the address of a Unix socket has 107 (unix(7)), 33 of them ours."""
_POLL = 0.01
_END = 5.0
_SHOWN = 400
_LARGEST_COMPLAINT = 16 * 1024
# ends ssh when the pipe is closed that it has from us, as it is when we are killed; and its watcher when ssh ends first
_SCRIPT = (
    'exec 3<&0; ssh "$@" </dev/null 3<&- & s=$!; { cat <&3 >/dev/null; kill $s; } & w=$!; exec 3<&-; '
    "wait $s; r=$?; kill $w; exit $r"
)
_OPTIONS = {
    "BatchMode": "yes",
    "ControlMaster": "no",  # else the forwarding would be another process', and stay with it
    "ControlPath": "none",
    "ExitOnForwardFailure": "no",  # of one that the user's configuration has besides
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "LogLevel": "INFO",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "ServerAliveCountMax": str(ALIVE_COUNT),
    "ServerAliveInterval": str(ALIVE_INTERVAL),
    "StreamLocalBindMask": "0177",
}
_CLOSED = (
    "Is Docker started there, with that socket, and are you in its group? `ssh HOST docker version` shows more; "
    "another socket goes into the address: ssh://HOST/path."
)
_HINTS = (
    (
        "permission denied (",
        "Nothing is asked for: add the key to the agent with `ssh-add`, or name it in ~/.ssh/config.",
    ),
    ("identification has changed", "Is it another machine? If not, `ssh-keygen -R HOST` forgets the old key."),
    ("host key verification failed", "Log in once with `ssh HOST`, and compare the key that it shows."),
    ("could not resolve", "Is the name right? It is one of DNS, or a `Host` of ~/.ssh/config."),
    ("administratively prohibited", "sshd must allow it there: `AllowStreamLocalForwarding yes`."),
    (
        "open failed: connect failed",  # sshd does not tell why
        _CLOSED,
    ),
)
"""What mends what ssh complains of; the first that fits decides."""
_TRY = "`ssh -o BatchMode=yes HOST docker version` shows more."


class Tunnel:
    """A local socket that leads to a daemon behind ssh. It is made when it is first needed, and again when it broke.

    Args:
        target: Where the daemon is.
        connect_timeout: Seconds until the connection has to be there.
    """

    def __init__(self, target: Ssh, *, connect_timeout: float) -> None:
        self._target = target
        self._connect_timeout = connect_timeout
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None
        self._socket = -1
        self._failed: tuple[float, str] = (0.0, "")

    def address(self, call: Call) -> str:
        """Return the path of the socket.

        Raises:
            EngineUnavailableError: ssh does not get there.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                when, said = self._failed
                if not said or time.monotonic() - when > FAILURE_LIFE:
                    said = self._start()
                    self._failed = (time.monotonic(), said)
                if said:
                    raise self.error(said, call)
            return f"/proc/self/fd/{self._socket}"

    def error(self, said: str, call: Call) -> EngineUnavailableError:
        """Return the error for what ssh says."""
        hint = next((hint for words, hint in _HINTS if words in said.lower()), _TRY)
        return call.error(EngineUnavailableError, f"{call.url}: {said}", hint=hint.replace("HOST", self._target.host))

    def complaint(self) -> str:
        """Return what ssh has said of a connection that the other side did not let through, or an empty text."""
        with self._lock:
            said = self._last_line()
            return said if "open failed" in said else ""

    def close(self) -> None:
        """End ssh, and with it all connections; never raises."""
        with self._lock:
            self._end()
            self._failed = (0.0, "")

    def _start(self) -> str:
        """Start ssh and wait for its socket; return why there is none, or an empty text."""
        self._end()
        if shutil.which("ssh") is None:
            return "there is no program `ssh` on this machine"
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as ssh
        base = None if len(tempfile.gettempdir()) <= _LONGEST_BASE else "/tmp"  # noqa: S108 - for a folder of our own in it
        with tempfile.TemporaryDirectory(prefix="botdock-ssh-", dir=base) as folder:  # only we may enter it
            path = Path(folder, "docker.sock")
            self._process = subprocess.Popen(
                ["sh", "-c", _SCRIPT, "sh", *self._arguments(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                start_new_session=True,  # Ctrl-C is ours, and there is no terminal to ask at
            )
            end = time.monotonic() + self._connect_timeout + HANDSHAKE
            while not path.exists():
                if self._process.poll() is not None or time.monotonic() > end:
                    said = self._last_line() or "ssh did not get there in time"
                    self._end()
                    return said
                time.sleep(_POLL)
            # the descriptor names the socket when its path is gone; so nothing is left of it, whatever ends us
            self._socket = os.open(path, os.O_PATH | os.O_CLOEXEC)
        return ""

    def _arguments(self, path: Path) -> list[str]:
        target = self._target
        timeout = f"ConnectTimeout={max(1, round(self._connect_timeout))}"
        options = [text for name, value in _OPTIONS.items() for text in ("-o", f"{name}={value}")]
        user = ["-l", target.user] if target.user else []
        port = ["-p", str(target.port)] if target.port else []
        return [*options, "-o", timeout, *user, *port, "-N", "-T", "-L", f"{path}:{target.socket}", "--", target.host]

    def _end(self) -> None:
        if self._socket >= 0:
            os.close(self._socket)
            self._socket = -1
        if (process := self._process) is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(_END)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            self._process = None
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    def _last_line(self) -> str:
        if self._complaints is None:
            return ""
        size = os.fstat(self._complaints.fileno()).st_size
        data = os.pread(self._complaints.fileno(), _LARGEST_COMPLAINT, max(0, size - _LARGEST_COMPLAINT))
        lines = data.decode("utf-8", "replace").strip().splitlines()
        if any("IDENTIFICATION HAS CHANGED" in line for line in lines):
            return "the host's identification has changed"
        return lines[-1].strip()[:_SHOWN] if lines else ""


class Way:
    """The way to one daemon, for all connections.

    Args:
        endpoint: Where it listens.
        connect_timeout: Seconds until a connection has to be there.
    """

    def __init__(self, endpoint: Endpoint, *, connect_timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = connect_timeout
        self._tunnel = Tunnel(endpoint.ssh, connect_timeout=connect_timeout) if endpoint.ssh else None
        self._found: tuple[Route | None, float] = (None, 0.0)

    def route(self, call: Call) -> Route:
        """Return how the daemon is reached.

        Raises:
            EngineUnavailableError: ssh does not get there.
            OSError: The name is not found, nothing takes a connection, or the certificates cannot be used.
        """
        if path := self._tunnel.address(call) if self._tunnel else self._endpoint.socket:
            return Route(family=socket.AF_UNIX, address=path, timeout=self._timeout)
        route, found = self._found
        if route is None or time.monotonic() - found > ROUTE_LIFE:
            route = self._look_up()
            self._found = route, time.monotonic()
        return route

    def complaint(self, call: Call) -> EngineUnavailableError | None:
        """Return the error for what ssh has said of a connection, if it has."""
        said = self._tunnel.complaint() if self._tunnel else ""
        return self._tunnel.error(said, call) if self._tunnel and said else None

    def close(self) -> None:
        """Let go of it; never raises."""
        if self._tunnel:
            self._tunnel.close()

    def _look_up(self) -> Route:
        """Return, of the addresses that a name has, the first that takes a connection."""
        context = self._context
        with socket.create_connection(self._endpoint.address, timeout=self._timeout) as connection:
            return Route(
                family=connection.family,
                address=connection.getpeername(),
                timeout=self._timeout,
                context=context,
                host=self._endpoint.address[0],
            )

    @cached_property
    def _context(self) -> ssl.SSLContext | None:
        if (certificates := self._endpoint.certificates) is None:
            return None
        context = ssl.create_default_context(cafile=certificates.authority)
        if certificates.client:
            context.load_cert_chain(
                *certificates.client, password=lambda: ""
            )  # else OpenSSL would ask for it at the terminal, and wait
        return context
