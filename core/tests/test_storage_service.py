from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from botdock.errors import ObjectNotFoundError, StorageError, StorageKeyError, UserError
from botdock.model import DeleteFailure, Receipt, StorageArea
from botdock.services.storage import DeleteReport, StorageService
from botdock_testing._byte_sources import BrokenSourceError, DyingSource
from botdock_testing.memory_storage import MemoryBackend

RUN = "01jd9pz7p0k0v6r3h2m4n5q8st"
LATER = "01jd9pz7p0k0v6r3h2m4n5q8sv"


class Storages:
    """Opens a storage in memory per area, and remembers each."""

    def __init__(self) -> None:
        self.opened: list[StorageArea] = []
        self.by_area = {area: MemoryBackend() for area in StorageArea}
        self.operations: list[tuple[str, int, bool]] = []

    def open(self, area: StorageArea) -> MemoryBackend:
        self.opened.append(area)
        return self.by_area[area]

    def report(self, operation: str, seconds: float, size: int, success: bool) -> None:
        assert seconds >= 0
        self.operations.append((operation, size, success))

    def objects(self, area: StorageArea) -> dict[str, bytes]:
        return self.by_area[area].objects


@pytest.fixture
def storages() -> Storages:
    return Storages()


@pytest.fixture
def service(storages: Storages) -> StorageService:
    return StorageService(storages.open, on_operation=storages.report)


class TestNames:
    def test_a_result_is_found_by_its_execution(self, service: StorageService, storages: Storages) -> None:
        info = service.store_results(RUN, "hello", b"{}")
        assert info.key == f"executions/{RUN}/result.json"
        assert storages.objects(StorageArea.RESULTS) == {info.key: b"{}"}

    def test_a_log_is_found_by_its_bot_and_execution(self, service: StorageService, storages: Storages) -> None:
        service.store_logs(RUN, "hello", "stdout.0", io.BytesIO(b"hi\n"))
        assert storages.objects(StorageArea.LOGS) == {f"logs/hello/{RUN}/stdout.0": b"hi\n"}

    def test_the_latest_analysis_has_the_old_name(self, service: StorageService, storages: Storages) -> None:
        service.store_analysis(RUN, "hello", b'{"sharpe": 1}')
        service.store_analysis(LATER, "hello", b'{"sharpe": 2}')
        assert storages.objects(StorageArea.RESULTS) == {
            "hello/analysis.json": b'{"sharpe": 2}',
            f"hello/analysis/{LATER}.json": b'{"sharpe": 2}',
        }

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../other", "a\nb", "x" * 300])
    def test_an_id_never_reaches_into_another_ones_objects(
        self, service: StorageService, storages: Storages, name: str
    ) -> None:
        with pytest.raises(StorageKeyError):
            service.store_results(name, "hello", b"")
        with pytest.raises(StorageKeyError):
            service.store_analysis(RUN, name, b"{}")
        with pytest.raises(StorageKeyError):
            service.store_analysis(name, "hello", b"{}")
        for execution_id, bot, part in [(name, "hello", "out"), (RUN, name, "out"), (RUN, "hello", name)]:
            with pytest.raises(StorageKeyError):
                service.store_logs(execution_id, bot, part, io.BytesIO())
        assert storages.opened == []

    @pytest.mark.parametrize("analysis", [b"", b"{", b"{} {}", b"NaN", b'{"a": -Infinity}', b"\xff", b"[" * 100_000])
    def test_an_analysis_that_is_not_json_is_not_stored(
        self, service: StorageService, storages: Storages, analysis: bytes
    ) -> None:
        with pytest.raises(UserError, match="the analysis of 'hello' is not JSON"):
            service.store_analysis(RUN, "hello", analysis)
        assert storages.objects(StorageArea.RESULTS) == {}


