"""A real MinIO that is killed, and a network that cuts: nothing half written is seen, nothing is left."""

from __future__ import annotations

import hashlib
import io
import json
import random
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from botdock.config import Config
from botdock.errors import ObjectNotFoundError, StorageUnavailableError
from botdock.model import StorageArea, StorageBackend
from botdock_storage_minio.backend import MinIOBackend
from testbed.drills import SEED, count
from testbed.minio import MinioServer
from testbed.proxy import Fault, FaultProxy
from testbed.waiting import wait_until

MIB = 1024 * 1024
LARGE = 256 * MIB
WRITER = """
import json, sys
from botdock import Config
from botdock.model import StorageArea
from botdock_storage_minio.backend import MinIOBackend

class Slow:
    left = 40
    def read(self, size=-1):
        self.left -= 1
        if self.left:
            return bytes(1024 * 1024)
        print("half way", flush=True)
        return sys.stdin.buffer.read()

config = Config.load(environ={}, overrides=json.loads(sys.argv[1]))
MinIOBackend.from_config(config, StorageArea.CODE).put("object", Slow())
"""


class Noise:
    """Gives `size` bytes that repeat nowhere near, and does something once, when `at` of them were given."""

    def __init__(self, size: int, *, at: int = -1, do: Callable[[], object] = lambda: None) -> None:
        self.given = 0
        self.sha256 = hashlib.sha256()
        self._size = size
        self._at = at
        self._do = do
        self._random = random.Random(size)

    def read(self, size: int = -1, /) -> bytes:
        if 0 <= self._at <= self.given:
            self._at = -1
            self._do()
        data = self._random.randbytes(min(size if size >= 0 else MIB, MIB, self._size - self.given))
        self.given += len(data)
        self.sha256.update(data)
        return data


@pytest.fixture
def config(drill_minio: MinioServer, make_minio_config: Callable[..., Config]) -> Config:
    return make_minio_config(drill_minio, total_timeout=60.0)


@pytest.fixture
def open_backend(config: Config) -> Iterator[Callable[..., MinIOBackend]]:
    """Returns a function that opens the storage as a new process would."""
    opened = []

    def open_one(**fields: object) -> MinIOBackend:
        changed = attrs.evolve(config, options={"minio": attrs.evolve(config.options["minio"], **fields)})
        opened.append(MinIOBackend.from_config(changed, StorageArea.CODE))
        return opened[-1]

    yield open_one
    for backend in opened:
        backend.close()


def digest_of(backend: StorageBackend, key: str, then: Callable[[], object] = lambda: None) -> str:
    sha256 = hashlib.sha256()
    with backend.get(key) as reader:
        sha256.update(reader.read(MIB))
        then()
        while piece := reader.read(MIB):
            sha256.update(piece)
    return sha256.hexdigest()


def keys(backend: StorageBackend) -> list[str]:
    return [info.key for info in backend.list()]


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_server_that_is_killed_in_an_upload_shows_nothing_of_it(
    drill_minio: MinioServer, open_backend: Callable[..., MinIOBackend], old: bytes | None
) -> None:
    backend = open_backend()
    backend.put("other", io.BytesIO(b"x"))
    if old is not None:
        backend.put("object", io.BytesIO(old))
    source = Noise(LARGE, at=LARGE // 2, do=drill_minio.kill)
    with pytest.raises(StorageUnavailableError):
        backend.put("object", source, size=LARGE)
    assert source.given < LARGE
    drill_minio.start()
    successor = open_backend()
    assert keys(successor) == sorted(["other"] + ([] if old is None else ["object"]))
    if old is None:
        with pytest.raises(ObjectNotFoundError):
            successor.stat("object")
    else:
        assert digest_of(successor, "object") == hashlib.sha256(old).hexdigest()
    assert drill_minio.uploads()
    successor.put("other", io.BytesIO(b"y"))
    assert drill_minio.uploads() == []


def test_a_server_that_comes_back_in_time_is_not_noticed_by_an_upload(
    drill_minio: MinioServer, open_backend: Callable[..., MinIOBackend]
) -> None:
    backend = open_backend(retries=20)
    source = Noise(LARGE // 4, at=LARGE // 8, do=drill_minio.restart)
    assert backend.put("object", source).size == LARGE // 4
    assert digest_of(backend, "object") == source.sha256.hexdigest()
    assert drill_minio.uploads() == []


def test_a_server_that_comes_back_in_time_is_not_noticed_by_a_download(
    drill_minio: MinioServer, open_backend: Callable[..., MinIOBackend]
) -> None:
    backend = open_backend(retries=20)
    source = Noise(LARGE // 4)
    backend.put("object", source)
    assert digest_of(backend, "object", then=drill_minio.restart) == source.sha256.hexdigest()


def test_a_server_that_stays_away_is_given_up_by_a_download(
    drill_minio: MinioServer, open_backend: Callable[..., MinIOBackend]
) -> None:
    backend = open_backend(retries=2)
    backend.put("object", Noise(LARGE // 4))
    with pytest.raises(StorageUnavailableError):
        digest_of(backend, "object", then=drill_minio.kill)


def test_both_are_killed_and_the_next_process_leaves_nothing_of_it(
    drill_minio: MinioServer, open_backend: Callable[..., MinIOBackend], config: Config
) -> None:
    """After its restart, a MinIO no longer lists unfinished uploads but by their names, which only our notes know."""
    overrides = {"home": config.home, "minio": attrs.asdict(config.options["minio"])}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, json.dumps(overrides)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert select.select([writer.stdout], [], [], 60)[0]
        assert writer.stdout.readline() == b"half way\n"
        assert wait_until(lambda: bool(drill_minio.uploads()), timeout=30)
        writer.kill()
    drill_minio.restart()
    assert drill_minio.uploads()
    successor = open_backend()
    assert keys(successor) == []
    assert successor.abort_stale_uploads() == 1
    assert drill_minio.uploads() == []
    assert list(Path(config.home, "minio-uploads").iterdir()) == []


@pytest.mark.parametrize("seed", range(count(3, 1)))
def test_a_network_that_does_its_worst_changes_no_byte(
    drill_minio: MinioServer, open_backend: Callable[..., MinIOBackend], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botdock_storage_minio.client._LONGEST_PAUSE", 0.01)
    chance = random.Random(SEED + seed)
    proxy = FaultProxy(drill_minio.endpoint)
    try:
        backend = open_backend(endpoint=proxy.endpoint, retries=30)
        for _ in range(25):
            proxy.inject(bad_luck(chance))
        source = Noise(LARGE // 4)
        info = backend.put("object", source, size=LARGE // 4)
        assert digest_of(backend, "object") == source.sha256.hexdigest()
        assert keys(backend) == ["object"]
        assert backend.stat("object").etag == info.etag
        assert proxy.left < 25
    finally:
        proxy.close()
    assert drill_minio.uploads() == []


def bad_luck(chance: random.Random) -> Fault:
    size = chance.randrange(0, 4 * MIB)
    return chance.choice(
        [
            Fault(method="PUT", target=r"/object\?", cut_request=size),
            Fault(method="PUT", target=r"/object\?", flip_request=True),
            Fault(method="PUT", target=r"/object\?", lose_answer=True),
            Fault(method="POST", target=r"\?uploadId", lose_answer=True),
            Fault(method="GET", target="/object$", cut_answer=size),
            Fault(method="GET", target="/object$", short_answer=size),
            Fault(method="GET", target="/object$", shrink_answer=size),
            Fault(status=503),
            Fault(refuse=True),
        ]
    )
