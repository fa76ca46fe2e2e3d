"""The HTTP interface of the Docker engine: every call with a timeout of its own.

`docker.APIClient` brings the transports (Unix sockets, TLS) and the credentials of registries. Its methods share one
timeout, hide errors that come inside a stream, and put proxies of `~/.docker/config.json` into containers; so calls
are made through the `requests.Session` that it is.
"""

from __future__ import annotations

import json
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs
import docker
import docker.auth
import docker.errors
import requests
from docker.tls import TLSConfig
from requests.adapters import HTTPAdapter

from botdock.errors import EngineTimeoutError, EngineUnavailableError
from botdock_engine_docker.deadline import Deadline
from botdock_engine_docker.errors import translated
from botdock_engine_docker.refusals import ERROR_STATUS, Call, explanation
from botdock_engine_docker.transport import SCHEME, UnixAdapter
from botdock_engine_docker.wire import Wire, send_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdock_engine_docker.endpoint import Endpoint

OLDEST_API = (1, 41)
"""Docker 20.10 of December 2020: the first with private cgroup namespaces, and the oldest that this was measured on."""
NEWEST_API = (1, 51)
"""The newest whose changes this code knows of (Docker 28); a newer daemon is asked to speak this one."""
IDLE_CONNECTIONS = 1024
"""Kept for the next call; with fewer than there are calls at one time, urllib3 would warn on stderr."""
PIECE = 64 * 1024
"""Bytes of an answer that are read at once."""
LARGEST_ANSWER = 256 * 1024 * 1024
"""Bytes; a listing of 50,000 containers is smaller."""


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
        self.connect_timeout = connect_timeout
        self._wanted = api_version
        self._session = _open_session(endpoint, connect_timeout)
        self._lock = Lock()
        self._server: Server | None = None

    def server(self, *, timeout: float) -> Server:
        """Say what answers, asking it once.

        Raises:
            EngineUnavailableError: It does not answer, or is too old.
        """
        if self._server is None:
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
        target = f"{self.prefix(timeout=call.timeout)}{path}"
        with translated(call), self._request(method, target, deadline, params=params, json=body) as response:
            return _decode(_read(response, deadline))

    def lines(
        self, call: Call, method: str, path: str, *, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Iterator[Any]:
        """Make one call and yield each line of its answer as JSON, as it comes."""
        deadline = Deadline(call.timeout)
        target = f"{self.prefix(timeout=call.timeout)}{path}"
        arguments = {"params": params, "headers": dict(headers)}
        with translated(call), self._request(method, target, deadline, **arguments) as response:
            _raise_for_status(response, deadline)
            for line in response.iter_lines(PIECE):
                if deadline.passed:
                    raise TimeoutError
                if line.strip():
                    yield json.loads(line)

    def open(self, call: Call, method: str, path: str, *, headers: Mapping[str, str]) -> Wire:
        """Make one call whose answer is a stream, on a connection of its own, and wait for it to begin."""
        deadline = Deadline(call.timeout)
        wire = self.ask(call, method, path, headers=headers)
        try:
            wire.begin(deadline.timeout)
        except BaseException:
            wire.close()
            raise
        return wire

    def ask(self, call: Call, method: str, path: str, *, headers: Mapping[str, str]) -> Wire:
        """Make one call on a connection of its own, and leave it to the reader to wait for the answer."""
        target = f"{self.prefix(timeout=call.timeout)}{path}"
        return send_request(self.endpoint, method, target, headers=headers, call=call)

    def prefix(self, *, timeout: float) -> str:
        """Return what the path of every call begins with, such as `/v1.41`."""
        return f"/v{self.server(timeout=timeout).api}"

    def registry_headers(self, registry: str) -> dict[str, str]:
        """Return the headers that carry the user's credentials for a registry."""
        header = docker.auth.get_config_header(self._session, registry)
        return {"X-Registry-Auth": header.decode() if isinstance(header, bytes) else header} if header else {}

    def close(self) -> None:
        """Let go of the connections that are idle."""
        self._session.close()

    def _request(self, method: str, target: str, deadline: Deadline, **arguments: Any) -> requests.Response:
        timeouts = (min(self.connect_timeout, deadline.timeout), deadline.timeout)
        return self._session.request(
            method, f"{self._session.base_url}{target}", stream=True, timeout=timeouts, **arguments
        )

    def _ask_server(self, timeout: float) -> Server:
        call = self.about("connect", timeout=timeout)
        deadline = Deadline(timeout)
        try:
            with translated(call), self._request("GET", "/version", deadline) as response:
                said = _decode(_read(response, deadline))
        except EngineTimeoutError as error:
            raise EngineUnavailableError(
                error.message, engine=error.engine, operation="connect", hint=error.hint
            ) from error
        return _choose(said, self._wanted, call)


def path(template: str, *values: str) -> str:
    """Return a path with `values` quoted into the places that `template` marks with `{}`."""
    return template.format(*(quote(value, safe="") for value in values))


def _open_session(endpoint: Endpoint, connect_timeout: float) -> docker.APIClient:
    call = Call(operation="connect", url=endpoint.url)
    host, port = endpoint.address
    host = f"[{host}]" if ":" in host else host  # IPv6
    with translated(call):
        session = docker.APIClient(
            base_url=f"unix://{endpoint.socket}" if endpoint.socket else f"tcp://{host}:{port}",
            version=".".join(map(str, OLDEST_API)),  # it then asks nobody; the version is chosen by `_choose`
            timeout=connect_timeout,  # type: ignore[arg-type] # a float is as good to requests, which gets it
            tls=_tls(endpoint),
        )
    session.trust_env = False  # the engine is spoken to directly, whatever proxies and netrc there are
    if endpoint.socket:
        session.mount(SCHEME, UnixAdapter(endpoint.socket, idle=IDLE_CONNECTIONS))
    else:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=IDLE_CONNECTIONS))
    return session


def _tls(endpoint: Endpoint) -> TLSConfig | bool:
    if (certificates := endpoint.certificates) is None:
        return False
    return TLSConfig(client_cert=certificates.client, ca_cert=certificates.authority, verify=True)


def _read(response: requests.Response, deadline: Deadline) -> bytes:
    """Read all of an answer, in time whatever the pace at which it comes."""
    pieces: list[bytes] = []
    size = 0
    while piece := response.raw.read1(PIECE):  # as much as has come: `read` would wait for a whole piece
        pieces.append(piece)
        size += len(piece)
        if deadline.passed:
            raise TimeoutError
        if size > LARGEST_ANSWER:
            raise ValueError(f"an answer of over {LARGEST_ANSWER} bytes")
    data = b"".join(pieces)
    if response.status_code >= ERROR_STATUS:
        raise _api_error(response, data)
    return data


def _raise_for_status(response: requests.Response, deadline: Deadline) -> None:
    if response.status_code >= ERROR_STATUS:
        _read(response, deadline)


def _api_error(response: requests.Response, data: bytes) -> docker.errors.APIError:
    return docker.errors.APIError(f"HTTP status {response.status_code}", response, explanation(data))


def _decode(data: bytes) -> Any:
    return json.loads(data) if data.strip() else None


def _choose(said: Any, wanted: str, call: Call) -> Server:
    """Choose the version of the interface: what is configured, else the newest that both sides speak."""
    if not isinstance(said, dict) or "ApiVersion" not in said:
        raise call.error(EngineUnavailableError, "what answers is no Docker engine")
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
