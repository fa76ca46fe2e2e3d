"""What S3 answers when it will not: its code, as one of botdock's errors."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import attrs

from botdock.errors import BotdockError, StorageError, StorageKeyError, StorageUnavailableError
from botdock_storage_minio.faults import is_transient

if TYPE_CHECKING:
    from minio.error import S3Error

    from botdock_storage_minio.settings import Place

_SHOWN = 300
"""Characters of the server's words that a message repeats."""


@attrs.frozen(kw_only=True)
class Call:
    """What was asked of which storage, for the message when it fails.

    Attributes:
        doing: A verb, such as `write`.
        place: The bucket, and where it is.
        key: The key it was about; empty when it was about the bucket.
        secrets: What no message may repeat, whoever said it.
    """

    doing: str
    place: Place
    key: str = ""
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)

    def error(self, kind: type[StorageError], problem: str, hint: str | None = None) -> StorageError:
        """Return an error of a kind that says what went wrong with this call."""
        what = f" {self.key!r} in" if self.key else ""
        message = self._without_secrets(f"cannot {self.doing}{what} {self.place}: {problem}")
        return kind(message, key=self.key or None, backend=str(self.place), hint=hint)

    def betrayed_by(self, error: BaseException) -> bool:
        """Whether an error repeats a secret."""
        return any(secret in str(error) for secret in filter(None, self.secrets))

    def _without_secrets(self, text: str) -> str:
        for secret in filter(None, self.secrets):
            text = text.replace(secret, "***")
        return text


@attrs.frozen
class _Rule:
    """What a code of S3 means to a person."""

    problem: str
    hint: str


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
    "InvalidAccessKeyId": _Rule("it does not know the access key", _KEY_HINT),
    "SignatureDoesNotMatch": _Rule("the secret key does not fit the access key", _SIGNATURE_HINT),
    "AccessDenied": _Rule("the key may not do that", _POLICY_HINT),
    "AllAccessDisabled": _Rule("the key may not do that", _POLICY_HINT),
    "AuthorizationHeaderMalformed": _Rule("the region is wrong", _REGION_HINT),
    "InvalidRegion": _Rule("the region is wrong", _REGION_HINT),
    "IllegalLocationConstraintException": _Rule("the region is wrong", _REGION_HINT),
    **dict.fromkeys(
        ("PermanentRedirect", "TemporaryRedirect", "Redirect"),
        _Rule("the bucket is in another region", _OTHER_REGION_HINT),
    ),
    "RequestTimeTooSkewed": _Rule("the clocks of the server and of this machine differ too much", _CLOCK_HINT),
    "NoSuchBucket": _Rule("there is no such bucket", _BUCKET_HINT),
    "BucketAlreadyExists": _Rule("the bucket belongs to somebody else", _TAKEN_HINT),
    **dict.fromkeys(
        ("XMinioStorageFull", "XMinioDiskFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"),
        _Rule("it has no space left", _FULL_HINT),
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
_AGAIN = "It was asked more than once; try again later. `mc admin info ALIAS` says how a MinIO is."
_EXPECTED_REGION = re.compile(r"expecting '([A-Za-z0-9_-]{1,63})'")


def refusal(error: S3Error, call: Call) -> BotdockError:
    """Return botdock's error for one of S3's."""
    code, words = error.code or "", " ".join((error.message or "").split())[:_SHOWN]
    if code in _NO_KEY and call.key:
        return StorageKeyError(call.key, f"is refused by {call.place}: {words}")
    if is_transient(error):
        return call.error(StorageUnavailableError, f"it is not well: {code}: {words}", _AGAIN)
    if code == "AccessDenied" and not any(call.secrets):
        return call.error(StorageError, "it takes no unsigned requests", _UNSIGNED_HINT)
    if (rule := _RULES.get(code)) is None:
        return call.error(StorageError, f"{code or 'refused'}: {words}")
    problem = f"{rule.problem}{_details(code, words, error)}"
    hint = rule.hint.format(bucket=call.place.bucket, region=expected_region(error) or "...")
    return call.error(StorageError, problem, hint)


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
