"""A daemon behind TLS, which trusts us as little as we trust it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from botdock.errors import EngineUnavailableError
from botdock.model import ContainerHandle, Stream
from botdock_engine_docker.engine import DockerEngine

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make certificates")

EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def make_certificates(folder: Path, *, names: str = EXTENSIONS, expired: bool = False) -> Path:
    """Make a folder such as Docker's documentation does; one certificate is authority, server and client in one."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", names, "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    if expired:
        renewed = ["openssl", "x509", "-in", "cert.pem", "-signkey", "key.pem", "-days", "-1", "-out", "cert.pem"]
        subprocess.run(renewed, cwd=folder, check=True, capture_output=True, timeout=60)
    shutil.copy(folder / "cert.pem", folder / "ca.pem")
    return folder


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def context_of(folder: Path) -> ssl.SSLContext:
    """Return what a server has that trusts only what the folder's authority has signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def server_context(certificates: Path) -> ssl.SSLContext:
    return context_of(certificates)


def test_calls_and_streams_are_encrypted_and_both_sides_known(
    fake_remote_docker: Callable[[ssl.SSLContext], Any],
    server_context: ssl.SSLContext,
    certificates: Path,
    make_engine: Callable[..., DockerEngine],
) -> None:
    daemon = fake_remote_docker(server_context)
    frame = b"\x01\x00\x00\x00\x00\x00\x00\x02hi"
    daemon.on("POST", "/attach", UPGRADED + frame + daemon.STAY)
    engine = make_engine(daemon.url, tls_verify=True, cert_path=str(certificates))
    assert engine.capabilities().missing == {}
    with engine.attach(ContainerHandle(id="c1"), timeout=20.0) as stream:
        (chunk,) = stream.read(20.0)
        assert (chunk.stream, chunk.data) == (Stream.STDOUT, b"hi")
        assert stream.read(0.0) == ()


def test_a_daemon_that_does_not_answer_the_handshake_holds_up_no_reader(
    fake_remote_docker: Callable[[ssl.SSLContext], Any],
    server_context: ssl.SSLContext,
    certificates: Path,
    make_engine: Callable[..., DockerEngine],
) -> None:
    daemon = fake_remote_docker(server_context)
    daemon.on("POST", "/attach", UPGRADED)
    daemon.says("POST", "/wait", {"message": "No such container: c1"}, status=404)
    engine = make_engine(daemon.url, tls_verify=True, cert_path=str(certificates))
    with engine.attach(ContainerHandle(id="c1"), timeout=20.0) as stream:
        with daemon.busy():
            assert [stream.read(0.0) for _ in range(20)] == [()] * 20
            assert not stream.ended
        stream.read(20.0)
        assert stream.ended


@pytest.mark.parametrize("operation", ["capabilities", "attach"])
def test_a_daemon_without_a_known_authority_is_refused(
    fake_remote_docker: Callable[[ssl.SSLContext], Any],
    server_context: ssl.SSLContext,
    make_engine: Callable[..., DockerEngine],
    operation: str,
) -> None:
    engine = make_engine(fake_remote_docker(server_context).url, tls_verify=True)
    with pytest.raises(EngineUnavailableError, match="no secure connection") as caught:
        engine.capabilities() if operation == "capabilities" else engine.attach(ContainerHandle(id="c1"), timeout=20.0)
    assert "docker.cert_path" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("server", "ours", "words", "hint"),
    [
        ({"expired": True}, "its own", "is not valid now", "renew it"),
        ({"names": "subjectAltName=DNS:elsewhere"}, "its own", "is for another name", "subjectAltName"),
        ({}, "another", "authority that is not known here", "ca.pem is the authority's"),
        ({}, "only its ca", "refuses our certificate, or that there is none", "--tlscacert"),
        ({}, "of another", "refuses our certificate, or that there is none", "--tlscacert"),
        ({}, "mixed", "files of docker.cert_path cannot be used", "belongs to the certificate"),
        ({}, "locked", "files of docker.cert_path cannot be used", "has no password"),
    ],
)
def test_what_is_wrong_with_certificates_is_told_with_what_mends_it(
    fake_remote_docker: Callable[[ssl.SSLContext], Any],
    make_engine: Callable[..., DockerEngine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: dict[str, Any],
    ours: str,
    words: str,
    hint: str,
) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "ours").mkdir()
    theirs, own = make_certificates(tmp_path / "server", **server), make_certificates(tmp_path / "ours")
    daemon = fake_remote_docker(context_of(theirs))
    match ours:
        case "its own":
            own = theirs
        case "of another" | "mixed":
            shutil.copy(theirs / "ca.pem", own)
        case "only its ca":
            monkeypatch.setenv("SSL_CERT_FILE", str(theirs / "ca.pem"))
        case "locked":
            key = ["openssl", "ec", "-in", "key.pem", "-out", "key.pem", "-aes128", "-passout", "pass:secret"]
            subprocess.run(key, cwd=own, check=True, capture_output=True, timeout=60)
    if ours == "mixed":
        shutil.copy(theirs / "cert.pem", own)
    settings = {} if ours == "only its ca" else {"cert_path": str(own)}
    with pytest.raises(EngineUnavailableError, match=words) as caught:
        make_engine(daemon.url, tls_verify=True, **settings).capabilities()
    assert hint in (caught.value.hint or "")


def test_a_daemon_that_wants_tls_and_one_that_has_none_are_told_apart(
    fake_remote_docker: Callable[[ssl.SSLContext | None], Any],
    make_engine: Callable[..., DockerEngine],
    certificates: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            with listener.accept()[0]:  # only looked at
                pass
            with listener.accept()[0] as connection:
                connection.recv(9)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        thread = Thread(target=refuse)
        thread.start()
        url = f"tcp://localhost:{listener.getsockname()[1]}"
        with pytest.raises(EngineUnavailableError, match="does not speak TLS"):
            make_engine(url, tls_verify=True, cert_path=str(certificates)).capabilities()
        thread.join(20)
    daemon = fake_remote_docker(None)
    daemon.on("GET", "/version", daemon.reply(b"Client sent an HTTP request to an HTTPS server.\n", status=400))
    with pytest.raises(EngineUnavailableError, match="HTTPS server") as caught:
        make_engine(daemon.url).capabilities()
    assert "docker.tls_verify = true" in (caught.value.hint or "")
