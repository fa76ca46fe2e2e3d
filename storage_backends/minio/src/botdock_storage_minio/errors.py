"""Every foreign error, as one of botdock's: of minio, urllib3, http.client, ssl, XML and the operating system."""

from __future__ import annotations

import http.client
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

import urllib3.exceptions as http_errors
from minio.error import MinioAdminException, MinioException, S3Error, ServerError

from botdock.errors import BotdockError, StorageError, StorageUnavailableError
from botdock_storage_minio.faults import ShortAnswerError, is_transient
from botdock_storage_minio.refusals import Call, refusal
from botdock_storage_minio.transport import NotS3Error

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    ValueError,  # what is no number, no text, no address
)
"""All that speaking to an S3 may raise."""

_SHOWN = 300
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


@contextmanager
def translated(call: Call) -> Iterator[None]:
    """Raise botdock's errors in place of the foreign ones."""
    try:
        yield
    except BotdockError:
        raise
    except FOREIGN as error:
        # A server may repeat a key in its words; then they are not kept as the cause either.
        raise translate(error, call) from (None if call.betrayed_by(error) else error)


def translate(error: BaseException, call: Call) -> BotdockError:
    """Return botdock's error for a foreign one."""
    if isinstance(error, S3Error):
        return refusal(error, call)
    if isinstance(error, NotS3Error | ServerError):
        return _no_s3(error, call)
    for kinds, kind, problem, hint in _MEANINGS:
        if isinstance(error, kinds):
            return call.error(kind, problem, hint)
    if isinstance(error, http_errors.SSLError | ssl.SSLError):
        return _insecure(error, call)
    if isinstance(error, TimeoutError):
        return call.error(StorageUnavailableError, str(error) or "not done in time", SLOW)
    kind = StorageUnavailableError if is_transient(error) or isinstance(error, OSError) else StorageError
    return call.error(kind, _words(error), AGAIN if kind is StorageUnavailableError else None)


def _no_s3(error: NotS3Error | ServerError, call: Call) -> BotdockError:
    if is_transient(error):
        return call.error(StorageUnavailableError, f"it is not well: {error}", AGAIN)
    if isinstance(error, NotS3Error) and error.wants_tls:
        return call.error(StorageError, "it was spoken to in plain HTTP, and wants TLS", USE_TLS)
    return call.error(StorageError, f"what answers there is no S3: {error}", API_PORT)


def _insecure(error: BaseException, call: Call) -> StorageError:
    cause = next((part for part in error.args if isinstance(part, ssl.SSLError)), error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        names = "mismatch" in cause.verify_message
        hint = CERTIFICATE_NAME if names else CERTIFICATE
        return call.error(StorageError, f"its certificate is not trusted: {cause.verify_message}", hint)
    if is_transient(error):
        return call.error(StorageUnavailableError, f"the connection broke: {_words(cause)}", AGAIN)
    reason = getattr(cause, "reason", "") or ""
    plain = reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
    return call.error(StorageError, f"no secure connection: {_words(cause)}", NO_TLS if plain else CERTIFICATE)


def _words(error: BaseException) -> str:
    """Return what an error says, without what urllib3 puts before it: an object's address in memory."""
    text = " ".join(str(error).split())
    return text.rpartition(">: ")[2][:_SHOWN] or type(error).__name__


_MEANINGS: tuple[tuple[tuple[type[BaseException], ...], type[StorageError], str, str], ...] = (
    ((http_errors.NameResolutionError,), StorageUnavailableError, "nobody knows a host of that name", NAME),
    ((http_errors.NewConnectionError,), StorageUnavailableError, "nothing listens there", START),
    ((http_errors.ConnectTimeoutError,), StorageUnavailableError, "it did not take the connection in time", START),
    ((http_errors.TimeoutError,), StorageUnavailableError, "it did not answer in time", SLOW),
    ((ShortAnswerError,), StorageUnavailableError, "less came than there is of it", AGAIN),
    ((ParseError, ValueError), StorageUnavailableError, "it answered what is not S3's XML", API_PORT),
)
"""The first that fits decides; urllib3's errors descend from each other, so the particular ones stand first."""
