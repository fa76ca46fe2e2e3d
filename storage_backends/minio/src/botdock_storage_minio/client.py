"""The requests to one bucket, each repeated where that may help, and answers that are checked.

`Minio` signs, builds addresses and reads errors. Its public methods write whole objects only, so that `Client` is a
subclass, which may use its protected ones: for the parts of a multipart upload, and for keys that are blank, which S3
takes and the public methods do not.
"""

from __future__ import annotations

import random
import re
import threading
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, cast

import attrs
from minio import Minio
from minio.datatypes import Part, parse_list_objects
from minio.deleteobjects import DeleteError, DeleteObject
from minio.error import S3Error

from botdock.model import ObjectInfo
from botdock_storage_minio.errors import ShortAnswerError, expected_region, is_transient
from botdock_storage_minio.transport import Deadline, NotS3Error, Transport, trust, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from urllib3.response import BaseHTTPResponse

    from botdock_storage_minio.settings import MinIOSettings

    _Result = TypeVar("_Result")

PAGE = 1000
"""Keys of one page of a listing, and of one deletion: S3's bound."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two attempts; what the S3 clients of the large projects begin and end with."""
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_PAST_THE_END = 416
_REMOVALS = 3
"""How often a removal may come in between; each takes a deletion of the last neighbour at this very moment."""
_NOT_IN_XML = frozenset("\ufffe\uffff")
"""Characters of keys that XML 1.0 cannot hold; keys with them are deleted one by one."""


@attrs.frozen(kw_only=True)
class Opened:
    """A part of an object on its way.

    Attributes:
        stop: Offset after its last byte.
        etag: Of the object.
        body: What it is read from; None for a part that is empty.
    """

    stop: int
    etag: str = ""
    body: BaseHTTPResponse | None = None


