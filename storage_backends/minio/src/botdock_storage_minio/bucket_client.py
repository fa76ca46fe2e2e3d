"""The requests about a bucket and many of its objects, each repeated where that may help.

`Minio` signs, builds addresses and reads errors. It has public methods for whole objects only, so that `BucketClient`
is a subclass, which may use its protected ones: for the parts of a multipart upload, and for keys that are blank, which
S3 takes and the public methods do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minio import Minio
from minio.datatypes import Object, Upload, parse_list_objects
from minio.deleteobjects import DeleteError, DeleteObject
from minio.error import S3Error

from botdock_storage_minio.faults import Attempts, ShortAnswerError
from botdock_storage_minio.refusals import expected_region
from botdock_storage_minio.transport import Transport
from botdock_storage_minio.trust import trust

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from botdock_storage_minio.settings import MinIOSettings

    _Result = TypeVar("_Result")

PAGE = 1000
"""Keys of one page of a listing, and of one deletion: S3's bound."""


class BucketClient(Minio):
    """Speaks to one bucket; safe to use from several threads. It connects with its first request.

    A bucket that is not there is an empty one, unless `create_buckets` is off: then its absence is an error.
    """

    def __init__(self, config: MinIOSettings, bucket: str) -> None:
        context = trust(config.cert_file) if config.use_ssl else None
        self._transport = Transport(connect_timeout=config.connect_timeout, context=context)
        self._attempts = Attempts(retries=config.retries, timeout=config.total_timeout, silence=config.read_timeout)
        self._bucket = bucket
        self._absent_is_empty = config.create_buckets
        self._has_region = bool(config.region)
        super().__init__(
            config.endpoint,
            config.access_key or None,
            config.secret_key or None,
            secure=config.use_ssl,
            region=config.region or None,
            http_client=self._transport,
        )

    def close(self) -> None:
        """Let go of the connections that are idle, and repeat nothing any more."""
        self._attempts.stop()
        self._transport.clear()

    def probe(self) -> None:
        """Ask for the bucket's region, which says whether the server answers, takes the key, and has the bucket."""
        self._run(lambda: self._execute("GET", self._bucket, query_params={"location": ""}))

    def make_own_bucket(self) -> None:
        """Make the bucket, in the server's region where none is configured; one that is there and ours is kept."""
        try:
            self._make_bucket_in(None)
        except S3Error as error:
            if (region := expected_region(error)) is None or self._has_region:
                raise
            self._make_bucket_in(region)

    def _make_bucket_in(self, region: str | None) -> None:
        try:
            self._run(lambda: self.make_bucket(self._bucket, region))
        except S3Error as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    def page(self, prefix: str, token: str | None = None, *, limit: int = PAGE) -> tuple[list[Object], str | None]:
        """Return a page of the objects whose names begin with `prefix`, in order, and the token of the next."""
        query = {"list-type": "2", "delimiter": "", "encoding-type": "url", "max-keys": str(limit), "prefix": prefix}
        query |= {"continuation-token": token} if token else {}

        nothing: tuple[list[Object], str | None] = ([], None)

        def ask() -> tuple[list[Object], str | None]:
            response = self._execute("GET", self._bucket, query_params=dict(query))
            objects, is_truncated, following, _ = parse_list_objects(response)
            return objects, following if is_truncated else None

        return self._unless_absent(ask, nothing)

    def delete_one(self, name: str) -> None:
        """Delete an object; one that is not there counts as deleted."""
        self._unless_absent(lambda: self._execute("DELETE", self._bucket, name), None)

    def delete_many(self, names: list[str]) -> list[DeleteError]:
        """Delete up to `PAGE` objects, and return what could not be deleted."""
        objects = [DeleteObject(name) for name in names]

        def ask() -> list[DeleteError]:
            errors = self._delete_objects(self._bucket, objects, quiet=True).error_list
            if any(error.name is None for error in errors):  # under status 200, an error of the whole request
                raise ShortAnswerError
            return errors

        return self._unless_absent(ask, [])

    def uploads_of(self, name: str) -> list[Upload]:
        """Return the multipart uploads to exactly that name: a MinIO does not list others."""
        found = self._run(lambda: self._list_multipart_uploads(self._bucket, prefix=name))
        return [upload for upload in found.uploads if upload.object_name == name]

    def _run(self, call: Callable[[], _Result]) -> _Result:
        return self._attempts.run(call)

    def _unless_absent(self, call: Callable[[], _Result], otherwise: _Result) -> _Result:
        try:
            return self._run(call)
        except S3Error as error:
            if error.code != "NoSuchBucket" or not self._absent_is_empty:
                raise
            return otherwise
