"""Unpacking 5,000 files against `unzip` and `tar`, and the memory it takes: python benchmarks/unpack.py.

Ours and theirs run in turn, each in a process and into a folder of its own. No folder is removed before the end: a file
system such as ext4 makes new files slowly for some seconds after it has removed as many, and that would be measured.
"""

from __future__ import annotations

import random
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from botdock.archive import copy_tree, extract

FILES = 5_000
ROUNDS = 5
SIZES = (20, 200)  # MB, unpacked
MB = 1_000_000

THEIRS: dict[str, tuple[str, ...]] = {
    "zip": ("unzip", "-q", "{archive}", "-d", "{folder}"),
    "tar.gz": ("tar", "-xzf", "{archive}", "-C", "{folder}"),
}


def make_tree(folder: Path, size: int) -> Path:
    """Write files of words, which pack to about 45 %, as source code and price files do."""
    chance = random.Random(size)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz_", k=chance.randint(2, 10))) for _ in range(4000)]
    text = " ".join(chance.choices(words, k=400_000)).encode()
    each = size * MB // FILES
    for number in range(FILES):
        place = folder / f"package{number % 50}"
        place.mkdir(parents=True, exist_ok=True)
        start = chance.randrange(len(text) - each)
        (place / f"module{number}.py").write_bytes(text[start : start + each])
    return folder


def make_archives(tree: Path) -> dict[str, Path]:
    found = {form: tree.with_suffix(f".{form}") for form in THEIRS}
    with zipfile.ZipFile(found["zip"], "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(tree.rglob("*")):
            packed.write(path, path.relative_to(tree))
    with tarfile.open(found["tar.gz"], "w:gz", compresslevel=6, format=tarfile.GNU_FORMAT) as archive:
        archive.add(tree, ".")
    return found


def child(archive: str, folder: str) -> None:
    """Unpack, and print the seconds it took and the peak of memory in KiB."""
    start = time.perf_counter()
    extract(Path(archive), Path(folder))
    print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def ours(archive: Path, folder: Path) -> tuple[float, int]:
    command = [sys.executable, __file__, str(archive), str(folder)]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(peak)


def theirs(archive: Path, folder: Path) -> float:
    folder.mkdir()
    form = "zip" if archive.suffix == ".zip" else "tar.gz"
    command = [part.format(archive=archive, folder=folder) for part in THEIRS[form]]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def compare(form: str, archive: Path, size: int, fresh: Callable[[], Path]) -> str:
    tool = THEIRS[form][0]
    compared = shutil.which(tool) is not None
    mine, other, peak = [], [], 0
    for _ in range(ROUNDS):
        seconds, peak = ours(archive, fresh())
        mine.append(seconds)
        if compared:
            other.append(theirs(archive, fresh()))
    line = f"{form:7} {size:4} MB   botdock {statistics.median(mine):6.2f} s   peak {peak / 1024:4.0f} MiB"
    if not compared:
        return f"{line}   {tool} is not installed"
    ratio = statistics.median(other) / statistics.median(mine)
    return f"{line}   {tool:5} {statistics.median(other):6.2f} s   speed {ratio:4.2f} times {tool}"


def small_copies(tree: Path, fresh: Callable[[], Path]) -> str:
    """Time `copy_tree` on what a bot usually is: ten small files."""
    small = tree.with_suffix(".small")
    small.mkdir()
    for path in sorted((tree / "package0").iterdir())[:10]:
        shutil.copy(path, small)
    taken = []
    for _ in range(50):
        start = time.perf_counter()
        copy_tree(small, fresh())
        taken.append(time.perf_counter() - start)
    return f"copy_tree of 10 files   median {statistics.median(taken) * 1000:.1f} ms"


def main() -> None:
    print(f"{FILES} files, median of {ROUNDS} rounds; the time to start Python is not counted")
    with tempfile.TemporaryDirectory(prefix="botdock-unpack-") as name:
        place = Path(name)
        numbers = iter(range(1_000_000))

        def fresh() -> Path:
            return place / f"out{next(numbers)}"

        for size in SIZES:
            tree = make_tree(place / f"tree{size}", size)
            for form, archive in make_archives(tree).items():
                print(compare(form, archive, size, fresh), flush=True)
        print(small_copies(tree, fresh))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1], sys.argv[2])
    else:
        main()
