"""A daemon behind TLS, which trusts us as little as we trust it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import EngineUnavailableError
from botdock.model import ContainerHandle, Stream
from botdock_engine_docker.engine import DockerEngine

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make certificates")

EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder such as Docker's documentation makes; one certificate is authority, server and client in one."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", EXTENSIONS, "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    shutil.copy(folder / "cert.pem", folder / "ca.pem")
    return folder


@pytest.fixture
def server_context(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


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
