"""The settings of this storage, and where the objects of an area lie."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock.config import Section, rules, setting
from botdock.errors import ConfigError, StorageKeyError
from botdock.model import StorageArea, validate_key
from botdock.model.limits import GIB, MIB
from botdock.model.storage import MAX_KEY_BYTES
from botdock.model.units import Bytes, Seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDPOINT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?")
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@attrs.frozen(kw_only=True)
class MinIOSettings(Section):
    """The settings of this storage: `[minio]`, or `[options.minio]`.

    Attributes:
        endpoint: `host:port`.
        access_key: Name of the key; empty, with an empty `secret_key`, means that requests are not signed.
        secret_key: The key.
        use_ssl: Whether to talk TLS.
        bucket_name: One bucket for everything, with a prefix per area; empty means the three buckets below.
        region: Such as `us-east-1`; empty means the server's.
        code_bucket: Where code lies.
        results_bucket: Where results go.
        logs_bucket: Where logs go.
        prefix: What every key begins with, such as `team-a`, where several share a bucket.
        cert_file: PEM file of the authorities that are trusted; empty means SSL_CERT_FILE, else the usual ones.
        create_buckets: Whether an absent bucket is made by the first write to it.
        connect_timeout: To open a connection.
        read_timeout: How long a server may neither send nor take a byte.
        total_timeout: For one request with its repetitions, such as a part of an object, or a page of a listing.
        retries: How often a request that failed for a transient reason is tried again.
        part_size: Bytes of one part of an upload; 5 MiB is S3's least, and an object has at most 10,000 parts.
        parallel_parts: Parts of one upload that are on their way at once; each is held in memory.
    """

    endpoint: str = setting("", variable="MINIO_ENDPOINT")
    access_key: str = setting("", secret=True, variable="MINIO_ACCESS_KEY")
    secret_key: str = setting("", secret=True, variable="MINIO_SECRET_KEY")
    use_ssl: bool = setting(default=False, variable="MINIO_SSL")
    bucket_name: str = ""
    region: str = ""
    code_bucket: str = setting("custom-bots", variable="MINIO_CODE_BUCKET")
    results_bucket: str = setting("backtests", variable="MINIO_BACKTESTS_BUCKET")
    logs_bucket: str = setting("bot-logs", variable="MINIO_LOGS_BUCKET")
    prefix: str = ""
    cert_file: str = setting("", rule=rules.PATH)
    create_buckets: bool = True
    connect_timeout: Seconds = setting(5.0, rule=rules.WAIT)
    read_timeout: Seconds = setting(30.0, rule=rules.WAIT)
    total_timeout: Seconds = setting(120.0, rule=rules.WAIT)
    retries: int = setting(3, rule=rules.number(0, 100))
    part_size: Bytes = setting(8 * MIB, rule=rules.number(5 * MIB, 5 * GIB))  # S3's own bounds
    parallel_parts: int = setting(2, rule=rules.number(1, 64))


@attrs.frozen(kw_only=True)
class Location:
    """A bucket, or a part of one, that is the namespace of one area.

    Attributes:
        url: Of the server, such as `http://127.0.0.1:9000`.
        bucket: Name of the bucket.
        prefix: What the name of every object of ours begins with: empty, or a text that ends with `/`.
    """

    url: str
    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        """Name the location, for messages; it holds no secret."""
        path = f"/{self.prefix}" if self.prefix else ""
        return f"minio ({self.url}/{self.bucket}{path.rstrip('/')})"

    def name_of(self, key: str) -> str:
        """Return the name of the object that holds a key.

        Raises:
            StorageKeyError: Not a key, or one that MinIO refuses.
        """
        name = self.prefix + validate_key(key)
        if len(name.encode()) > MAX_KEY_BYTES:
            room = MAX_KEY_BYTES - len(self.prefix.encode())
            raise StorageKeyError(key, f"is longer than {room} bytes, which is what the prefix {self.prefix!r} leaves")
        if any(segment.strip() in {".", ".."} for segment in key.split("/")):
            raise StorageKeyError(key, "holds a segment that is '.' or '..' but for spaces, which MinIO refuses")
        return name

    def key_of(self, name: str) -> str | None:
        """Return the key that an object holds; None for an object of others whose name is not a key."""
        key = name.removeprefix(self.prefix)
        try:
            self.name_of(key)
        except StorageKeyError:
            return None
        return key


def location_of(config: MinIOSettings, area: StorageArea) -> Location:
    """Return where an area lies: a bucket of its own, or with `bucket_name` a prefix in the one bucket.

    Raises:
        ConfigError: With every setting that is wrong.
    """
    if problems := [f"minio.{problem}" for problem in _problems(config)]:
        raise ConfigError(problems)
    own = {
        StorageArea.CODE: config.code_bucket,
        StorageArea.RESULTS: config.results_bucket,
        StorageArea.LOGS: config.logs_bucket,
    }
    parts = [config.prefix.strip("/"), area.value if config.bucket_name else ""]
    return Location(
        url=f"{'https' if config.use_ssl else 'http'}://{config.endpoint}",
        bucket=config.bucket_name or own[area],
        prefix="".join(f"{part}/" for part in parts if part),
    )


def _problems(config: MinIOSettings) -> Iterator[str]:
    yield from _endpoint_problems(config)
    if bool(config.access_key) != bool(config.secret_key):
        missing, there = ("secret_key", "access_key") if config.access_key else ("access_key", "secret_key")
        yield f"{missing}: must be set where {there} is (or neither, for a server that takes unsigned requests)"
    if config.region and not _REGION.fullmatch(config.region):
        yield f"region: {config.region!r} is not the name of a region; write for example us-east-1"
    if config.cert_file and not Path(config.cert_file).expanduser().is_file():
        yield f"cert_file: {config.cert_file!r} is not a file"
    yield from _bucket_problems(config)
    yield from _prefix_problems(config.prefix)


def _endpoint_problems(config: MinIOSettings) -> Iterator[str]:
    endpoint = config.endpoint
    if not endpoint:
        yield "endpoint: must be set, as host:port, such as 127.0.0.1:9000 (or MINIO_ENDPOINT)"
    elif "@" in endpoint:  # the text before it may be a password, so nothing of it is repeated
        yield "endpoint: must hold no credentials; they are access_key and secret_key"
    elif "://" in endpoint:
        yield f"endpoint: write host:port without {endpoint.partition('://')[0]}://; use_ssl = true means https"
    elif not _ENDPOINT.fullmatch(endpoint):
        yield f"endpoint: {endpoint!r} is not host:port; write for example 127.0.0.1:9000"


def _bucket_problems(config: MinIOSettings) -> Iterator[str]:
    names = ("bucket_name",) if config.bucket_name else ("code_bucket", "results_bucket", "logs_bucket")
    for name in names:
        bucket = getattr(config, name)
        if not _BUCKET.fullmatch(bucket):
            yield f"{name}: {bucket!r} is not the name of a bucket: 3 to 63 of a-z, 0-9, '-' and '.', no '..'"


def _prefix_problems(prefix: str) -> Iterator[str]:
    if prefix.strip("/"):
        try:
            validate_key(prefix.strip("/"))
        except StorageKeyError as error:
            yield f"prefix: {error.message.removeprefix('storage key ')}"
