from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from botdock.errors import ObjectNotFoundError, StorageError, StorageKeyError
from botdock.model import StorageArea
from botdock_storage_minio import nesting
from botdock_storage_minio.backend import MinIOBackend
from botdock_storage_minio.settings import Location
from testbed.minio import MinioServer

OpenBackend = Callable[..., MinIOBackend]


def put(backend: MinIOBackend, key: str, data: bytes = b"x") -> None:
    backend.put(key, io.BytesIO(data), size=len(data))


def read(backend: MinIOBackend, key: str) -> bytes:
    with backend.get(key) as reader:
        return reader.read()


def keys(backend: MinIOBackend, prefix: str = "") -> list[str]:
    return [info.key for info in backend.list(prefix)]


class TestBuckets:
    def test_looking_makes_no_bucket(self, backend: MinIOBackend, minio_server: MinioServer) -> None:
        assert keys(backend) == []
        assert list(backend.delete(["a"])) == []
        for look in (backend.get, backend.stat):
            with pytest.raises(ObjectNotFoundError):
                look("a")
        assert not (minio_server.data / backend._location.bucket).exists()

    def test_the_first_object_makes_it(self, backend: MinIOBackend) -> None:
        put(backend, "a")
        assert keys(backend) == ["a"]

    def test_making_one_that_is_there_keeps_it(self, backend: MinIOBackend) -> None:
        put(backend, "a")
        backend._client.make_own_bucket()
        assert keys(backend) == ["a"]

    @pytest.mark.parametrize("region", ["", "us-east-1"])
    def test_where_none_may_be_made_its_absence_is_an_error_that_says_how(
        self, open_backend: OpenBackend, region: str
    ) -> None:
        backend = open_backend(create_buckets=False, code_bucket="absent", region=region)
        for step in (
            lambda: put(backend, "a"),
            lambda: put(backend, "large", bytes(6 * 2**20)),
            lambda: backend.get("a"),
            lambda: backend.stat("a"),
            lambda: keys(backend),
            lambda: list(backend.delete(["a"])),
        ):
            with pytest.raises(StorageError, match="there is no such bucket") as caught:
                step()
            assert caught.value.hint == "Make it with `mc mb ALIAS/absent`, or set minio.create_buckets = true."

    def test_each_area_has_its_own(self, open_backend: OpenBackend) -> None:
        mine = {area: open_backend(area=area) for area in StorageArea}
        put(mine[StorageArea.CODE], "a")
        assert {area: keys(backend) for area, backend in mine.items()} == {
            StorageArea.CODE: ["a"],
            StorageArea.RESULTS: [],
            StorageArea.LOGS: [],
        }

    def test_areas_that_share_a_bucket_know_nothing_of_each_other(self, open_backend: OpenBackend) -> None:
        code = open_backend(bucket_name="shared", prefix="tenant-1")
        logs = open_backend(bucket_name="shared", prefix="tenant-1", area=StorageArea.LOGS)
        other = open_backend(bucket_name="shared", prefix="tenant-10")
        put(code, "a", b"code")
        put(other, "a", b"other")
        assert (keys(code), keys(logs), keys(other)) == (["a"], [], ["a"])
        assert list(logs.delete(["a", "b"])) == []
        assert (read(code, "a"), read(other, "a")) == (b"code", b"other")

    def test_the_location_names_server_bucket_and_prefix(
        self, open_backend: OpenBackend, minio_server: MinioServer
    ) -> None:
        url = f"http://{minio_server.endpoint}"
        assert open_backend(code_bucket="custom-bots").location == f"minio ({url}/custom-bots)"
        assert open_backend(bucket_name="one", prefix="/p/").location == f"minio ({url}/one/p/code)"


