"""Whatever the size of an object, the process does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import attrs
import pytest

from botdock.config import Config
from testbed.drills import count
from testbed.minio import MinioServer

MIB = 1024 * 1024
SIZE = count(256 * MIB, 64 * MIB)
PROGRAM = """
import io, json, sys
from pathlib import Path
from botdock import Config
from botdock.model import StorageArea
from botdock_storage_minio.backend import MinIOBackend

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))

class Long:
    def __init__(self, left, step): self.left, self.step = left, step
    def read(self, size=-1):
        size = min(self.left, size, self.step)
        self.left -= size
        return bytes(size)

config, size, step, sized = json.loads(sys.argv[1])
backend = MinIOBackend.from_config(Config.load(environ={}, overrides=config), StorageArea.CODE)
backend.put("small", io.BytesIO(b"x"))
before = peak()
backend.put("large", Long(size, step), size=size if sized else None)
total = 0
with backend.get("large") as reader:
    while piece := reader.read(1024 * 1024):
        total += len(piece)
assert total == size
backend.close()
print(peak() - before)
"""


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("step", [64 * 1024, 1024 * MIB])
def test_the_peak_grows_by_less_than_40_mib(
    minio_server: MinioServer, make_minio_config: Callable[..., Config], step: int, sized: bool
) -> None:
    config = make_minio_config(minio_server)
    overrides = {"home": config.home, "minio": attrs.asdict(config.options["minio"])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([overrides, SIZE, step, sized])],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stderr == ""
    assert int(done.stdout) < 40 * 1024
