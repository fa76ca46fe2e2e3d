"""What the code cache saves: python benchmarks/code_cache.py.

First and second run of one 50 MB archive in local storage, each from making the workspace to a tree that can be
mounted; then 20 runs at once of an archive that has not been fetched yet, of which one downloads. No bot is run.
"""

from __future__ import annotations

import io
import random
import shutil
import statistics
import tempfile
import threading
import time
import zipfile
from pathlib import Path

from botdock import Config, PluginManager
from botdock.factory import ServiceFactory
from botdock.model import StorageArea
from botdock.services.code import CodeService

PACKED = 50_000_000
FIRST_RUNS = 3
SECOND_RUNS = 15
AT_ONCE = 20
SHAPES = {"1,000 files": 1_000, "5,000 files": 5_000}


def make_archive(files: int) -> bytes:
    """Pack files of words, which come to about 45 % of their size, as source code and price files do."""
    chance = random.Random(files)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz_", k=chance.randint(2, 10))) for _ in range(4000)]
    text = " ".join(chance.choices(words, k=400_000)).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("main.py", "def main(id, config): ...\n")
        number = 0
        while packed.tell() < PACKED:
            each = max(PACKED * 22 // 10 // files, 1)
            start = chance.randrange(max(len(text) - each, 1))
            archive.writestr(f"vendor/package{number % 50}/module{number}.py", text[start : start + each])
            number += 1
    return packed.getvalue()


class Place:
    """A state folder and a storage of its own, whose downloads are counted."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        overrides = {
            "storage": "local-fs",
            "home": str(self.home),
            "options": {"local-fs": {"root": str(folder / "storage")}},
        }
        config = Config.load(environ={}, overrides=overrides)
        self.factory = ServiceFactory(config, PluginManager.load(config.plugins))
        self.storage = self.factory.create_storage_service()
        self.runs = 0
        self.lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        self.storage.backend(StorageArea.CODE).put(key, io.BytesIO(data))

    def service(self) -> CodeService:
        return self.factory.create_code_service(storage=self.storage)

    def prepare(self, service: CodeService, key: str) -> float:
        """Prepare a workspace, remove it again, and return the seconds that the first took."""
        with self.lock:
            self.runs += 1
            directory = self.home / "executions" / f"run{self.runs}" / "workspace"
        started = time.perf_counter()
        workspace = service.prepare_workspace(directory)
        source = service.download_code(key, workspace)
        workspace = service.extract_code(source, workspace, shared=True)
        seconds = time.perf_counter() - started
        assert (workspace.code / "main.py").is_file()
        service.cleanup_workspace(workspace)
        return seconds

    def downloads(self) -> int:
        operations = self.factory.metrics.get_metrics().operations
        return sum(stats.count for (name, _), stats in operations.items() if name == "storage.get")

    def close(self) -> None:
        self.storage.close()


def first_and_second(place: Place, shape: str, data: bytes) -> None:
    place.put("bot.zip", data)
    firsts = []
    for _ in range(FIRST_RUNS):
        shutil.rmtree(place.home, ignore_errors=True)
        firsts.append(place.prepare(place.service(), "bot.zip"))
    first = statistics.median(firsts)
    service = place.service()
    place.prepare(service, "bot.zip")  # a new process looks through the cache once
    later = [place.prepare(service, "bot.zip") for _ in range(SECOND_RUNS)]
    second = statistics.median(later)
    print(
        f"{shape}, {len(data) / 1e6:.0f} MB packed: first run {first:.3f} s, second run {second * 1000:.2f} ms"
        f" (max {max(later) * 1000:.2f}), ratio {second / first:.2%}"
    )


def at_once(place: Place, data: bytes) -> None:
    place.put("bots/new.zip", data)
    before = place.downloads()
    service = place.service()
    threads = [threading.Thread(target=place.prepare, args=(service, "bots/new.zip")) for _ in range(AT_ONCE)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    print(f"{AT_ONCE} runs at once of one uncached archive: {place.downloads() - before} download, {took:.3f} s")


def main() -> None:
    for shape, files in SHAPES.items():
        with tempfile.TemporaryDirectory(prefix="botdock-cache-") as name:
            place = Place(Path(name))
            first_and_second(place, shape, make_archive(files))
            at_once(place, make_archive(files + 1))
            place.close()


if __name__ == "__main__":
    main()
