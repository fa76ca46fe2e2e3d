"""Each mistake and each fault, on a real server where it can be had, as one clear error."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from botdock.errors import ConfigError, StorageError, StorageUnavailableError
from botdock_storage_minio.backend import MinIOBackend
from testbed.minio import MinioServer

OpenBackend = Callable[..., MinIOBackend]


def steps(backend: MinIOBackend) -> list[Callable[[], object]]:
    return [
        lambda: backend.put("a", io.BytesIO(b"x")),
        lambda: backend.get("a"),
        lambda: backend.stat("a"),
        lambda: list(backend.list()),
        lambda: list(backend.delete(["a"])),
    ]


def failure_of(backend: MinIOBackend) -> StorageError:
    with pytest.raises(StorageError) as caught:
        backend.put("a", io.BytesIO(b"x"))
    return caught.value


class TestKeysOfTheServer:
    @pytest.mark.parametrize("region", ["", "us-east-1"])
    def test_an_unknown_one(self, open_backend: OpenBackend, region: str) -> None:
        for step in steps(open_backend(access_key="unknown-key", region=region)):
            with pytest.raises(StorageError, match="does not know the access key") as caught:
                step()
            assert "Mend minio.access_key" in (caught.value.hint or "")
            assert not isinstance(caught.value, StorageUnavailableError)

    @pytest.mark.parametrize("region", ["", "us-east-1"])
    def test_a_wrong_one(self, open_backend: OpenBackend, region: str) -> None:
        for step in steps(open_backend(secret_key="wrong-for-sure", region=region)):
            with pytest.raises(StorageError, match="does not fit the access key") as caught:
                step()
            assert "Mend minio.secret_key" in (caught.value.hint or "")

    def test_none_at_all(self, open_backend: OpenBackend) -> None:
        error = failure_of(open_backend(access_key="", secret_key=""))
        assert "it takes no unsigned requests" in error.message
        assert error.hint == "No key is configured: set minio.access_key and minio.secret_key."

    def test_one_that_may_only_read(self, minio_server: MinioServer, open_backend: OpenBackend) -> None:
        root = StaticProvider(minio_server.access_key, minio_server.secret_key)
        admin = MinioAdmin(endpoint=minio_server.endpoint, credentials=root, secure=False)
        admin.user_add("reader", "reader-secret")
        admin.policy_set("readonly", "reader")
        mine = open_backend()
        mine.put("a", io.BytesIO(b"x"))
        bucket = mine._location.bucket
        reader = open_backend(access_key="reader", secret_key="reader-secret", code_bucket=bucket)
        with reader.get("a") as opened:
            assert opened.read() == b"x"
        for step in (lambda: list(reader.list()), lambda: reader.put("b", io.BytesIO(b"x"))):
            with pytest.raises(StorageError, match="the key may not do that") as caught:
                step()
            assert "mc admin policy attach" in (caught.value.hint or "")
        (failure,) = reader.delete(["a"])
        assert failure.key == "a"
        assert "Denied" in failure.reason


class TestTheServer:
    def test_another_region_than_it_has(
        self, start_minio: Callable[..., MinioServer], open_backend: OpenBackend
    ) -> None:
        server = start_minio(region="eu-test-1")
        error = failure_of(open_backend(server=server, region="us-east-1"))
        assert "the region is wrong" in error.message
        assert error.hint == 'Set minio.region = "eu-test-1", or leave it empty, so that the server is asked.'
        for region in ("", "eu-test-1"):
            backend = open_backend(server=server, region=region)
            backend.put("a", io.BytesIO(b"x"))
            assert backend.stat("a").size == 1

    def test_a_clock_that_is_off(self, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        slow = datetime.now(UTC) - timedelta(hours=2)
        monkeypatch.setattr("minio.time.utcnow", lambda: slow)
        for step in steps(open_backend()):
            with pytest.raises(StorageError, match="the clocks of the server and of this machine differ") as caught:
                step()
            assert "there, " in caught.value.message
            assert "timedatectl" in (caught.value.hint or "")

    def test_plain_http_to_a_port_with_tls(
        self, start_minio: Callable[..., MinioServer], open_backend: OpenBackend
    ) -> None:
        server = start_minio(tls=True)
        error = failure_of(open_backend(server=server, use_ssl=False))
        assert "wants TLS" in error.message
        assert "minio.use_ssl = true" in (error.hint or "")

    def test_a_certificate_of_its_own_is_believed_when_it_is_named(
        self, start_minio: Callable[..., MinioServer], open_backend: OpenBackend
    ) -> None:
        server = start_minio(tls=True)
        error = failure_of(open_backend(server=server, cert_file=""))
        assert "its certificate is not trusted: self-signed certificate" in error.message
        assert not isinstance(error, StorageUnavailableError)
        assert "Set minio.cert_file" in (error.hint or "")
        backend = open_backend(server=server)
        data = bytes(range(256)) * 30_000
        assert backend.put("a", io.BytesIO(data)).size == len(data)
        with backend.get("a", offset=1) as reader:
            assert reader.read() == data[1:]
        assert list(backend.delete(["a"])) == []

    def test_tls_to_a_port_without_it(self, open_backend: OpenBackend) -> None:
        error = failure_of(open_backend(use_ssl=True))
        assert "no secure connection" in error.message
        assert "minio.use_ssl = false" in (error.hint or "")

    def test_a_file_that_holds_no_certificate(self, open_backend: OpenBackend) -> None:
        with pytest.raises(ConfigError, match="holds no certificates that can be read") as caught:
            open_backend(use_ssl=True, cert_file=__file__)
        assert "BEGIN CERTIFICATE" in (caught.value.hint or "")

    def test_nothing_listens(self, open_backend: OpenBackend) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        for step in steps(open_backend(endpoint=f"127.0.0.1:{port}")):
            with pytest.raises(StorageUnavailableError, match="nothing listens there"):
                step()

    def test_no_host_of_that_name(self, open_backend: OpenBackend) -> None:
        error = failure_of(open_backend(endpoint="no-such-host.invalid:9000"))
        assert isinstance(error, StorageUnavailableError)
        assert "no host of that name is known" in error.message

    def test_a_server_that_is_not_s3(self, open_backend: OpenBackend, web_server: str) -> None:
        error = failure_of(open_backend(endpoint=web_server))
        assert "what answers there is not S3: HTTP status 404, text/html" in error.message
        assert "port of the API" in (error.hint or "")


@pytest.fixture
def web_server() -> Iterator[str]:
    """A server that knows nothing of S3."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
