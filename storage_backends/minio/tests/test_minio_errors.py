"""Each mistake and each fault, on a real server where it can be had, as one clear error."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import attrs
import minio.error
import pytest
import urllib3
import urllib3.exceptions
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import S3Error

from botdock.errors import BotdockError, ConfigError, StorageError, StorageKeyError, StorageUnavailableError
from botdock_storage_minio import errors, faults
from botdock_storage_minio.backend import MinIOBackend
from botdock_storage_minio.errors import translate, translated
from botdock_storage_minio.faults import is_transient
from botdock_storage_minio.refusals import Call
from botdock_storage_minio.settings import Place
from botdock_storage_minio.transport import NotS3Error
from testbed.minio import MinioServer

OpenBackend = Callable[..., MinIOBackend]
CALL = Call(doing="write", place=Place(url="http://h:9000", bucket="b"), key="k", secrets=("s3cr3t", "kingsley"))


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
        for step in steps(open_backend(access_key="nobody-knows-me", region=region)):
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
        bucket = mine._place.bucket
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

    def test_nobody_listens(self, open_backend: OpenBackend) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        for step in steps(open_backend(endpoint=f"127.0.0.1:{port}")):
            with pytest.raises(StorageUnavailableError, match="nothing listens there"):
                step()

    def test_no_host_of_that_name(self, open_backend: OpenBackend) -> None:
        error = failure_of(open_backend(endpoint="no-such-host.invalid:9000"))
        assert isinstance(error, StorageUnavailableError)
        assert "nobody knows a host of that name" in error.message

    def test_a_server_that_is_no_s3(self, open_backend: OpenBackend, web_server: str) -> None:
        error = failure_of(open_backend(endpoint=web_server))
        assert "what answers there is no S3: HTTP status 404, text/html" in error.message
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


def s3_error(code: str, message: str = "", status: int = 400, **headers: str) -> S3Error:
    return S3Error(urllib3.HTTPResponse(status=status, headers=headers), code, message, "/b/k", "id", "host")


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def exceptions_of(module: object) -> list[type[BaseException]]:
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, BaseException)]
    return [kind for kind in found if kind.__module__ == getattr(module, "__name__", "")]


def bare(kind: type[BaseException]) -> BaseException:
    """Return an instance without what its `__init__` wants."""
    made: dict[type[BaseException], BaseException] = {
        S3Error: s3_error("Nonsense"),
        http.client.IncompleteRead: http.client.IncompleteRead(b"", 1),
        urllib3.exceptions.IncompleteRead: urllib3.exceptions.IncompleteRead(0, 1),
        urllib3.exceptions.InvalidChunkLength: urllib3.exceptions.InvalidChunkLength(
            urllib3.HTTPResponse(b"", original_response=None), b"x"
        ),
    }
    if kind in made:
        return made[kind]
    error = kind.__new__(kind)
    needed = {"status": 400, "content_type": "", "wants_tls": False, "_status_code": 400, "verify_message": "bad"}
    vars(error).update(needed)
    return error


PACKAGES = {"minio", "urllib3", "http", "botdock_storage_minio", "ssl", "builtins"}
FOREIGN_KINDS = sorted(
    {
        kind
        for kind in (
            *exceptions_of(minio.error),
            *exceptions_of(urllib3.exceptions),
            *exceptions_of(http.client),
            *exceptions_of(faults),
            NotS3Error,
            ET.ParseError,
            *subclasses(ssl.SSLError),
            *subclasses(OSError),
        )
        if kind.__module__.split(".")[0] in PACKAGES
    },
    key=lambda kind: (kind.__module__, kind.__name__),
)


class TestTranslation:
    @pytest.mark.parametrize("kind", FOREIGN_KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
    def test_no_foreign_error_is_missed(self, kind: type[BaseException]) -> None:
        if kind.__module__.split(".")[0] not in {
            "minio",
            "urllib3",
            "http",
            "botdock_storage_minio",
            "ssl",
            "builtins",
        }:
            pytest.skip("of another package that happens to be loaded")
        try:
            error = bare(kind)
        except TypeError:
            pytest.skip("cannot be made")
        with pytest.raises(BotdockError) as caught, translated(CALL):
            raise error
        assert "cannot write 'k' in minio (http://h:9000/b): " in str(caught.value)
        assert caught.value.__cause__ is error

    def test_botdocks_own_go_through(self) -> None:
        mine = StorageKeyError("k", "is bad")
        with pytest.raises(StorageKeyError) as caught, translated(CALL):
            raise mine
        assert caught.value is mine

    @pytest.mark.parametrize(
        ("error", "kind", "says"),
        [
            (s3_error("SlowDown", "Please reduce", 503), StorageUnavailableError, "it is not well: SlowDown"),
            (s3_error("RequestTimeout"), StorageUnavailableError, "it is not well"),
            (s3_error("XMinioStorageFull", "full", 507), StorageError, "it has no space left"),
            (s3_error("QuotaExceeded"), StorageError, "mc quota info ALIAS/b"),
            (s3_error("BucketAlreadyExists"), StorageError, "belongs to somebody else"),
            (s3_error("PermanentRedirect", status=301), StorageError, "another region"),
            (s3_error("AuthorizationHeaderMalformed", "is wrong"), StorageError, 'minio.region = "..."'),
            (s3_error("RequestTimeTooSkewed", date="nonsense"), StorageError, "differ too much\n"),
            (s3_error("XMinioParentIsObject", "no"), StorageKeyError, "is refused by minio"),
            (s3_error("NotImplemented", "a  long\nstory"), StorageError, "NotImplemented: a long story"),
            (s3_error(""), StorageError, "refused: "),
            (minio.error.ServerError("x", 502), StorageUnavailableError, "it is not well"),
            (minio.error.ServerError("x", 505), StorageError, "is no S3"),
            (urllib3.exceptions.SSLError(ssl.SSLEOFError(8, "EOF")), StorageUnavailableError, "the connection broke"),
            (urllib3.exceptions.SSLError(ssl.SSLError(1, "odd")), StorageError, "no secure connection"),
            (urllib3.exceptions.ProtocolError("cut"), StorageUnavailableError, "cut"),
            (TimeoutError(), StorageUnavailableError, "not done in time"),
            (UnicodeDecodeError("utf-8", b"", 0, 1, "x"), StorageUnavailableError, "not S3's XML"),
            (ValueError("no"), StorageUnavailableError, "not S3's XML"),
            (urllib3.exceptions.InvalidHeader("odd"), StorageError, ": odd"),
        ],
    )
    def test_what_is_meant(self, error: BaseException, kind: type[BotdockError], says: str) -> None:
        found = translate(error, CALL)
        assert type(found) is kind
        assert says in f"{found}\n"

    def test_a_certificate_for_another_name(self) -> None:
        cause = ssl.SSLCertVerificationError(1, "x")
        cause.verify_message = "IP address mismatch, certificate is not valid for '127.0.0.9'."
        found = translate(urllib3.exceptions.SSLError(cause), CALL)
        assert found.hint == errors.CERTIFICATE_NAME

    def test_a_refused_key_of_the_whole_bucket_is_no_error_of_a_key(self) -> None:
        found = translate(s3_error("XMinioInvalidObjectName", "bad"), attrs.evolve(CALL, key=""))
        assert type(found) is StorageError

    def test_no_secret_is_repeated_whoever_says_it(self) -> None:
        found = translate(s3_error("Odd", "kingsley signed with s3cr3t"), CALL)
        assert "*** signed with ***" in found.message
        assert "s3cr3t" not in repr(CALL)

    @pytest.mark.parametrize(
        "error",
        [
            s3_error("AccessDenied", status=403),
            s3_error("NoSuchKey", status=404),
            urllib3.exceptions.SSLError(ssl.SSLCertVerificationError(1, "x")),
            ValueError(),
            KeyError(),
        ],
    )
    def test_what_does_not_pass_is_not_tried_again(self, error: BaseException) -> None:
        assert not is_transient(error)
