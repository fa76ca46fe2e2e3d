"""The requests about one object, each repeated where that may help, and answers that are checked."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, cast

import attrs
from minio.datatypes import Part
from minio.error import S3Error

from botdock_storage_minio.bucket_client import BucketClient
from botdock_storage_minio.faults import ShortAnswerError
from botdock_storage_minio.transport import NotS3Error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3.response import BaseHTTPResponse

_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_PAST_THE_END = 416
_REMOVALS = 3
"""How often a removal may come in between; each takes a deletion of the last neighbour at this very moment."""


@attrs.frozen(kw_only=True)
class Known:
    """What the server says of an object.

    Attributes:
        size: Bytes.
        etag: Without quotes.
        modified: UTC; for one that was just written, the server's clock when it answered.
    """

    size: int
    etag: str
    modified: datetime


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


class Client(BucketClient):
    """Reads and writes the objects of one bucket; safe to use from several threads."""

    _may_write = False

    def head(self, name: str) -> Known:
        """Say what is known of an object. Errors of the key say why, which the answer to a HEAD alone cannot."""
        try:
            return self._run(lambda: _known(self._execute("HEAD", self._bucket, name)))
        except S3Error as error:
            if error.code != "NoSuchKey":
                self.probe()
            raise

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        try:
            self.head(name)
        except S3Error as error:
            if error.code in {"NoSuchKey", "NoSuchBucket"}:
                return False
            raise
        return True

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

    def put_whole(self, name: str, data: bytes | bytearray) -> Known:
        """Write an object in one request."""

        def put() -> Known:
            result = self._put_object(self._bucket, name, cast("bytes", data))
            return self._written(result.etag, len(data), result.http_headers)

        known = self._despite_removals(put)
        self._may_write = True
        return known

    def _despite_removals(self, put: Callable[[], Known]) -> Known:
        """Write, again where a folder of the key goes in the same instant.

        A MinIO whose last object below a folder is being deleted removes that folder, and answers `AccessDenied` to
        whoever writes into it just then. That word is believed at once from a server that never let us write here.
        """
        for _ in range(_REMOVALS):
            try:
                return self._run(put)
            except S3Error as error:
                if error.code != "AccessDenied" or not self._may_write:
                    raise
        return self._run(put)

    def create_upload(self, name: str) -> str:
        """Begin a multipart upload, and return its id."""
        return self._run(lambda: self._create_multipart_upload(self._bucket, name, {}))

    def put_part(self, name: str, upload: str, number: int, data: bytes | bytearray) -> str:
        """Send one part, counted from 1, and return its etag."""
        return self._run(lambda: self._upload_part(self._bucket, name, cast("bytes", data), None, upload, number))

    def complete_upload(self, name: str, upload: str, etags: list[str], size: int) -> Known:
        """Make the parts an object. An answer with status 200 that holds an error is one."""
        parts = [Part(number, etag) for number, etag in enumerate(etags, start=1)]

        def complete() -> Known:
            result = self._complete_multipart_upload(self._bucket, name, upload, parts)
            return self._written(result.etag, size, result.http_headers)

        return self._run(complete)

    def abort_upload(self, name: str, upload: str) -> None:
        """Drop a multipart upload with its parts; one that is not there any more counts as dropped."""
        try:
            self._run(lambda: self._abort_multipart_upload(self._bucket, name, upload))
        except S3Error as error:
            if error.code not in {"NoSuchUpload", "NoSuchBucket", "NoSuchKey"}:
                raise

    def _checked(self, response: BaseHTTPResponse, name: str, offset: int, length: int | None) -> Opened:
        """Hold an answer against the object's size, which a proxy that cuts bodies does not change as well."""
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

    @staticmethod
    def _written(etag: str | None, size: int, headers: Mapping[str, str]) -> Known:
        if not etag:
            raise ShortAnswerError
        return Known(size=size, etag=etag, modified=_date(headers.get("date")))


def _etag(response: BaseHTTPResponse) -> str:
    return response.headers.get("etag", "").strip('"')


def _known(response: BaseHTTPResponse) -> Known:
    size = response.headers.get("content-length", "")
    if not size.isdecimal():
        raise ShortAnswerError
    return Known(size=int(size), etag=_etag(response), modified=_date(response.headers.get("last-modified")))


def _date(text: str | None) -> datetime:
    try:
        return parsedate_to_datetime(text or "").astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)
