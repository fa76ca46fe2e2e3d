"""The storage away for the whole of a run whose log it is to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, ExecutionResult, Outcome
from botdock.config import LoggingConfig, OutboxConfig
from botdock.model import StorageArea, StorageBackend, Stream
from botdock.services.log_store.verify import compare
from botdock.services.outbox import outbox_folder, read_status
from botdock_storage_minio.backend import MinIOBackend
from faults.log_bots import Counts, flood_bot, flood_pieces, log_folder, stored_bytes, whole
from testbed.minio import MinioServer
from testbed.waiting import until

pytestmark = pytest.mark.docker

KIB = 1024
FLOODS = ({"seed": 3, "bytes": 700 * KIB, "binary": True}, {"seed": 4, "bytes": 90 * KIB}, {"seed": 5, "bytes": 0})


@pytest.fixture
def config(
    drill_minio: MinioServer, make_docker_config: Callable[..., Config], make_minio_config: Callable[..., Config]
) -> Config:
    """Of runs on Docker with MinIO; impatient where it is away."""
    minio = make_minio_config(drill_minio, connect_timeout=2.0, retries=0).options["minio"]
    return make_docker_config(
        storage="minio",
        options={"minio": minio},
        outbox=OutboxConfig(retry_interval=0.2),
        logging=LoggingConfig(segment_bytes=128 * KIB),
    )


def test_the_log_waits_for_a_storage_that_is_away_and_arrives_exactly_once(
    drill_minio: MinioServer, config: Config
) -> None:
    drill_minio.stop()
    with DockerRunner(config) as runner:
        results = [runner.run(flood_bot(flood, id=f"flood-{flood['seed']}", persist_results=True)) for flood in FLOODS]
    drill_minio.start()
    with DockerRunner(config) as runner:
        until(lambda: not read_status(outbox_folder(config.home_dir, "minio")).items, timeout=60.0)
    operations = runner.metrics.get_metrics().operations
    delivered = sum(stats.count - stats.errors for (name, _), stats in operations.items() if name == "storage.deliver")
    counts = Counts()
    with opened(config, StorageArea.LOGS) as backend:
        objects = {info.key: info.size for info in backend.list()}
        for flood, result in zip(FLOODS, results, strict=True):
            check(counts, config.home_dir, backend, result, whole(flood_pieces(flood)))
    assert delivered == len(objects) + len(results), "each object of a log, and each value, once"
    assert set(objects) == {key for result in results for key in expected_keys(result)}
    counts.report("the storage away for whole runs", objects=delivered)


def check(
    counts: Counts, home: Path, backend: StorageBackend, result: ExecutionResult, written: dict[Stream, bytes]
) -> None:
    assert result.outcome is Outcome.SUCCEEDED, (result.outcome, result.error)
    assert "not_stored" not in result.evidence
    folder = log_folder(home, result.execution_id)
    prefix = f"logs/{result.id}/{result.execution_id}/"
    there = dict.fromkeys(Stream, b"")
    for stream in Stream:
        for number in range(result.log.segments):
            with backend.get(f"{prefix}{stream}.{number}") as reader:
                there[stream] += reader.read()
    counts.compare(f"{result.id} in the storage", written, there)
    counts.compare(f"{result.id} on the disk", written, stored_bytes(folder))
    counts.check_summary(result.id, result, written)
    verified = compare(folder, lambda name: backend.get(prefix + name))
    assert (verified.ok, verified.findings, verified.ended) == (True, (), True)
    assert verified.bytes == result.log.bytes


def expected_keys(result: ExecutionResult) -> Iterator[str]:
    prefix = f"logs/{result.id}/{result.execution_id}/"
    yield prefix + "end.json"
    for number in range(result.log.segments):
        yield from (f"{prefix}{name}.{number}" for name in (*Stream, "index"))
        yield f"{prefix}segment.{number}.json"


@contextmanager
def opened(config: Config, area: StorageArea) -> Iterator[StorageBackend]:
    backend = MinIOBackend.from_config(config, area)
    try:
        yield backend
    finally:
        backend.close()
