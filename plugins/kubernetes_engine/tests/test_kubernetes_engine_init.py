"""`init.sh`, as the first process of a PID namespace, in each shell that an image may call `sh`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botdock_engine_kubernetes.pod import script_text
from testbed.waiting import wait_until

WAIT = 60.0
# Nothing but the first process of a namespace may tell all others to end.
FIRST = '[ "$$" = 1 ] || exit 99; exec "$@"'

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(params=["dash", "bash", "busybox"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a bot, which is shell source, below `init.sh`."""
    if (program := shutil.which(request.param)) is None:
        pytest.skip(f"{request.param} is not installed")
    (tmp_path / "sh").symlink_to(program)  # they behave as what they are called
    started: list[subprocess.Popen[str]] = []

    def begin(bot: str, *, bounds: tuple[int, int, int] = (100, 128, 1000), **variables: str) -> subprocess.Popen[str]:
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        init = [str(tmp_path / "sh"), "-c", script_text("init"), "bot", *map(str, bounds), "bash", "-c", bot]
        started.append(
            subprocess.Popen(
                ["unshare", *user, "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", FIRST, "x", *init],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def stop(process: subprocess.Popen[str]) -> None:
    """Send SIGTERM to the first process of the namespace, as a kubelet does."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)


def test_it_ends_as_the_bot_did_and_says_nothing(start: Start) -> None:
    for source, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -SEGV $$", 139), ("nosuch", 127)):
        process = start(source)
        said = process.communicate(timeout=WAIT)[1]
        assert process.returncode == code, said
        assert said == "" or "nosuch" in said


def test_sigterm_reaches_every_process_of_the_bot(start: Start) -> None:
    waits = "trap 'echo NAME down; exit CODE' TERM; echo NAME up; while :; do sleep 0.05; done"
    deep = waits.replace("NAME", "deep").replace("CODE", "0")
    process = start(f'setsid bash -c "{deep}" & {waits.replace("NAME", "main").replace("CODE", "3; wait")}')
    assert process.stdout
    assert sorted(process.stdout.readline() for _ in range(2)) == ["deep up\n", "main up\n"]
    stop(process)
    assert "main down\n" in process.communicate(timeout=WAIT)[0]
    assert process.returncode == 3


@pytest.mark.parametrize("code", [5, 127, 143])
def test_an_exit_code_is_exact_though_a_signal_comes_with_it(start: Start, code: int) -> None:
    for _ in range(4):
        process = start(f"trap told=1 TERM; kill -TERM 1; while [ -z $told ]; do sleep 0.01; done; exit {code}")
        process.communicate(timeout=WAIT)
        assert process.returncode == code


def test_a_bot_cannot_end_it_but_by_its_own_end(start: Start) -> None:
    signals = " ".join(str(number) for number in range(1, 32) if number not in {signal.SIGTERM, signal.SIGCHLD})
    process = start(f"for s in {signals}; do kill -$s 1; done; sleep 0.2; echo here; exit 5")
    assert process.communicate(timeout=WAIT)[0] == "here\n"
    assert process.returncode == 5


def test_what_the_bot_leaves_is_reaped(start: Start) -> None:
    process = start(
        "for i in 1 2 3 4 5; do (true & ) ; done; "
        "zombies() { grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null; }; "
        'while [ "$(zombies)" ]; do sleep 0.05; done'
    )
    process.communicate(timeout=WAIT)
    assert process.returncode == 0


def test_what_the_bot_leaves_cannot_hold_the_end(start: Start) -> None:
    """It is deaf, and sends signals all the time; how the bot ended, bash may then not know."""
    deaf = "trap '' TERM; echo; while :; do kill -TERM 1; done"
    process = start(f"trap '' TERM; exec 7< <(setsid bash -c \"{deaf}\"); read -r _ <&7; exit 6")
    process.communicate(timeout=WAIT)
    assert process.returncode


def test_the_bot_is_bounded_and_is_not_told_of_the_cluster(start: Start) -> None:
    process = start(
        "env; cat /proc/self/limits /proc/self/status",
        bounds=(100, 128, 900),
        KUBERNETES_SERVICE_HOST="10.0.0.1",
        KUBERNETES_PORT_443_TCP="tcp://10.0.0.1 KUBERNETES_$(x) KUBERNETES_a;b",
        OTHER="x KUBERNETES_SERVICE_HOST=1",
    )
    out, _ = process.communicate(timeout=WAIT)
    rows = [" ".join(line.split()) for line in out.splitlines()]
    for row in ("Max open files 100 100 files", "Max file size 65536 65536 bytes", "Max processes 900 900 processes"):
        assert row in rows
    assert "Max core file size 0 0 bytes" in rows
    assert "OTHER=x KUBERNETES_SERVICE_HOST=1" in rows
    assert not [row for row in rows if row.startswith("KUBERNETES_")]


@pytest.mark.parametrize("start", ["dash", "bash"], indirect=True)
def test_sigint_and_sigquit_are_not_ignored(start: Start) -> None:
    """Where `env` is Debian's; that of busybox cannot help."""
    out, _ = start("grep SigIgn /proc/self/status").communicate(timeout=WAIT)
    assert int(out.split()[1], 16) & 0b110 == 0


def test_a_shell_that_cannot_bound_the_bot_starts_none(start: Start) -> None:
    process = start("echo started", bounds=(100, 128, -1))
    out, said = process.communicate(timeout=WAIT)
    assert (out, process.returncode) == ("", 126)
    assert "cannot bound" in said


def test_a_stop_before_the_start_is_kept(start: Start) -> None:
    process = start("sleep 600")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def is_stopped() -> bool:
        if process.poll() is None and children.read_text():
            stop(process)
        return process.poll() is not None

    assert wait_until(is_stopped, timeout=WAIT, interval=0.01)
