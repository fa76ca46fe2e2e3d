"""Every foreign error, as one of botdock's: of minio, urllib3, http.client, ssl, XML and the operating system."""

from __future__ import annotations

import http.client
import re
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

import attrs
import urllib3.exceptions as http_errors
from minio.error import MinioAdminException, MinioException, S3Error, ServerError

from botdock.errors import BotdockError, StorageError, StorageKeyError, StorageUnavailableError
from botdock_storage_minio.transport import NotS3Error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock_storage_minio.settings import Location


class ShortAnswerError(Exception):
    """Less of an object came than there is of it."""


FOREIGN = (
    MinioException,
    MinioAdminException,
    http_errors.HTTPError,
    http_errors.HTTPWarning,
    http.client.HTTPException,
    NotS3Error,
    ShortAnswerError,
    ParseError,
    OSError,
    ValueError,  # not a number, not text, not an address
)
"""All that speaking to an S3 may raise."""

_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Request Timeout, Too Many Requests, and what a server, or a proxy before it, says when it is not well."""
_CODES = frozenset({"BadDigest", "IncompleteBody", "OperationAborted", "RequestTimeout", "XAmzContentSHA256Mismatch"})
"""S3's words, under other statuses, for bytes that were changed or lost on the way, or that came too late."""
_SHOWN = 300
"""Characters of a foreign text that a message repeats."""
START = "Is the server up? Start it, or set minio.endpoint (MINIO_ENDPOINT) to where it listens."
NAME = "Mend the host in minio.endpoint (MINIO_ENDPOINT), or this machine's name service."
SLOW = (
    "The way there or the server is slow: minio.connect_timeout, read_timeout and total_timeout say how long to wait."
)
AGAIN = "The server or something before it went away; try again later."
API_PORT = "minio.endpoint must be the port of the API, 9000 unless you chose another; the console has one of its own."
USE_TLS = "That port wants TLS: set minio.use_ssl = true (MINIO_SSL=true)."
NO_TLS = "That port does not talk TLS: set minio.use_ssl = false, or name the port that does."
CERTIFICATE = "Set minio.cert_file to a PEM file with the certificate of the authority that signed it, or with itself."
CERTIFICATE_NAME = "Use a name in minio.endpoint that the certificate is for."
_STILL_AWAY = "It was asked more than once; try again later. `mc admin info ALIAS` says how a MinIO is."


@attrs.frozen(kw_only=True)
class Operation:
    """What was asked of which storage, for the messages of errors.

    Attributes:
        doing: A verb, such as `write`.
        location: The bucket, and where it is.
        key: Empty for an operation on the bucket.
        secrets: What no message may repeat, also where a server does.
    """

    doing: str
    location: Location
    key: str = ""
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)

    def error(self, kind: type[StorageError], problem: str, hint: str | None = None) -> StorageError:
        """Return an error of a kind that says what went wrong."""
        what = f" {self.key!r} in" if self.key else ""
        message = f"cannot {self.doing}{what} {self.location}: {problem}"
        for secret in filter(None, self.secrets):
            message = message.replace(secret, "***")
        return kind(message, key=self.key or None, backend=str(self.location), hint=hint)

    def betrayed_by(self, error: BaseException) -> bool:
        """Whether an error repeats a secret."""
        return any(secret in str(error) for secret in filter(None, self.secrets))


@contextmanager
def translated(operation: Operation) -> Iterator[None]:
    """Raise botdock's errors in place of the foreign ones."""
    try:
        yield
    except BotdockError:
        raise
    except FOREIGN as error:
        # A server may repeat a key in its message; then the error is not kept as the cause either.
        raise translate(error, operation) from (None if operation.betrayed_by(error) else error)


