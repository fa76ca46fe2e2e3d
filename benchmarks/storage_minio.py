"""256 MiB up and down through the storage `minio`, against minio-py's own put and get, on one MinIO server.

Both in turn, in one process; what is printed is the median of each, the ratio of the times of each round, and how much
the peak of the process' memory grew, measured for botdock in a process of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from minio import Minio  # noqa: E402 - after the path of the testbed

from botdock import Config  # noqa: E402 - as above
from botdock.model import StorageArea  # noqa: E402 - as above
from botdock_storage_minio.backend import MinIOBackend  # noqa: E402 - as above
from testbed.minio import MinioServer  # noqa: E402 - as above

SIZE = 256 * 1024 * 1024
PIECE = 1024 * 1024
ROUNDS = 7
KEY = "bench/object"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = MinioServer(Path(folder))
        server.start()
        try:
            compare(server, Path(folder))
        finally:
            server.delete()


def compare(server: MinioServer, folder: Path) -> None:
    config = config_for(server, folder)
    path = folder / "object"
    write_object(path)
    backend = MinIOBackend.from_config(config, StorageArea.CODE)
    plain = Minio(server.endpoint, server.access_key, server.secret_key, secure=False)
    plain.make_bucket("bench")
    seconds = measure(
        {
            "put": lambda: put(backend, path),
            "minio-py put": lambda: plain_put(plain, path),
            "get": lambda: read(backend.get(KEY)),
            "minio-py get": lambda: plain_get(plain),
        }
    )
    backend.close()
    report(seconds, "put")
    report(seconds, "get")
    for way in ("put", "get"):
        grown = grown_memory(way, config, path)
        print(f"{way} of {SIZE >> 20} MiB: the peak of the process grew by {grown >> 20} MiB")


def config_for(server: MinioServer, folder: Path) -> Config:
    minio = {"endpoint": server.endpoint, "access_key": server.access_key, "secret_key": server.secret_key}
    return Config.load(environ={}, overrides={"home": str(folder / "home"), "minio": minio})


def write_object(path: Path) -> None:
    with path.open("wb") as file, Path("/dev/urandom").open("rb") as noise:
        for _ in range(SIZE // PIECE):
            file.write(noise.read(PIECE))


def put(backend: MinIOBackend, path: Path) -> None:
    with path.open("rb") as file:
        assert backend.put(KEY, file, size=SIZE).size == SIZE


def plain_put(client: Minio, path: Path) -> None:
    with path.open("rb") as file:
        client.put_object("bench", KEY, file, SIZE)


def plain_get(client: Minio) -> None:
    response = client.get_object("bench", KEY)
    read(response)
    response.release_conn()


def read(reader: Any) -> None:
    size = 0
    try:
        while piece := reader.read(PIECE):
            size += len(piece)
    finally:
        reader.close()
    assert size == SIZE


def measure(ways: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    return seconds


def report(seconds: dict[str, list[float]], way: str) -> None:
    own, plain = seconds[way], seconds[f"minio-py {way}"]
    ratio = statistics.median(theirs / mine for mine, theirs in zip(own, plain, strict=True))
    for name, values in ((way, own), (f"minio-py {way}", plain)):
        rates = [SIZE / 1e6 / value for value in values]
        print(f"{name:13} median {statistics.median(rates):6.0f} MB/s  min {min(rates):6.0f}  max {max(rates):6.0f}")
    print(f"{way}: botdock is {ratio:.2f} times as fast as minio-py")


def grown_memory(way: str, config: Config, path: Path) -> int:
    """Return the bytes by which a new process' peak grows over a transfer, after a small one of the same kind."""
    minio = {name: getattr(config.options["minio"], name) for name in ("endpoint", "access_key", "secret_key")}
    arguments = json.dumps({"way": way, "home": config.home, "minio": minio, "path": str(path)})
    done = subprocess.run([sys.executable, __file__, arguments], check=True, capture_output=True, text=True)
    return int(done.stdout)


def transfer_alone(arguments: dict[str, Any]) -> None:
    config = Config.load(environ={}, overrides={"home": arguments["home"], "minio": arguments["minio"]})
    backend = MinIOBackend.from_config(config, StorageArea.CODE)
    list(backend.delete(["bench/none"]))
    before = peak()
    if arguments["way"] == "put":
        put(backend, Path(arguments["path"]))
    else:
        read(backend.get(KEY))
    print(peak() - before)
    backend.close()


def peak() -> int:
    """Return the largest resident size that this process has had; `ru_maxrss` would begin with its parent's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else transfer_alone(json.loads(sys.argv[1]))
