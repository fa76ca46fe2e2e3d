"""What networks, proxies and tired servers do, before a real server."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable

import pytest

from botdock.errors import StorageError, StorageUnavailableError
from botdock_storage_minio.backend import MinIOBackend
from botdock_storage_minio.reader import _FORGIVEN_AFTER
from testbed.minio import uploads_of
from testbed.proxy import Fault, FaultProxy

OpenBackend = Callable[..., MinIOBackend]
MIB = 1024 * 1024
SMALL = bytes(range(256)) * 40
LARGE = random.Random(4).randbytes(12 * MIB)
TIRED = [
    Fault(status=503, body=b"<html>Bad Gateway</html>", content_type="text/html"),
    Fault(status=503, body=b"<Error><Code>SlowDown</Code></Error>", content_type="application/xml"),
    Fault(status=500, body=b"<Error><Code>InternalError</Code></Error>", content_type="application/xml"),
    Fault(status=429),
    Fault(refuse=True),
    Fault(lose_answer=True),
]
WELL = "GET /[^?]*/o"


def read(backend: MinIOBackend, key: str = "o") -> bytes:
    with backend.get(key) as reader:
        return reader.read()


def keys(backend: MinIOBackend) -> list[str]:
    return [info.key for info in backend.list()]


class TestWhatPasses:
    @pytest.mark.parametrize("fault", TIRED)
    def test_every_method_asks_again(self, proxied: MinIOBackend, proxy: FaultProxy, fault: Fault) -> None:
        for step in (
            lambda: proxied.put("o", io.BytesIO(SMALL)),
            lambda: read(proxied),
            lambda: proxied.stat("o"),
            lambda: keys(proxied),
            lambda: list(proxied.delete(["o"])),
        ):
            proxy.inject(fault)
            step()
        assert proxy.left == 0
        assert keys(proxied) == []

    @pytest.mark.parametrize("fault", TIRED)
    def test_it_asks_a_bounded_number_of_times(self, proxied: MinIOBackend, proxy: FaultProxy, fault: Fault) -> None:
        proxied.put("o", io.BytesIO(SMALL))
        proxy.seen.clear()
        for _ in range(20):
            proxy.inject(fault)
        with pytest.raises(StorageUnavailableError) as caught:
            proxied.get("o")
        assert len(proxy.seen) == 1 + 3
        assert (caught.value.key, caught.value.backend) == ("o", proxied.location)

    def test_a_server_that_never_answers_is_waited_for_only_so_long(
        self, open_backend: OpenBackend, proxy: FaultProxy
    ) -> None:
        backend = open_backend(endpoint=proxy.endpoint, read_timeout=0.1, total_timeout=0.5)
        for _ in range(20):
            proxy.inject(Fault(hang=True))
        with pytest.raises(StorageUnavailableError, match=r"did not answer in time|not done within 0\.5 s") as caught:
            backend.stat("o")
        assert "minio.connect_timeout" in (caught.value.hint or "")

    def test_a_server_that_sends_a_byte_now_and_then_is_not_waited_for_either(
        self, open_backend: OpenBackend, proxy: FaultProxy
    ) -> None:
        backend = open_backend(endpoint=proxy.endpoint, total_timeout=0.5)
        proxy.inject(Fault(drip=0.01))
        with pytest.raises(StorageUnavailableError, match=r"did not answer in time|not done within 0\.5 s"):
            backend.stat("o")

    @pytest.mark.parametrize("retries", [0, 1])
    def test_the_number_can_be_set(self, open_backend: OpenBackend, proxy: FaultProxy, retries: int) -> None:
        backend = open_backend(endpoint=proxy.endpoint, retries=retries)
        for _ in range(20):
            proxy.inject(Fault(status=503))
        with pytest.raises(StorageUnavailableError):
            backend.stat("o")
        assert len(proxy.seen) == 1 + retries

    def test_after_it_is_closed_it_does_not_ask_again(self, proxied: MinIOBackend, proxy: FaultProxy) -> None:
        proxied.close()
        proxy.inject(Fault(status=503))
        with pytest.raises(StorageUnavailableError):
            proxied.stat("o")
        assert len(proxy.seen) == 1


class TestWhatDoesNot:
    @pytest.mark.parametrize("status", [400, 403, 404, 501])
    def test_an_answer_that_is_not_s3s_is_named_at_once(
        self, proxied: MinIOBackend, proxy: FaultProxy, status: int
    ) -> None:
        proxy.inject(Fault(status=status, body=b"<html>Console</html>", content_type="text/html"))
        with pytest.raises(StorageError, match=f"is not S3: HTTP status {status}, text/html") as caught:
            read(proxied)
        assert "port of the API" in (caught.value.hint or "")
        assert "Console" not in str(caught.value)
        assert len(proxy.seen) == 1

    @pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
    def test_a_refused_key_is_never_tried_again(self, proxied: MinIOBackend, proxy: FaultProxy, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
        proxy.inject(Fault(method="PUT", status=403, body=body, content_type="application/xml"))
        with pytest.raises(StorageError) as caught:
            proxied.put("o", io.BytesIO(SMALL))
        assert not isinstance(caught.value, StorageUnavailableError)
        assert proxy.count("^PUT") == 1

    def test_a_folder_removed_meanwhile_denies_nothing(self, proxied: MinIOBackend, proxy: FaultProxy) -> None:
        proxied.put("folder/a", io.BytesIO(SMALL))
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"
        proxy.inject(Fault(method="PUT", status=403, body=body, content_type="application/xml"))
        proxied.put("folder/b", io.BytesIO(SMALL))
        assert keys(proxied) == ["folder/a", "folder/b"]

    def test_a_listing_that_is_not_xml_is_refused(self, proxied: MinIOBackend, proxy: FaultProxy) -> None:
        for _ in range(4):
            proxy.inject(Fault(status=200, body=b"<html><p>Hello", content_type="application/xml"))
        with pytest.raises(StorageUnavailableError, match="not S3's XML"):
            keys(proxied)

    def test_an_answer_without_end_is_not_held(
        self, proxied: MinIOBackend, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("botdock_storage_minio.transport.LARGEST_ANSWER", 1000)
        for _ in range(4):
            proxy.inject(Fault(status=200, body=b"<x>" + b" " * 2000, content_type="application/xml"))
        with pytest.raises(StorageUnavailableError, match="an answer of more than 1000 bytes"):
            keys(proxied)

    def test_an_error_in_an_answer_of_status_200_is_one(self, proxied: MinIOBackend, proxy: FaultProxy) -> None:
        proxied.put("o", io.BytesIO(SMALL))
        body = b"<Error><Code>InternalError</Code><Message>Try again.</Message></Error>"
        proxy.inject(Fault(target=r"POST .*\?delete", status=200, body=body, content_type="application/xml"))
        assert list(proxied.delete(["o"])) == []
        assert keys(proxied) == []

    @pytest.mark.parametrize("fault", [Fault(method="HEAD", status=200), Fault(method="HEAD", status=204)])
    def test_a_size_is_never_guessed(self, proxied: MinIOBackend, proxy: FaultProxy, fault: Fault) -> None:
        proxied.put("o", io.BytesIO(SMALL))
        for _ in range(4):
            proxy.inject(Fault(target=WELL, short_answer=10))
        proxy.inject(fault)
        with pytest.raises(StorageUnavailableError):
            read(proxied)

    def test_a_write_that_is_answered_without_an_etag_did_not_take_place(
        self, proxied: MinIOBackend, proxy: FaultProxy
    ) -> None:
        for _ in range(4):
            proxy.inject(Fault(method="PUT", status=200))
        with pytest.raises(StorageUnavailableError):
            proxied.put("o", io.BytesIO(SMALL))
        assert keys(proxied) == []


class TestDownloads:
    @pytest.fixture(autouse=True)
    def stored(self, proxied: MinIOBackend, proxy: FaultProxy) -> None:
        proxied.put("o", io.BytesIO(LARGE))
        proxy.seen.clear()

    @pytest.mark.parametrize("cut", [0, 1, 100_000, 3 * MIB])
    def test_a_body_that_is_cut_is_resumed_where_it_ended(
        self, proxied: MinIOBackend, proxy: FaultProxy, cut: int
    ) -> None:
        proxy.inject(Fault(target=WELL, cut_answer=cut))
        assert hashlib.sha256(read(proxied)).digest() == hashlib.sha256(LARGE).digest()
        assert proxy.count(WELL) == 2

    def test_a_body_that_is_cut_again_and_again_is_resumed_as_long_as_it_gets_on(
        self, proxied: MinIOBackend, proxy: FaultProxy
    ) -> None:
        for _ in range(8):
            proxy.inject(Fault(target=WELL, cut_answer=_FORGIVEN_AFTER + 100_000))
        assert read(proxied) == LARGE
        assert proxy.left == 0

    def test_a_body_that_hardly_gets_on_is_given_up(self, proxied: MinIOBackend, proxy: FaultProxy) -> None:
        for _ in range(20):
            proxy.inject(Fault(target=WELL, cut_answer=1000))
        with proxied.get("o") as reader, pytest.raises(StorageUnavailableError) as caught:
            reader.read()
        assert caught.value.key == "o"
        assert proxy.count(WELL) == 1 + 3

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(target=WELL, short_answer=1000),
            Fault(target=WELL, short_answer=0),
            Fault(target=WELL, shrink_answer=1000),
        ],
    )
    def test_less_than_there_is_is_never_taken_for_all(
        self, proxied: MinIOBackend, proxy: FaultProxy, fault: Fault
    ) -> None:
        proxy.inject(fault)
        assert read(proxied) == LARGE
        for _ in range(20):
            proxy.inject(fault)
        with pytest.raises(StorageUnavailableError, match="less came than there is of it"):
            read(proxied)

    def test_a_range_is_resumed_to_its_own_end(self, proxied: MinIOBackend, proxy: FaultProxy) -> None:
        proxy.inject(Fault(target=WELL, cut_answer=10))
        with proxied.get("o", offset=1_000_000, length=50_000) as reader:
            assert reader.read() == LARGE[1_000_000:1_050_000]

    def test_a_version_that_was_replaced_meanwhile_is_not_a_continuation(
        self, proxied: MinIOBackend, proxy: FaultProxy
    ) -> None:
        proxy.inject(Fault(target=WELL, cut_answer=1000))
        with proxied.get("o") as reader:
            assert reader.read(500) == LARGE[:500]
            proxied.put("o", io.BytesIO(LARGE[::-1]))
            with pytest.raises(StorageError, match="replaced or deleted while it was read"):
                reader.read()

    def test_an_object_that_was_deleted_meanwhile(self, proxied: MinIOBackend, proxy: FaultProxy) -> None:
        proxy.inject(Fault(target=WELL, cut_answer=1000))
        with proxied.get("o") as reader:
            assert list(proxied.delete(["o"])) == []
            with pytest.raises(StorageError, match="replaced or deleted while it was read"):
                reader.read()

    def test_a_range_past_the_end_of_a_server_that_says_so_in_its_own_words(
        self, proxied: MinIOBackend, proxy: FaultProxy
    ) -> None:
        proxy.inject(Fault(target=WELL, status=416))
        with proxied.get("o", offset=10**9) as reader:
            assert reader.read() == b""


class TestUploads:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault(method="PUT", cut_request=1000),
            Fault(method="PUT", cut_request=2 * MIB, times=2),
            Fault(method="PUT", flip_request=True),
            Fault(method="PUT", lose_answer=True),
            Fault(method="POST", target=r"\?uploadId=", lose_answer=True),
            Fault(method="POST", target=r"\?uploadId=", status=200, body=b"<Error><Code>InternalError</Code></Error>"),
        ],
    )
    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "parts"])
    def test_what_arrives_is_what_was_sent(
        self, proxied: MinIOBackend, proxy: FaultProxy, fault: Fault, data: bytes
    ) -> None:
        proxy.inject(fault)
        info = proxied.put("o", io.BytesIO(data))
        assert (info.size, proxied.stat("o").etag) == (len(data), info.etag)
        assert read(proxied) == data

    @pytest.mark.parametrize("lost", [1, 10])
    def test_a_completion_whose_answer_is_lost_is_found_out(
        self, proxied: MinIOBackend, proxy: FaultProxy, lost: int
    ) -> None:
        for _ in range(lost):
            proxy.inject(Fault(method="POST", target=r"\?uploadId=", lose_answer=True))
        info = proxied.put("o", io.BytesIO(LARGE))
        assert proxied.stat("o").etag == info.etag
        assert read(proxied) == LARGE

    def test_a_completion_that_never_takes_place_leaves_nothing(self, proxied: MinIOBackend, proxy: FaultProxy) -> None:
        for _ in range(10):
            proxy.inject(Fault(method="POST", target=r"\?uploadId=", status=503))
        with pytest.raises(StorageUnavailableError):
            proxied.put("o", io.BytesIO(LARGE))
        assert keys(proxied) == []
        assert uploads_of(proxied._client, proxied._location.bucket, "o") == []

    @pytest.mark.parametrize("fault", [Fault(method="PUT", cut_request=100), Fault(method="PUT", status=503)])
    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "parts"])
    def test_an_upload_that_is_given_up_leaves_the_old_object_and_nothing_else(
        self, proxied: MinIOBackend, proxy: FaultProxy, fault: Fault, data: bytes
    ) -> None:
        proxied.put("o", io.BytesIO(b"old"))
        for _ in range(40):
            proxy.inject(fault)
        with pytest.raises(StorageUnavailableError):
            proxied.put("o", io.BytesIO(data))
        assert read(proxied) == b"old"
        assert uploads_of(proxied._client, proxied._location.bucket, "o") == []
