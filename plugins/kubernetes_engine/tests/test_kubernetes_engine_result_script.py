"""`result.sh`: what it prints of a result, whatever a bot has made of it, with the tools of an image."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock_engine_kubernetes.pod import script_text
from botdock_engine_kubernetes.results import parse
from testbed.waiting import wait_until

WAIT = 60.0
LIMIT = 20_000

Tell = Callable[[Path], tuple[int, bytes]]


@pytest.fixture(params=["dash", "bash", "busybox"])
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Tell:
    """Return a function that lets `result.sh` tell of a folder: its exit code, and what it says."""
    if (program := shutil.which(request.param)) is None:
        pytest.skip(f"{request.param} is not installed")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "chmod", "head", "cksum", "gzip", "base64", "sleep"):
        is_busybox = request.param == "busybox" and name != "cksum"  # Alpine's has it, that of Debian has not
        found = program if name == "sh" or is_busybox else shutil.which(name)
        (tools / name).symlink_to(str(found))

    def run(folder: Path) -> tuple[int, bytes]:
        script = ["-c", script_text("result"), "result", str(folder), str(LIMIT)]
        with subprocess.Popen(
            [str(tools / "sh"), *script], env={"PATH": str(tools), "LC_ALL": "C"}, stdout=subprocess.PIPE
        ) as process:
            waiting = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            assert wait_until(waiting.read_text, timeout=WAIT, interval=0.01)
            sleeping = int(waiting.read_text())
            try:
                process.terminate()
                said, _ = process.communicate(timeout=WAIT)
            finally:
                os.kill(sleeping, 9)  # in a pod, it ends with the first process
        return process.returncode, said

    return run


@pytest.mark.parametrize("size", [0, 1, LIMIT, LIMIT + 1, 40 * LIMIT])
def test_a_result_is_framed_and_bounded(tell: Tell, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "result").write_bytes(content)
    (tmp_path / "result").chmod(0o200)  # a bot may have done that too
    code, said = tell(tmp_path)
    assert parse(said) == content[: LIMIT + 1]
    assert code == 0
    assert max(map(len, said.splitlines())) < 16 * 1024  # longer lines are cut by the log


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "nothing"])
def test_what_is_no_file_is_not_told(tell: Tell, tmp_path: Path, kind: str) -> None:
    result = tmp_path / "result"
    if kind == "link":
        result.symlink_to("/etc/passwd")
    if kind == "pipe":
        os.mkfifo(result)
    if kind == "folder":
        result.mkdir()
    assert tell(tmp_path) == (1, b"")