def translate(error: BaseException, operation: Operation) -> BotdockError:
    """Return botdock's error for a foreign one."""
    if isinstance(error, S3Error):
        return _refusal(error, operation)
    if isinstance(error, NotS3Error | ServerError):
        return _not_s3(error, operation)
    for kinds, kind, problem, hint in _MEANINGS:
        if isinstance(error, kinds):
            return operation.error(kind, problem, hint)
    if isinstance(error, http_errors.SSLError | ssl.SSLError):
        return _insecure(error, operation)
    if isinstance(error, TimeoutError):
        return operation.error(StorageUnavailableError, str(error) or "not done in time", SLOW)
    kind = StorageUnavailableError if is_transient(error) or isinstance(error, OSError) else StorageError
    return operation.error(kind, _words(error), AGAIN if kind is StorageUnavailableError else None)


def _not_s3(error: NotS3Error | ServerError, operation: Operation) -> BotdockError:
    if is_transient(error):
        return operation.error(StorageUnavailableError, f"it is not well: {error}", AGAIN)
    if isinstance(error, NotS3Error) and error.wants_tls:
        return operation.error(StorageError, "it was spoken to in plain HTTP, and wants TLS", USE_TLS)
    return operation.error(StorageError, f"what answers there is not S3: {error}", API_PORT)


def _insecure(error: BaseException, operation: Operation) -> StorageError:
    cause = next((part for part in error.args if isinstance(part, ssl.SSLError)), error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        names = "mismatch" in cause.verify_message
        hint = CERTIFICATE_NAME if names else CERTIFICATE
        return operation.error(StorageError, f"its certificate is not trusted: {cause.verify_message}", hint)
    if is_transient(error):
        return operation.error(StorageUnavailableError, f"the connection broke: {_words(cause)}", AGAIN)
    reason = getattr(cause, "reason", "") or ""
    plain = reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
    return operation.error(StorageError, f"no secure connection: {_words(cause)}", NO_TLS if plain else CERTIFICATE)


def _words(error: BaseException) -> str:
    """Return what an error says, without what urllib3 puts before it: an object's address in memory."""
    text = " ".join(str(error).split())
    return text.rpartition(">: ")[2][:_SHOWN] or type(error).__name__


def is_transient(error: BaseException) -> bool:
    """Whether the same request, sent again, may succeed; never so for a refused key."""
    if isinstance(error, S3Error):
        return error.code in _CODES or error.response.status in _STATUSES
    if isinstance(error, ServerError):
        return error.status_code in _STATUSES
    if isinstance(error, NotS3Error):
        return error.status in _STATUSES
    if isinstance(error, http_errors.SSLError):
        return any(isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError) for cause in error.args)
    if isinstance(error, http_errors.NameResolutionError):
        return False
    return isinstance(error, http_errors.TimeoutError | http_errors.ProtocolError | ParseError | ShortAnswerError)


def _refusal(error: S3Error, operation: Operation) -> BotdockError:
    """Return botdock's error for one of S3's."""
    code, words = error.code or "", " ".join((error.message or "").split())[:_SHOWN]
    if code in _NO_KEY and operation.key:
        return StorageKeyError(operation.key, f"is refused by {operation.location}: {words}")
    if is_transient(error):
        return operation.error(StorageUnavailableError, f"it is not well: {code}: {words}", _STILL_AWAY)
    if code == "AccessDenied" and not any(operation.secrets):
        return operation.error(StorageError, "it takes no unsigned requests", _UNSIGNED_HINT)
    if (rule := _RULES.get(code)) is None:
        return operation.error(StorageError, f"{code or 'refused'}: {words}")
    problem, hint = f"{rule[0]}{_details(code, words, error)}", rule[1]
    hint = hint.format(bucket=operation.location.bucket, region=expected_region(error) or "...")
    return operation.error(StorageError, problem, hint)


def expected_region(error: S3Error) -> str | None:
    """Return the region that a server says it is in, when it refuses another."""
    found = _EXPECTED_REGION.search(error.message or "")
    return found[1] if found else None


def _details(code: str, words: str, error: S3Error) -> str:
    if code == "RequestTimeTooSkewed":
        return _clocks(error.response.headers.get("date"))
    known = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"}
    return f": {words}" if words and code not in known else ""


