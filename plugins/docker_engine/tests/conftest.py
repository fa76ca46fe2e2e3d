"""A Docker daemon of canned answers on a Unix socket, and what else the tests share."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import attrs
import pytest

from botdock.config import Config
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.settings import DockerSettings
from botdock_testing.engine import Asked, asked, replaced

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux"}
INFO = {
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "NCPU": 2,
    "Architecture": "x86_64",
    "CgroupVersion": "2",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "LiveRestoreEnabled": True,
    "DockerRootDir": "/var/lib/docker",
    "SystemTime": "2026-01-02T03:04:05.123456789Z",
}
IMAGE = {"Id": "sha256:1d", "RepoDigests": ["bots@sha256:d1"], "Config": {"Volumes": None}}


@attrs.frozen
class Request:
    method: str
    target: str
    body: Any
    headers: dict[str, str]


class FakeDocker:
    """Answers on a socket as it was told to; what it was not told about is a 404."""

    STAY = b"<stay>"
    """At the end of an answer: nothing more comes, and the connection stays."""

    def __init__(self, listener: socket.socket, url: str, context: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.uploads: list[bytes] = []
        self.takes_uploads = True
        self._answers: list[tuple[str, str, list[bytes]]] = []
        self._closing, self._serving = Event(), Event()
        self._serving.set()
        self._connections: list[socket.socket] = []
        self._listener = listener
        self._context = context
        self.says("GET", "/version", VERSION)
        self.says("GET", "/info", INFO)
        self.says("GET", "/images/", IMAGE)
        self.says("GET", "/containers/json", [])
        self.says("GET", "/volumes", {"Volumes": None})
        self.on("HEAD", "/archive", self.reply(b""))
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def on(self, method: str, part: str, *answers: bytes) -> None:
        """Answer requests whose target holds `part`, one answer after the other; the last one stays."""
        self._answers.insert(0, (method, part, list(answers)))

    def says(self, method: str, part: str, *bodies: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.on(method, part, *(self.reply(json.dumps(body).encode(), status=status) for body in bodies))

    @staticmethod
    def reply(body: bytes, *, status: int = 200) -> bytes:
        """Return a whole answer."""
        return b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)

    def targets(self, method: str) -> list[str]:
        """Return what was asked by a method, without the version."""
        return [request.target.removeprefix("/v1.41") for request in self.requests if request.method == method]

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Take no connection, and let the queue of a Unix socket be full."""
        self._serving.clear()
        with contextlib.ExitStack() as waiting:
            with contextlib.suppress(BlockingIOError):
                while self._context is None:
                    client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                    client.setblocking(False)
                    client.connect(self.url.removeprefix("unix://"))
            yield
        self._serving.set()

    def close(self) -> None:
        self._closing.set()
        self._serving.set()
        for connection in [self._listener, *self._connections]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._serving.wait()
            self._threads.append(Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            connection = self._context.wrap_socket(plain, server_side=True) if self._context else plain
        except OSError:
            return plain.close()  # the client does not trust us, or we do not trust it
        self._connections.append(connection)
        with connection, connection.makefile("rb") as file:
            try:
                while self._answer(connection, file):
                    pass
            except OSError:
                pass  # the client has gone, or the test is over

    def _answer(self, connection: socket.socket, file: Any) -> bool:
        if not (first := file.readline()):
            return False
        lines = (line.decode().rstrip().partition(": ") for line in iter(file.readline, b"\r\n"))
        headers = {name.lower(): value for name, _, value in lines}
        method, target, _ = first.decode().split()
        if chunked := "transfer-encoding" in headers:
            self.uploads.append(b"".join(_chunks(file)) if self.takes_uploads else b"")
        body = b"" if chunked else file.read(int(headers.get("content-length", 0)))
        self.requests.append(Request(method, target, json.loads(body) if body else None, headers))
        answer = self._find(method, target)
        connection.sendall(answer.removesuffix(self.STAY))
        if answer.endswith(self.STAY):
            file.read(1)  # returns when the client closes the connection, or the test ends
        return b"Content-Length" in answer and (self.takes_uploads or not chunked)

    def _find(self, method: str, target: str) -> bytes:
        for verb, part, answers in self._answers:
            if verb == method and part in target:
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return self.reply(b'{"message": "not told"}', status=404)


def _chunks(file: Any) -> Iterator[bytes]:
    while size := int(file.readline() or b"0", 16):  # it may be cut off
        yield file.read(size)
        file.readline()
    file.readline()


@pytest.fixture
def fake_docker() -> Iterator[FakeDocker]:
    """A daemon with one image that enforces everything."""
    with tempfile.TemporaryDirectory(prefix="fake-docker-") as folder:  # short: a socket's path has 107 bytes
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"{folder}/sock")
        listener.listen(16)
        daemon = FakeDocker(listener, f"unix://{folder}/sock")
        yield daemon
        daemon.close()


@pytest.fixture
def fake_remote_docker() -> Iterator[Callable[[ssl.SSLContext | None], FakeDocker]]:
    """Returns a function that starts such a daemon at a port, behind TLS where it gets a context."""
    daemons: list[FakeDocker] = []

    def start(context: ssl.SSLContext | None) -> FakeDocker:
        listener = socket.create_server(("127.0.0.1", 0))
        daemons.append(FakeDocker(listener, f"tcp://localhost:{listener.getsockname()[1]}", context))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.close()


@pytest.fixture
def make_engine() -> Iterator[Callable[..., DockerEngine]]:
    """Returns a function from a daemon's address, and fields of `DockerSettings`, to an engine."""
    engines: list[DockerEngine] = []

    def make(url: str, **fields: Any) -> DockerEngine:
        config = Config(options={"docker": DockerSettings(host=url, **fields)})
        engines.append(DockerEngine.from_config(config))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(fake_docker: FakeDocker, make_engine: Callable[..., DockerEngine]) -> DockerEngine:
    """An engine that speaks to the fake daemon."""
    return make_engine(fake_docker.url)


@pytest.fixture
def make_spec(tmp_path: Path) -> Callable[..., Asked]:
    """Returns a function that makes a spec whose folders and result are there."""

    def make(**fields: Any) -> Asked:
        for name in ("code", "program", "context"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name).chmod(0o755)
        tmp_path.chmod(0o755)
        (tmp_path / "result").touch()
        spec = asked(
            image="bots:1",
            command=("/bin/sh", "/botdock/program/entrypoint.sh"),
            program=str(tmp_path / "program"),
            environment={"ID": "bot"},
            name="botdock-01",
            selectors={"io.botdock.owner": "me"},
            code=str(tmp_path / "code"),
            context=str(tmp_path / "context"),
            result=str(tmp_path / "result"),
        )
        return replaced(spec, **fields)

    return make
