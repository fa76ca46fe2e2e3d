"""A machine with cgroup v2 alone, emulated, that runs tests: `python -m testbed.machine PYTEST-ARGUMENTS`.

From the root of the repository, as root, for example:

    PYTHONPATH=tests .venv/bin/python -m testbed.machine tests/integration/test_outcomes.py

It has Debian trixie's Docker, crun, runc and Python, one processor and no network. Its clock counts instructions, so
that a second of it is some three of this machine, and more where that is busy.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import attrs

from testbed.cache import Slot
from testbed.console import TestbedError, run, say
from testbed.machine_image import PYTHON, ensure_machine, make_disk
from testbed.packages import find_program

ROOT = Path(__file__).parents[2]
TIMEOUT = 900.0
"""Seconds from the machine's first step to its end."""
_MEMORY = "4096"  # MiB; what images and tests write lies in it
_UNUSED = shutil.ignore_patterns(".git", ".venv", ".cache", ".*_cache", ".hypothesis", "__pycache__", "dist", "build")
_KERNEL = "root=/dev/vda rw init=/usr/local/sbin/first console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off"
_END = re.compile(r"machine: pytest ended with (\d+)")


@attrs.frozen
class Ended:
    """A machine that is off.

    Attributes:
        exit_code: Pytest's; None where it did not come to its end.
        output: All that was written to the console.
        is_late: Whether it was killed for taking too long.
    """

    exit_code: int | None
    output: str
    is_late: bool


def run_tests(*arguments: str, timeout: float = TIMEOUT, tell: Callable[[str], object] = lambda line: None) -> Ended:
    """Boot a machine, run pytest in it on this repository as it is, and return once the machine is off.

    Args:
        arguments: Of pytest.
        timeout: Seconds from the boot on, after which the machine is killed.
        tell: Called with each line that it writes.

    Raises:
        TestbedError: There can be no such machine here.
    """
    machine, slot = ensure_machine(), Slot("machine-run")
    tree, disk = slot.path / "given", slot.path / "given.img"
    try:
        _make_given(tree, arguments)
        make_disk(tree, disk)
        shutil.rmtree(tree)
        return _boot(_command(machine, disk), timeout, tell)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
        disk.unlink(missing_ok=True)
        slot.free()


def _make_given(folder: Path, arguments: Sequence[str]) -> None:
    """Make what the machine finds at `/given`: the repository, all that it needs installed, and what is to be done."""
    shutil.rmtree(folder, ignore_errors=True)  # a run that was killed left it
    shutil.copytree(ROOT, folder / "repository", ignore=_UNUSED, symlinks=True)
    _install(folder / "site")
    shutil.copy(Path(__file__).with_name("machine_init.sh"), folder / "init")
    options = ("-p", "no:cacheprovider", "-n", "0", "--color", "no", "-v", "--durations", "0")
    pytest = ("python3", "-m", "pytest", *options, *arguments)
    (folder / "tests").write_text(shlex.join(pytest) + "\n")


def _install(site: Path) -> None:
    """Install the repository's distributions, and what its tests need, for the machine's Python."""
    members = [path.parent for path in ROOT.glob("*/*/pyproject.toml")]
    pinned = ("-c", "constraints.txt", "-b", "constraints.txt")
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", sys.executable]
    wanted = [".[yaml,zstd]", *map(str, members), "--group", "test"]
    target = ["--target", str(site), "--python-version", PYTHON, "--no-sources"]
    run([*uv, *target, *pinned, *wanted], timeout=TIMEOUT, cwd=ROOT)


def _command(machine: Path, disk: Path) -> list[str]:
    emulator = find_program("qemu-system-x86_64") or "qemu-system-x86_64"
    drives = (f"file={machine / 'root.img'},snapshot=on", f"file={disk},cache=unsafe")
    return [
        *(find_program("setpriv") or "setpriv", "--pdeathsig", "KILL"),  # it ends with us, however we end
        # Its clock counts its instructions: on a busy machine it is slower, and nothing in it comes too late for that.
        *(emulator, "-accel", "tcg,thread=single", "-icount", "shift=1", "-rtc", "clock=vm", "-cpu", "max"),
        *("-m", _MEMORY),
        *("-nodefaults", "-no-user-config", "-nic", "none", "-display", "none", "-serial", "stdio", "-no-reboot"),
        *(part for drive in drives for part in ("-drive", f"{drive},if=virtio,format=raw")),
        *("-kernel", str(machine / "vmlinuz"), "-initrd", str(machine / "initrd"), "-append", _KERNEL),
    ]


def _boot(command: Sequence[str], timeout: float, tell: Callable[[str], object]) -> Ended:
    lines: list[str] = []
    late = threading.Event()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout, give_up)
        timer.start()
        try:
            for line in process.stdout:
                lines.append(line.decode(errors="replace").rstrip())
                tell(lines[-1])
        finally:
            timer.cancel()
            process.kill()
    output = "\n".join(lines)
    ends = _END.findall(output)
    return Ended(int(ends[-1]) if ends else None, output, late.is_set())


def main() -> int:
    """Run the tests that were named, and return pytest's exit code."""
    try:
        ended = run_tests(*sys.argv[1:], tell=partial(print, flush=True))
    except TestbedError as error:
        say(str(error))
        return 1
    if ended.exit_code is None:
        say(f"the machine was killed after {TIMEOUT:g} s" if ended.is_late else "the machine ended before pytest did")
        return 1
    return ended.exit_code


if __name__ == "__main__":
    sys.exit(main())