def _clocks(date: str | None) -> str:
    try:
        server = parsedate_to_datetime(date or "").astimezone(UTC)
    except ValueError:
        return ""
    return f": {server:%Y-%m-%d %H:%M:%S} there, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} here (UTC)"


_KEY_HINT = "Mend minio.access_key (MINIO_ACCESS_KEY); `mc admin user ls ALIAS` lists those that a MinIO knows."
_SIGNATURE_HINT = (
    "Mend minio.secret_key (MINIO_SECRET_KEY). A proxy that changes host or path of a request breaks its signature too."
)
_POLICY_HINT = (
    "Let it get, put, list and delete objects of that bucket: `mc admin policy attach ALIAS readwrite --user KEY`; "
    "and set minio.region where it may not ask for a bucket's."
)
_UNSIGNED_HINT = "No key is configured: set minio.access_key and minio.secret_key."
_REGION_HINT = 'Set minio.region = "{region}", or leave it empty, so that the server is asked.'
_OTHER_REGION_HINT = "Leave minio.region empty, so that the server is asked, or set it to the bucket's own."
_CLOCK_HINT = "Set this machine's clock: `timedatectl set-ntp true`; requests are signed with the time."
_BUCKET_HINT = "Make it with `mc mb ALIAS/{bucket}`, or set minio.create_buckets = true."
_TAKEN_HINT = "Bucket names are shared by all: choose another one in the section [minio]."
_FULL_HINT = "Free some space or raise the quota: `mc admin info ALIAS`, `mc quota info ALIAS/{bucket}`."

_RULES = {
    "InvalidAccessKeyId": ("it does not know the access key", _KEY_HINT),
    "SignatureDoesNotMatch": ("the secret key does not fit the access key", _SIGNATURE_HINT),
    "AccessDenied": ("the key may not do that", _POLICY_HINT),
    "AllAccessDisabled": ("the key may not do that", _POLICY_HINT),
    "AuthorizationHeaderMalformed": ("the region is wrong", _REGION_HINT),
    "InvalidRegion": ("the region is wrong", _REGION_HINT),
    "IllegalLocationConstraintException": ("the region is wrong", _REGION_HINT),
    **dict.fromkeys(
        ("PermanentRedirect", "TemporaryRedirect", "Redirect"),
        ("the bucket is in another region", _OTHER_REGION_HINT),
    ),
    "RequestTimeTooSkewed": ("the clocks of the server and of this machine differ too much", _CLOCK_HINT),
    "NoSuchBucket": ("there is no such bucket", _BUCKET_HINT),
    "BucketAlreadyExists": ("the bucket belongs to another account", _TAKEN_HINT),
    **dict.fromkeys(
        ("XMinioStorageFull", "XMinioDiskFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"),
        ("it has no space left", _FULL_HINT),
    ),
}
_NO_KEY = frozenset(
    {
        "KeyTooLongError",
        "XMinioInvalidObjectName",
        "XMinioInvalidResourceName",
        "XMinioObjectExistsAsDirectory",
        "XMinioParentIsObject",
    }
)
_EXPECTED_REGION = re.compile(r"expecting '([A-Za-z0-9_-]{1,63})'")

_MEANINGS: tuple[tuple[tuple[type[BaseException], ...], type[StorageError], str, str], ...] = (
    ((http_errors.NameResolutionError,), StorageUnavailableError, "no host of that name is known", NAME),
    ((http_errors.NewConnectionError,), StorageUnavailableError, "nothing listens there", START),
    ((http_errors.ConnectTimeoutError,), StorageUnavailableError, "it did not take the connection in time", START),
    ((http_errors.TimeoutError,), StorageUnavailableError, "it did not answer in time", SLOW),
    ((ShortAnswerError,), StorageUnavailableError, "less came than there is of it", AGAIN),
    ((ParseError, ValueError), StorageUnavailableError, "it answered what is not S3's XML", API_PORT),
)
"""The first that fits decides; urllib3's errors descend from each other, so the particular ones stand first."""
