"""No foreign error is let out, and each says what it means."""

from __future__ import annotations

import http.client
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import attrs
import minio.error
import pytest
import urllib3
import urllib3.exceptions
from minio.error import S3Error

from botdock.errors import BotdockError, StorageError, StorageKeyError, StorageUnavailableError
from botdock_storage_minio import errors
from botdock_storage_minio.errors import Operation, is_transient, translate, translated
from botdock_storage_minio.settings import Location
from botdock_storage_minio.transport import NotS3Error

OPERATION = Operation(
    doing="write", location=Location(url="http://h:9000", bucket="b"), key="k", secrets=("s3cr3t", "kingsley")
)


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
            *exceptions_of(errors),
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
        with pytest.raises(BotdockError) as caught, translated(OPERATION):
            raise error
        assert "cannot write 'k' in minio (http://h:9000/b): " in str(caught.value)
        assert caught.value.__cause__ is error

    def test_botdocks_own_go_through(self) -> None:
        mine = StorageKeyError("k", "is bad")
        with pytest.raises(StorageKeyError) as caught, translated(OPERATION):
            raise mine
        assert caught.value is mine

    @pytest.mark.parametrize(
        ("error", "kind", "says"),
        [
            (s3_error("SlowDown", "Please reduce", 503), StorageUnavailableError, "it is not well: SlowDown"),
            (s3_error("RequestTimeout"), StorageUnavailableError, "it is not well"),
            (s3_error("XMinioStorageFull", "full", 507), StorageError, "it has no space left"),
            (s3_error("QuotaExceeded"), StorageError, "mc quota info ALIAS/b"),
            (s3_error("BucketAlreadyExists"), StorageError, "belongs to another account"),
            (s3_error("PermanentRedirect", status=301), StorageError, "another region"),
            (s3_error("AuthorizationHeaderMalformed", "is wrong"), StorageError, 'minio.region = "..."'),
            (s3_error("RequestTimeTooSkewed", date="nonsense"), StorageError, "differ too much\n"),
            (s3_error("XMinioParentIsObject", "no"), StorageKeyError, "is refused by minio"),
            (s3_error("NotImplemented", "a  long\nstory"), StorageError, "NotImplemented: a long story"),
            (s3_error(""), StorageError, "refused: "),
            (minio.error.ServerError("x", 502), StorageUnavailableError, "it is not well"),
            (minio.error.ServerError("x", 505), StorageError, "is not S3"),
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
        found = translate(error, OPERATION)
        assert type(found) is kind
        assert says in f"{found}\n"

    def test_a_certificate_for_another_name(self) -> None:
        cause = ssl.SSLCertVerificationError(1, "x")
        cause.verify_message = "IP address mismatch, certificate is not valid for '127.0.0.9'."
        found = translate(urllib3.exceptions.SSLError(cause), OPERATION)
        assert found.hint == errors.CERTIFICATE_NAME

    def test_a_refused_key_of_the_whole_bucket_is_not_an_error_of_a_key(self) -> None:
        found = translate(s3_error("XMinioInvalidObjectName", "bad"), attrs.evolve(OPERATION, key=""))
        assert type(found) is StorageError

    def test_no_secret_that_a_server_repeats_is_shown(self) -> None:
        found = translate(s3_error("Odd", "kingsley signed with s3cr3t"), OPERATION)
        assert "*** signed with ***" in found.message
        assert "s3cr3t" not in repr(OPERATION)

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