class Client(Minio):
    """Speaks to one bucket; safe to use from several threads. It connects with its first request.

    An object is known by its name, which `ObjectInfo.key` holds here. A bucket that does not exist is an empty one,
    unless `create_buckets` is off: then its absence is an error.
    """

    def __init__(self, config: MinIOSettings, bucket: str) -> None:
        context = trust(config.cert_file) if config.use_ssl else None
        self._transport = Transport(connect_timeout=config.connect_timeout, context=context)
        self._config = config
        self._bucket = bucket
        self._closed = threading.Event()
        self._may_write = False
        super().__init__(
            config.endpoint,
            config.access_key or None,
            config.secret_key or None,
            secure=config.use_ssl,
            region=config.region or None,
            http_client=self._transport,
        )

    def close(self) -> None:
        """Close the connections that are idle, and repeat nothing from now on."""
        self._closed.set()
        self._transport.clear()

    def probe(self) -> None:
        """Ask for the bucket's region, which says whether the server answers, takes the key, and has the bucket."""
        self._run(lambda: self._execute("GET", self._bucket, query_params={"location": ""}))

    def make_own_bucket(self) -> None:
        """Make the bucket, in the server's region where none is configured; a bucket of ours is kept."""
        try:
            self._make_bucket_in(None)
        except S3Error as error:
            if (region := expected_region(error)) is None or self._config.region:
                raise
            self._make_bucket_in(region)

    def _make_bucket_in(self, region: str | None) -> None:
        try:
            self._run(lambda: self.make_bucket(self._bucket, region))
        except S3Error as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    def page(self, prefix: str, token: str | None = None, *, limit: int = PAGE) -> tuple[list[ObjectInfo], str | None]:
        """Return a page of the objects whose names begin with `prefix`, in order, and the token of the next."""
        query = {"list-type": "2", "delimiter": "", "encoding-type": "url", "max-keys": str(limit), "prefix": prefix}
        query |= {"continuation-token": token} if token else {}

        def ask() -> tuple[list[ObjectInfo], str | None]:
            response = self._execute("GET", self._bucket, query_params=dict(query))
            found, is_truncated, following, _ = parse_list_objects(response)
            objects = [
                ObjectInfo(
                    key=one.object_name or "",
                    size=one.size or 0,
                    etag=one.etag or "",
                    modified=one.last_modified or datetime.fromtimestamp(0, UTC),
                )
                for one in found
            ]
            return objects, following if is_truncated else None

        nothing: tuple[list[ObjectInfo], str | None] = ([], None)
        return self._unless_absent(ask, nothing)

    def delete(self, names: list[str]) -> list[DeleteError]:
        """Delete up to `PAGE` objects, and return what could not be deleted; an absent one counts as deleted."""
        for name in names:
            if _NOT_IN_XML & set(name):
                self._unless_absent(partial(self._execute, "DELETE", self._bucket, name), None)
        objects = [DeleteObject(name) for name in names if not _NOT_IN_XML & set(name)]

        def ask() -> list[DeleteError]:
            errors = self._delete_objects(self._bucket, objects, quiet=True).error_list
            if any(error.name is None for error in errors):  # under status 200, an error of the whole request
                raise ShortAnswerError
            return errors

        return self._unless_absent(ask, []) if objects else []

    def head(self, name: str) -> ObjectInfo:
        """Describe an object. Errors of the key say why, which the answer to a HEAD alone cannot."""

        def ask() -> ObjectInfo:
            response = self._execute("HEAD", self._bucket, name)
            size = response.headers.get("content-length", "")
            if not size.isdecimal():
                raise ShortAnswerError
            modified = _date(response.headers.get("last-modified"))
            return ObjectInfo(key=name, size=int(size), etag=_etag(response), modified=modified)

        try:
            return self._run(ask)
        except S3Error as error:
            if error.code != "NoSuchKey":
                self.probe()
            raise

    def open_part(self, name: str, offset: int, length: int | None, *, etag: str = "") -> Opened:
        """Open `length` bytes of an object, of which no fewer will be delivered unseen.

        A range is asked for always, because the answer to it says how large the whole is.

        Args:
            name: Of the object.
            offset: Of the first byte.
            length: Bytes, at least 1; None for all that follow.
            etag: What the object's must still be; empty for any.
        """
        last = "" if length is None else offset + length - 1
        headers = {"Range": f"bytes={offset}-{last}", **({"If-Match": f'"{etag}"'} if etag else {})}

        def ask() -> Opened:
            response = self._execute("GET", self._bucket, name, headers=dict(headers), preload_content=False)
            try:
                return self._checked(response, name, offset, length)
            except BaseException:
                response.close()
                raise

        try:
            return self._run(ask)
        except (S3Error, NotS3Error) as error:
            status = error.status if isinstance(error, NotS3Error) else error.response.status
            if status != _PAST_THE_END:
                raise
            return Opened(stop=offset)

    def put_whole(self, name: str, data: bytes | bytearray) -> ObjectInfo:
        """Write an object in one request; again where a folder of the name is removed in the same instant.

        A MinIO whose last object below a folder is being deleted removes that folder, and answers `AccessDenied` to a
        write into it. That answer is believed at once from a server that has taken no write of ours before.
        """

        def put() -> ObjectInfo:
            result = self._put_object(self._bucket, name, cast("bytes", data))
            return _written(name, result.etag, len(data), result.http_headers)

        for attempt in range(_REMOVALS + 1):
            try:
                info = self._run(put)
            except S3Error as error:
                if error.code != "AccessDenied" or not self._may_write or attempt == _REMOVALS:
                    raise
            else:
                break
        self._may_write = True
        return info

    def create_upload(self, name: str) -> str:
        """Begin a multipart upload, and return its id."""
        return self._run(lambda: self._create_multipart_upload(self._bucket, name, {}))

    def put_part(self, name: str, upload: str, number: int, data: bytes | bytearray) -> str:
        """Send one part, counted from 1, and return its etag."""
        return self._run(lambda: self._upload_part(self._bucket, name, cast("bytes", data), None, upload, number))

    def complete_upload(self, name: str, upload: str, etags: list[str], size: int) -> ObjectInfo:
        """Make the parts an object. An answer with status 200 that holds an error is an error."""
        parts = [Part(number, etag) for number, etag in enumerate(etags, start=1)]

        def complete() -> ObjectInfo:
            result = self._complete_multipart_upload(self._bucket, name, upload, parts)
            return _written(name, result.etag, size, result.http_headers)

        return self._run(complete)

    def abort_upload(self, name: str, upload: str) -> None:
        """Drop a multipart upload with its parts; an absent one counts as dropped."""
        try:
            self._run(lambda: self._abort_multipart_upload(self._bucket, name, upload))
        except S3Error as error:
            if error.code not in {"NoSuchUpload", "NoSuchBucket", "NoSuchKey"}:
                raise

    def _checked(self, response: BaseHTTPResponse, name: str, offset: int, length: int | None) -> Opened:
        """Compare an answer with the object's size, which a proxy that cuts bodies does not change as well."""
        found = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if found is not None:
            first, last, size = map(int, found.groups())
        else:
            first, size = 0, self.head(name).size
            last = size - 1
        stop = size if length is None else min(size, offset + length)
        announced = response.headers.get("content-length")
        if first != offset or last + 1 != stop or announced != str(stop - offset):
            raise ShortAnswerError
        return Opened(stop=stop, etag=_etag(response), body=response)

    def _run(self, call: Callable[[], _Result]) -> _Result:
        """Call, and repeat what failed for a transient reason, with growing pauses of random length."""
        deadline = Deadline(self._config.total_timeout, silence=self._config.read_timeout)
        with until(deadline):
            for number in range(self._config.retries):
                try:
                    return call()
                except Exception as error:
                    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**number)
                    pause = random.uniform(longest / 2, longest)  # noqa: S311 - it spreads clients over time
                    if not is_transient(error) or pause >= deadline.left or self._closed.wait(pause):
                        raise
            return call()

    def _unless_absent(self, call: Callable[[], _Result], otherwise: _Result) -> _Result:
        try:
            return self._run(call)
        except S3Error as error:
            if error.code != "NoSuchBucket" or not self._config.create_buckets:
                raise
            return otherwise


def _written(name: str, etag: str | None, size: int, headers: Mapping[str, str]) -> ObjectInfo:
    """Describe an object that was just written, with the server's clock when it answered."""
    if not etag:
        raise ShortAnswerError
    return ObjectInfo(key=name, size=size, etag=etag, modified=_date(headers.get("date")))


def _etag(response: BaseHTTPResponse) -> str:
    return response.headers.get("etag", "").strip('"')


def _date(text: str | None) -> datetime:
    try:
        return parsedate_to_datetime(text or "").astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)
