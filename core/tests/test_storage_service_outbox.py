"""The storage service before a storage that is away: no caller waits, nothing is lost, the latest stays the latest."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botdock.config import OutboxConfig
from botdock.errors import StorageError, StorageKeyError, UserError
from botdock.model import OutboxStatus, StorageArea
from botdock.services.storage import StorageService
from botdock_testing.flaky_storage import FlakyBackend

OLD, NEW = "01jd9pz7p0k0v6r3h2m4n5q8st", "01jd9pz7p0k0v6r3h2m4n5q8sv"
LONG = 60.0
"""Seconds; no test gets there."""


@pytest.fixture
def backend() -> FlakyBackend:
    return FlakyBackend()


@pytest.fixture
def open_service(tmp_path: Path, backend: FlakyBackend) -> Iterator[Callable[..., StorageService]]:
    opened: list[StorageService] = []

    def open_one(home: str = "home") -> StorageService:
        config = OutboxConfig(retry_interval=0.05, drain_timeout=LONG)
        opened.append(StorageService(lambda area: backend, outbox=tmp_path / home, config=config))
        return opened[-1]

    yield open_one
    for service in opened:
        service.close()


def leave(service: StorageService, execution_id: str) -> None:
    """Store what a backtest leaves behind."""
    data = f'"{execution_id}"'.encode()
    service.store_results(execution_id, "hello", data)
    service.store_analysis(execution_id, "hello", data)
    service.store_logs(execution_id, "hello", "stdout.0", io.BytesIO(b"line\n"))


def test_what_is_stored_while_the_storage_is_away_is_there_when_it_is_back(
    backend: FlakyBackend, open_service: Callable[..., StorageService]
) -> None:
    backend.away = True
    service = open_service()
    leave(service, OLD)
    assert not service.flush(LONG)
    status = service.outbox_status()
    assert (status.items, status.last_error) == (3, "it does not answer")
    service.close()
    backend.away = False
    successor = open_service()
    successor.resume()
    assert successor.flush(LONG)
    assert backend.puts == [
        f"executions/{OLD}/result.json",
        f"hello/analysis/{OLD}.json",
        "hello/analysis.json",
        f"logs/hello/{OLD}/stdout.0",
    ]
    assert successor.outbox_status() == OutboxStatus()


def test_an_old_analysis_that_comes_late_does_not_replace_a_new_one(
    backend: FlakyBackend, open_service: Callable[..., StorageService]
) -> None:
    """Not from this outbox, and not from that of another machine."""
    backend.away = True
    late = open_service("another")
    leave(late, OLD)
    late.close()
    backend.away = False
    soon = open_service()
    leave(soon, NEW)
    soon.close()
    later = open_service("another")
    later.resume()
    later.close()
    assert backend.puts.index(f"executions/{NEW}/result.json") < backend.puts.index(f"executions/{OLD}/result.json")
    assert backend.objects["hello/analysis.json"] == f'"{NEW}"'.encode()
    assert backend.objects[f"executions/{OLD}/result.json"] == f'"{OLD}"'.encode()


def test_what_cannot_be_stored_is_refused_before_it_waits(
    backend: FlakyBackend, open_service: Callable[..., StorageService]
) -> None:
    service = open_service()
    with pytest.raises(UserError, match="is not JSON"):
        service.store_analysis(OLD, "hello", b"{")
    with pytest.raises(StorageKeyError):
        service.store_results("../x", "hello", b"")
    service.close()
    with pytest.raises(StorageError, match="is closed"):
        leave(service, OLD)
    assert (service.outbox_status(), backend.attempts) == (OutboxStatus(), [])


def test_nothing_of_it_is_on_the_way_without_an_outbox(backend: FlakyBackend, tmp_path: Path) -> None:
    service = StorageService(lambda area: backend)
    (tmp_path / "stdout.0").write_bytes(b"line\n")
    assert service.store_logs(OLD, "hello", "stdout.0", tmp_path / "stdout.0").area is StorageArea.LOGS
    service.resume()
    assert (service.flush(0), service.outbox_status()) == (True, OutboxStatus())
    with pytest.raises(StorageError, match="No such file"):
        service.store_logs(OLD, "hello", "stdout.1", tmp_path / "stdout.1")