class TestCode:
    def test_code_is_read_from_its_area(self, service: StorageService, storages: Storages) -> None:
        storages.objects(StorageArea.CODE)["bots/a.zip"] = b"PK"
        with service.retrieve_code("bots/a.zip") as reader:
            assert reader.read() == b"PK"
        assert storages.operations == [("get", 2, True)]

    def test_absent_code_is_an_error_that_is_counted(self, service: StorageService, storages: Storages) -> None:
        with pytest.raises(ObjectNotFoundError):
            service.retrieve_code("absent")
        with pytest.raises(StorageKeyError):
            service.retrieve_code("../absent")
        assert storages.operations == [("get", 0, False)] * 2

    def test_a_read_that_fails_half_way_is_counted_once_with_what_came(
        self, service: StorageService, storages: Storages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Dying(DyingSource):
            def close(self) -> None: ...

        monkeypatch.setattr(MemoryBackend, "get", lambda *_: Dying(b"half"))
        reader = service.retrieve_code("a")
        assert reader.read(10) == b"half"
        with pytest.raises(BrokenSourceError):
            reader.read(10)
        reader.close()
        reader.close()
        assert storages.operations == [("get", 4, False)]


class TestDeleting:
    @pytest.fixture(autouse=True)
    def logs(self, storages: Storages) -> None:
        storages.objects(StorageArea.LOGS).update({"logs/a/1": b"", "logs/a/2": b"", "logs/ab/1": b""})

    def test_a_prefix_takes_what_begins_with_it(self, service: StorageService, storages: Storages) -> None:
        assert service.delete_files(StorageArea.LOGS, "logs/a/") == DeleteReport(deleted=2)
        assert list(storages.objects(StorageArea.LOGS)) == ["logs/ab/1"]
        assert storages.operations == [("delete", 0, True)]

    def test_nothing_to_delete_is_no_error(self, service: StorageService) -> None:
        assert service.delete_files(StorageArea.LOGS, "logs/zzz/") == DeleteReport(deleted=0)

    def test_an_empty_prefix_is_refused(self, service: StorageService, storages: Storages) -> None:
        with pytest.raises(UserError, match="would delete everything"):
            service.delete_files(StorageArea.LOGS, "")
        assert len(storages.objects(StorageArea.LOGS)) == 3

    def test_what_could_not_be_deleted_is_reported(
        self, service: StorageService, storages: Storages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failure = DeleteFailure(key="logs/a/1", reason="locked")
        monkeypatch.setattr(MemoryBackend, "delete", lambda _, keys: iter([failure] if list(keys) else []))
        assert service.delete_files(StorageArea.LOGS, "logs/a/") == DeleteReport(deleted=1, failures=(failure,))
        assert storages.operations == [("delete", 0, False)]


class TestBackends:
    def test_each_is_opened_when_it_is_first_needed_and_once(self, service: StorageService, storages: Storages) -> None:
        assert storages.opened == []
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda number: service.store_results(f"run-{number}", "hello", b"{}"), range(40)))
        assert storages.opened == [StorageArea.RESULTS]
        assert len(storages.objects(StorageArea.RESULTS)) == 40

    def test_closing_closes_those_that_were_opened(self, service: StorageService, storages: Storages) -> None:
        service.backend(StorageArea.CODE)
        service.close()
        service.close()
        assert [storages.by_area[area].closed for area in (StorageArea.CODE, StorageArea.LOGS)] == [True, False]
        with pytest.raises(StorageError, match="is closed"):
            service.store_results(RUN, "hello", b"{}")

    def test_a_put_is_counted_with_its_bytes(self, service: StorageService, storages: Storages) -> None:
        service.store_logs(RUN, "hello", "stdout.0", io.BytesIO(b"12345"))
        assert storages.operations == [("put", 5, True)]

    def test_a_put_that_fails_is_counted_too(self, service: StorageService, storages: Storages) -> None:
        with pytest.raises(BrokenSourceError):
            service.store_logs(RUN, "hello", "stdout.0", DyingSource(b"half"))
        assert storages.operations == [("put", 0, False)]

    def test_a_log_file_that_cannot_be_read_is_a_storage_error(self, service: StorageService) -> None:
        class Unreadable:
            def read(self, size: int = -1, /) -> bytes:
                raise OSError(5, "Input/output error")

        with pytest.raises(StorageError, match=r"cannot store 'logs/hello/.*/out': Input/output error"):
            service.store_logs(RUN, "hello", "out", Unreadable())

    def test_no_listener_is_needed(self, storages: Storages) -> None:
        assert isinstance(StorageService(storages.open).store_results(RUN, "hello", b"{}"), Receipt)


class TestMetered:
    """What is done past the named operations, and counted all the same."""

    def test_each_call_is_reported_once(self, service: StorageService, storages: Storages) -> None:
        backend = service.metered(StorageArea.CODE)
        assert backend.put("a", io.BytesIO(b"12345")).size == 5
        with backend.get("a", offset=1, length=3) as reader:
            assert reader.read() == b"234"
        assert backend.stat("a").size == 5
        assert [info.key for info in backend.list()] == ["a"]
        assert list(backend.delete(["a"])) == []
        assert storages.operations == [
            ("put", 5, True),
            ("get", 3, True),
            ("stat", 0, True),
            ("list", 0, True),
            ("delete", 0, True),
        ]

    def test_a_call_that_fails_is_reported_and_its_error_goes_through(
        self, service: StorageService, storages: Storages
    ) -> None:
        backend = service.metered(StorageArea.CODE)
        with pytest.raises(ObjectNotFoundError):
            backend.get("absent")
        with pytest.raises(ObjectNotFoundError):
            backend.stat("absent")
        with pytest.raises(BrokenSourceError):
            backend.put("a", DyingSource(b"12345"))
        assert storages.operations == [("get", 0, False), ("stat", 0, False), ("put", 0, False)]

    def test_who_has_seen_enough_of_a_list_has_not_failed(self, service: StorageService, storages: Storages) -> None:
        storages.objects(StorageArea.CODE).update(a=b"", b=b"")
        found = service.metered(StorageArea.CODE).list()
        assert next(found).key == "a"
        del found
        assert storages.operations == [("list", 0, True)]

    def test_a_deletion_that_leaves_something_has_failed(
        self, service: StorageService, storages: Storages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failure = DeleteFailure(key="b", reason="locked")
        monkeypatch.setattr(MemoryBackend, "delete", lambda _, keys: iter([failure]))
        assert list(service.metered(StorageArea.CODE).delete(["a", "b"])) == [failure]
        assert storages.operations == [("delete", 0, False)]

    def test_it_is_where_the_area_is_and_closes_it(self, service: StorageService, storages: Storages) -> None:
        backend = service.metered(StorageArea.CODE)
        assert backend.location == storages.by_area[StorageArea.CODE].location
        backend.close()
        assert storages.operations == []