class TestKeys:
    def test_objects_of_others_whose_names_are_not_keys_are_not_listed(self, backend: MinIOBackend) -> None:
        put(backend, "good")
        for name in ("folder/", "back\\slash", "bell\a"):
            backend._client.put_whole(name, b"x")
        assert keys(backend) == ["good"]

    def test_an_object_in_the_way_is_named(self, backend: MinIOBackend) -> None:
        put(backend, "a/b")
        with pytest.raises(StorageKeyError, match="the object 'a/b' is in the way: it is below this one"):
            put(backend, "a")
        with pytest.raises(StorageKeyError, match="the object 'a/b' is in the way: it is above this one"):
            put(backend, "a/b/c/d")

    def test_a_folder_that_was_made_in_the_console_blocks_no_key(self, backend: MinIOBackend) -> None:
        put(backend, "other")
        backend._client.put_whole("a/", b"")
        put(backend, "a")
        assert keys(backend) == ["a", "other"]

    def test_what_is_known_of_folders_is_forgotten_in_time(
        self, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = open_backend()
        put(backend, "a/b")
        backend._client.delete(["a/b"])
        backend._client.put_whole("a", b"of another process")
        monkeypatch.setattr(nesting, "KNOWN_FOR", 0.0)
        with pytest.raises(StorageKeyError, match="'a' is in the way"):
            put(backend, "a/b")

    def test_what_is_known_of_folders_is_bounded(self, backend: MinIOBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nesting, "_MOST_KNOWN", 3)
        for number in range(10):
            put(backend, f"{number}/x")
        assert len(backend._nesting._free) <= 3

    @pytest.mark.parametrize("key", [". ", " ..", "a/ . /b", "a/\u2003.."])
    def test_what_a_minio_takes_for_a_dot_is_refused(self, backend: MinIOBackend, key: str) -> None:
        with pytest.raises(StorageKeyError, match="which MinIO refuses"):
            put(backend, key)
        with pytest.raises(StorageKeyError):
            backend.get(key)
        assert [failure.key for failure in backend.delete([key])] == [key]

    def test_a_refusal_of_the_server_itself_names_the_key(
        self, backend: MinIOBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(backend, "a")
        monkeypatch.setattr(Location, "name_of", lambda location, key: f"x/{key}/../y")
        with pytest.raises(StorageKeyError, match=r"is refused by minio .*bad components") as caught:
            put(backend, "key")
        assert caught.value.key == "key"

    def test_keys_that_xml_cannot_hold_are_deleted_too(self, backend: MinIOBackend) -> None:
        for key in ("\ufffe", "a\uffffb", "plain"):
            put(backend, key)
        assert list(backend.delete(keys(backend))) == []
        assert keys(backend) == []

    def test_a_prefix_of_dots_finds_what_begins_with_it(self, backend: MinIOBackend) -> None:
        for key in (".hidden", "..two", "a/.b", "a/...", "c"):
            put(backend, key)
        assert keys(backend, ".") == ["..two", ".hidden"]
        assert keys(backend, "..") == ["..two"]
        assert keys(backend, "a/.") == ["a/...", "a/.b"]
        assert keys(backend, "a/..") == ["a/..."]

    def test_an_absent_key_names_its_neighbour_and_the_location(self, backend: MinIOBackend) -> None:
        put(backend, "bots/hello.zip")
        with pytest.raises(ObjectNotFoundError) as caught:
            backend.get("bots/helo.zip")
        assert str(caught.value) == f"no object 'bots/helo.zip' in {backend.location}\nDid you mean bots/hello.zip?"

    def test_a_hint_that_cannot_be_had_is_left_out(
        self, backend: MinIOBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(backend, "bots/hello.zip")

        def fail(prefix: str) -> None:
            raise OSError(prefix)

        monkeypatch.setattr(backend._client, "page", fail)
        with pytest.raises(ObjectNotFoundError) as caught:
            backend.get("bots/helo.zip")
        assert caught.value.hint is None


class TestManyObjects:
    def test_more_than_a_page_is_listed_in_order_and_deleted(
        self, backend: MinIOBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = [f"n/{number:02}" for number in range(25)]
        for key in expected:
            put(backend, key, b"")
        page = backend._client.page
        monkeypatch.setattr(backend._client, "page", lambda prefix, token=None, **_: page(prefix, token, limit=10))
        monkeypatch.setattr("botdock_storage_minio.backend.PAGE", 10)
        assert keys(backend) == expected
        assert list(backend.delete(["../up", *expected])) != []
        assert keys(backend) == []

    def test_what_the_server_does_not_delete_is_reported_with_its_reason(
        self, backend: MinIOBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from minio.deleteobjects import DeleteError

        put(backend, "a")
        error = DeleteError("AccessDenied", "Access Denied.", "a", None)
        monkeypatch.setattr(backend._client, "delete", lambda names: [error])
        (failure,) = backend.delete(["a"])
        assert (failure.key, failure.reason) == ("a", "AccessDenied: Access Denied.")


class TestReaders:
    def test_small_reads_are_filled(self, backend: MinIOBackend) -> None:
        put(backend, "a", bytes(range(250)) * 100)
        with backend.get("a", offset=10) as reader:
            assert reader.read(0) == b""
            assert reader.read(24_000) == (bytes(range(250)) * 100)[10:24_010]
            assert len(reader.read()) == 25_000 - 24_010
            assert reader.read() == reader.read(5) == b""

    def test_one_that_is_not_read_to_its_end_is_let_go_of(self, backend: MinIOBackend) -> None:
        put(backend, "a", bytes(3_000_000))
        reader = backend.get("a")
        assert reader.read(10) == bytes(10)
        reader.close()
        reader.close()
        put(backend, "a", b"new")  # a server lets a writer wait for readers
        assert read(backend, "a") == b"new"

    def test_an_empty_range_of_nothing_is_still_nothing_found(self, backend: MinIOBackend) -> None:
        put(backend, "other")
        with pytest.raises(ObjectNotFoundError):
            backend.get("a", length=0)

    @pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
    def test_a_negative_range_is_refused(self, backend: MinIOBackend, offset: int, length: int | None) -> None:
        with pytest.raises(ValueError, match="must not be negative"):
            backend.get("a", offset=offset, length=length)

    def test_what_was_stored_packed_comes_as_it_was_stored(self, backend: MinIOBackend) -> None:
        put(backend, "other")
        client, headers = backend._client, {"Content-Encoding": "gzip"}
        client._run(lambda: client._put_object(backend._location.bucket, "a", b"not gzip", dict(headers)))
        assert read(backend, "a") == b"not gzip"


def test_connections_are_used_again(backend: MinIOBackend) -> None:
    put(backend, "a", bytes(3_000_000))
    pool = backend._client._transport.connection_from_url(backend._location.url)
    for _ in range(5):
        assert len(read(backend, "a")) == 3_000_000
        backend.stat("a")
        put(backend, "b")
        keys(backend)
    assert pool.num_connections == 1


def test_a_closed_storage_lets_go_of_its_connections(backend: MinIOBackend) -> None:
    put(backend, "a")
    backend.close()
    assert len(backend._client._transport.pools) == 0
