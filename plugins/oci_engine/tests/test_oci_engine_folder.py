"""A folder in place of this machine's own programs, really run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock.model import ContainerState, LogCursor, LogStream
from botdock_engine_oci.engine import OciEngine
from botdock_engine_oci.settings import OciSettings
from botdock_testing.engine import Asked

CALL = 60.0

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the cgroups of this machine are root's")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a root file system that has a shell and its libraries, and nothing else."""
    root = tmp_path / "image"
    shell = os.path.realpath("/bin/sh")
    linked = subprocess.run(["ldd", shell], capture_output=True, text=True, check=True).stdout
    for path in [shell, *re.findall(r"(/\S+) \(0x", linked)]:
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy(shell, root / "bin" / "sh")
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("somebody:x:1:1::/:/bin/sh\n")
    (root / "etc" / "mark").write_text("of the folder\n")
    return root


def read_all(stream: LogStream) -> bytes:
    with stream:
        return b"".join(chunk.data for _ in iter(lambda: stream.ended, True) for chunk in stream.read(CALL))


def test_a_bot_sees_the_folder_and_can_change_nothing_of_it(
    folder: Path, state: Path, shell_spec: Callable[..., Asked]
) -> None:
    before = sorted(folder.rglob("*"))
    engine = OciEngine(state, OciSettings(rootfs=str(folder)))
    script = """
        read -r mark </etc/mark; echo "$mark"
        while IFS=: read -r name rest; do echo "$name"; done </etc/passwd
        for place in / /etc/ /bin/; do (: >"${place}x") 2>/dev/null && echo "wrote $place"; done
        [ -e /usr/bin/env ] && echo "of the machine"
        exit 7
    """
    container = engine.create(*shell_spec(script), timeout=CALL)
    try:
        engine.start(container, timeout=CALL)
        told = read_all(engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=CALL))
        status = engine.wait(container, timeout=CALL)
    finally:
        engine.remove(container, timeout=CALL)
    assert told.decode().split("\n") == ["of the folder", "root", "nobody", "bot", ""]
    assert status is not None
    assert (status.state, status.exit_code) == (ContainerState.EXITED, 7)
    assert engine.capabilities().version.endswith(f" on {folder}")
    assert sorted(folder.rglob("*")) == before
