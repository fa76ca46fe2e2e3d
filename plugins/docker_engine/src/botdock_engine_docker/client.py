"""The HTTP interface of the Docker engine: every call with a timeout of its own, and in the version that both speak."""

from __future__ import annotations

import json
import socket
import time
from datetime import datetime
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import attrs

from botdock.errors import ContainerError, EngineTimeoutError, EngineUnavailableError
from botdock_engine_docker.errors import Call, translated
from botdock_engine_docker.way import Way
from botdock_engine_docker.wire import Deadline, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botdock_engine_docker.endpoint import Endpoint

CLOCK_LIFE = 60.0
"""Seconds until the daemon's clock is looked at again."""
NANO = 1_000_000_000
OLDEST_API = (1, 41)
"""Docker 20.10 of December 2020: the first with private cgroup namespaces, and the oldest that this was measured on."""
NEWEST_API = (1, 51)
"""The newest whose changes this code knows of (Docker 28); a newer daemon is asked to speak this one."""


@attrs.frozen(kw_only=True)
class Server:
    """What answers.

    Attributes:
        version: Of the engine, such as `20.10.24`.
        api: The version of the interface that is spoken.
        os: `linux` or `windows`: what its containers are.
    """

    version: str
    api: str
    os: str


class DockerClient:
    """Speaks to one Docker engine; safe to use from several threads. It connects with its first call."""

    def __init__(self, endpoint: Endpoint, *, api_version: str = "", connect_timeout: float = 5.0) -> None:
        self.endpoint = endpoint
        self._wanted = api_version
        self._lock = Lock()
        self._server: Server | None = None
        self._way = Way(endpoint, connect_timeout=connect_timeout)
        self.is_far = endpoint.shared_disk is False
        """Whether the daemon is on another machine, as far as is known; its clock is then another one, too."""
        self._ahead: tuple[int, float] | None = None

    def close(self) -> None:
        """Let go of what leads to the daemon; never raises."""
        self._way.close()

    def server(self, *, timeout: float) -> Server:
        """Say what answers, asking it once.

        Raises:
            EngineUnavailableError: It does not answer, or is too old.
        """
        with self._lock:
            if self._server is None:
                self._server = self._ask_server(timeout)
            return self._server

    def ahead_ns(self, call: Call) -> int:
        """Return by how many nanoseconds our clock is ahead of a far daemon's, looking at it now and then."""
        if not self.is_far:
            return 0
        if self._ahead is None or time.monotonic() - self._ahead[1] > CLOCK_LIFE:
            asked = time.time()
            info = self.send(call, "GET", "/info")
            with translated(call):
                least, most = ahead(info, asked, time.time())
            self._ahead = int((least + most) / 2 * NANO), time.monotonic()
        return self._ahead[0]

    def about(self, operation: str, *, timeout: float, container_id: str | None = None, image: str = "") -> Call:
        """Return what a call is about: its timeout in seconds, and what its errors will say."""
        return Call(operation=operation, url=self.endpoint.url, timeout=timeout, container_id=container_id, image=image)

    def send(
        self, call: Call, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> Any:
        """Make one call and return the JSON of its answer, or None for an empty one.

        Args:
            call: What it is about.
            method: Of HTTP.
            path: Without host and version; build it with `path`.
            params: Of the query.
            body: Sent as JSON.

        Raises:
            ContainerError: Of the kind that fits.
        """
        deadline = Deadline(call.timeout)
        with self.ask(call, method, path, params=params, body=body) as wire:
            return _decode(wire.receive_all(deadline.left), call)

    def put(self, call: Call, path: str, *, params: Mapping[str, Any], pieces: Iterable[bytes]) -> None:
        """Make one call whose body is a tar, and is sent as it is read.

        Raises:
            ContainerError: Of the kind that fits, or what reading the pieces raises.
        """
        deadline = Deadline(call.timeout)
        headers = {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
        with self.ask(call, "PUT", path, params=params, headers=headers, body=pieces) as wire:
            wire.receive_all(deadline.left)

    def lines(
        self, call: Call, method: str, path: str, *, params: Mapping[str, Any], headers: Mapping[str, str], every: float
    ) -> Iterator[Any]:
        """Make one call and yield each line of its answer as JSON, as it comes; None after `every` seconds of silence.

        A reader that stops ends the call: its connection is closed.
        """
        deadline, rest = Deadline(call.timeout), b""
        with self.ask(call, method, path, params=params, headers=headers) as wire:
            while not wire.ended:
                piece = wire.receive_in_time(deadline, every)
                if not piece:
                    yield None
                *lines, rest = (rest + piece).split(b"\n")
                for line in [*lines, *[rest] * wire.ended]:
                    if line.strip():
                        yield _decode(line, call)

    def open(self, call: Call, method: str, path: str, *, headers: Mapping[str, str] | None = None) -> Wire:
        """Make one call whose answer is a stream, and wait for it to begin."""
        deadline = Deadline(call.timeout)
        wire = self.ask(call, method, path, headers=headers)
        try:
            wire.begin(deadline.left)
        except BaseException:
            wire.close()
            raise
        return wire

    def ask(
        self,
        call: Call,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Wire:
        """Make one call, and leave it to the reader to wait for the answer.

        Raises:
            ContainerError: No connection can be made.
        """
        query = f"?{urlencode(params)}" if params else ""
        target = f"/v{self.server(timeout=call.timeout).api}{path}{query}"
        return self._request(call, method, target, headers or {}, body)

    def _request(self, call: Call, method: str, target: str, headers: Mapping[str, str], body: Any) -> Wire:
        fields = {"Host": "docker", "Connection": "close", "Content-Type": "application/json", **headers}
        pieces: Iterable[bytes] = ()
        if "Transfer-Encoding" in fields:
            pieces = _chunked(body)
        else:
            pieces = (content,) = (b"" if body is None else json.dumps(body).encode(),)
            fields["Content-Length"] = str(len(content))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        with translated(call):
            route = self._way.route(call)
            connection = socket.socket(route.family, socket.SOCK_STREAM)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a silent bot is not a dead connection
            wire = Wire(connection, call, method=method)
            try:
                wire.open(route, chain((f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode(),), pieces))
            except BaseException:
                wire.close()
                raise
        return wire

    def _ask_server(self, timeout: float) -> Server:
        call = self.about("connect", timeout=timeout)
        try:
            with self._request(call, "GET", "/version", {}, None) as wire:
                said = _decode(wire.receive_all(timeout), call)
        except ContainerError as error:
            if told := self._way.complaint(call):
                raise told from error
            if not isinstance(error, EngineTimeoutError):
                raise
            raise EngineUnavailableError(
                error.message, engine=error.engine, operation="connect", hint=error.hint
            ) from error
        return _choose(said, self._wanted, call)


def path(template: str, *values: str) -> str:
    """Return a path with `values` quoted into the places that `template` marks with `{}`."""
    return template.format(*(quote(value, safe="") for value in values))


def ahead(info: Any, asked: float, heard: float) -> tuple[float, float]:
    """Return by how many seconds our clock is ahead of the daemon's, at least and at most; 0 for clocks that may agree.

    Args:
        info: What `GET /info` tells.
        asked: When it was asked for, by our clock, in seconds since the epoch.
        heard: When it had come.

    Raises:
        ValueError: It does not tell the time.
    """
    theirs = datetime.fromisoformat(str(info.get("SystemTime"))).timestamp()
    return (0.0, 0.0) if asked <= theirs <= heard else (asked - theirs, heard - theirs)


def _chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a body whose size is not known beforehand, as HTTP has it."""
    for piece in filter(None, pieces):
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _decode(data: bytes, call: Call) -> Any:
    with translated(call):
        return json.loads(data) if data.strip() else None


def _choose(said: Any, wanted: str, call: Call) -> Server:
    """Choose the version of the interface: what is configured, else the newest that both sides speak."""
    if not isinstance(said, dict) or "ApiVersion" not in said:
        raise call.error(EngineUnavailableError, "what answers is not a Docker engine")
    newest, oldest = _version(said["ApiVersion"]), _version(said.get("MinAPIVersion", "1.0"))
    chosen = _version(wanted) if wanted else max(min(newest, NEWEST_API), oldest)
    speaks = f"Docker {said.get('Version', '?')} at {call.url} speaks API {_text(oldest)} to {_text(newest)}"
    if chosen < OLDEST_API:
        hint = f"botdock needs API {_text(OLDEST_API)}: update Docker to 20.10 or newer, and mend docker.api_version."
        raise call.error(EngineUnavailableError, f"{speaks}, which is too old", hint=hint)
    if not oldest <= chosen <= newest:
        hint = "Leave docker.api_version empty, so that the newest version that both sides speak is used."
        raise call.error(EngineUnavailableError, f"{speaks}, not {_text(chosen)}", hint=hint)
    return Server(version=str(said.get("Version", "")), api=_text(chosen), os=str(said.get("Os", "linux")))


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
