"""The program `minio`: that of the machine, else one that Go builds once."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from testbed.cache import cache_dir, locked
from testbed.console import TestbedError, say
from testbed.packages import find_program

MODULE = "github.com/minio/minio@latest"
HELP = f"put `minio` on PATH, or install Go, with which the testbed builds it (`go install {MODULE}`)"
_BUILD_TIMEOUT = 1800.0
_TELL_EVERY = 20.0
_SHOWN = 2000


def ensure_minio() -> Path:
    """Return the path of `minio`, built if it must be; a build takes about two minutes on two cores, once.

    Raises:
        TestbedError: It is not there and cannot be built; saying how to get it.
    """
    if found := find_program("minio"):
        return Path(found)
    built = cache_dir() / "bin" / "minio"
    with locked(cache_dir() / "minio.lock"):
        if not built.is_file():
            _build(built.parent)
    return built


def _build(folder: Path) -> None:
    go = find_program("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if go is None:
        raise TestbedError(f"no MinIO server: {HELP}")
    say("building MinIO with Go; this takes some minutes, once")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "minio-build.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [go, "install", "-v", MODULE],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "GOBIN": str(folder)},
        )
        try:
            code = _wait(process, log)
        finally:
            process.kill()
            process.wait()
    if code != 0:
        raise TestbedError(f"no MinIO server: {HELP}; building it failed:\n{log.read_text()[-_SHOWN:]}")


def _wait(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait for the end of a build, and say now and then how far it is."""
    deadline = time.monotonic() + _BUILD_TIMEOUT
    while time.monotonic() < deadline:
        try:
            return process.wait(_TELL_EVERY)
        except subprocess.TimeoutExpired:
            say(f"building MinIO: {len(log.read_text().splitlines())} steps done")
    return -1
