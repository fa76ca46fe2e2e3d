"""The HTTP interface of the Docker engine: every call with a timeout of its own, and in the version that both speak."""

from __future__ import annotations

import json
import socket
import ssl
import time
from functools import cached_property
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import attrs

from botdock.errors import ContainerError, EngineTimeoutError, EngineUnavailableError
from botdock_engine_docker.errors import Call, translated
from botdock_engine_docker.ssh import Tunnel
from botdock_engine_docker.wire import Deadline, Route, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botdock_engine_docker.endpoint import Endpoint

ROUTE_LIFE = 60.0
"""Seconds until a name is looked up again: another machine may have it."""
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
        self._connect_timeout = connect_timeout
        self._wanted = api_version
        self._lock = Lock()
        self._server: Server | None = None
        self._tunnel = Tunnel(endpoint.ssh, connect_timeout=connect_timeout) if endpoint.ssh else None
        self._found: tuple[Route | None, float] = (None, 0.0)

    def close(self) -> None:
        """Let go of what leads to the daemon; never raises."""
        if self._tunnel:
            self._tunnel.close()

    def server(self, *, timeout: float) -> Server:
        """Say what answers, asking it once.

        Raises:
            EngineUnavailableError: It does not answer, or is too old.
        """
        with self._lock:
            if self._server is None:
                self._server = self._ask_server(timeout)
            return self._server

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
            ContainerError: There is no connection.
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
            route = self._route(call)
            connection = socket.socket(route.family, socket.SOCK_STREAM)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a silent bot is not a dead connection
            wire = Wire(connection, call, method=method)
            try:
                wire.open(route, chain((f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode(),), pieces))
            except BaseException:
                wire.close()
                raise
        return wire

    def _route(self, call: Call) -> Route:
        """Return how the daemon is reached."""
        if path := self._tunnel.address(call) if self._tunnel else self.endpoint.socket:
            return Route(family=socket.AF_UNIX, address=path, timeout=self._connect_timeout)
        route, found = self._found
        if route is None or time.monotonic() - found > ROUTE_LIFE:
            route = self._find_route()
            self._found = route, time.monotonic()
        return route

    @cached_property
    def _context(self) -> ssl.SSLContext | None:
        return _tls_context(self.endpoint)

    def _find_route(self) -> Route:
        """Return, of the addresses that a name has, the first that takes a connection."""
        context = self._context
        with socket.create_connection(self.endpoint.address, timeout=self._connect_timeout) as connection:
            return Route(
                family=connection.family,
                address=connection.getpeername(),
                timeout=self._connect_timeout,
                context=context,
                host=self.endpoint.address[0],
            )

    def _ask_server(self, timeout: float) -> Server:
        call = self.about("connect", timeout=timeout)
        try:
            with self._request(call, "GET", "/version", {}, None) as wire:
                said = _decode(wire.receive_all(timeout), call)
        except ContainerError as error:
            if self._tunnel and (said := self._tunnel.complaint()):
                raise self._tunnel.error(said, call) from error
            if not isinstance(error, EngineTimeoutError):
                raise
            raise EngineUnavailableError(
                error.message, engine=error.engine, operation="connect", hint=error.hint
            ) from error
        return _choose(said, self._wanted, call)


def path(template: str, *values: str) -> str:
    """Return a path with `values` quoted into the places that `template` marks with `{}`."""
    return template.format(*(quote(value, safe="") for value in values))


def _chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a body whose size is not known beforehand, as HTTP has it."""
    for piece in filter(None, pieces):
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _tls_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    if (certificates := endpoint.certificates) is None:
        return None
    context = ssl.create_default_context(cafile=certificates.authority)
    if certificates.client:
        context.load_cert_chain(*certificates.client, password=_no_password)
    return context


def _no_password() -> str:
    """Answer for a key that has a password: else OpenSSL would ask for it at the terminal, and wait."""
    return ""


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
