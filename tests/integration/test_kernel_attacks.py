"""What a hostile bot tries on the kernel that it shares with its neighbours and the host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from botdock import DockerRunner, Executable, ExecutionResult, Outcome

pytestmark = pytest.mark.docker

MakeBot = Callable[..., Executable]


def value_of(result: ExecutionResult) -> dict[str, object]:
    """Return the value of a bot that had to end well."""
    assert result.outcome is Outcome.SUCCEEDED, result
    assert isinstance(result.value, dict)
    return result.value


TAKER = """
import ctypes, os, time

libc = ctypes.CDLL(None, use_errno=True)

def take(make, most):
    taken = 0
    while taken < most and make() >= 0:
        taken += 1
    return taken

def timer():
    return libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p()))

def queue():
    queue.made = getattr(queue, "made", 0) + 1
    return libc.mq_open(b"/%d" % queue.made, os.O_CREAT | os.O_RDWR, 0o600, None)

def main(id, config):
    taken = {
        "inotify": take(libc.inotify_init, 200),
        "timers": take(timer, 5_000),
        "queues": take(queue, 200),
    }
    print("took", flush=True)
    while config["stay"]:
        time.sleep(1)
    return taken
"""


def test_what_one_bot_takes_of_the_kernel_its_neighbour_does_not_miss(runner: DockerRunner, make_bot: MakeBot) -> None:
    execution = runner.start(make_bot(TAKER, config={"stay": True}))
    assert next(execution.logs(follow=True)).text == "took"
    taken = value_of(runner.run(make_bot(TAKER, config={"stay": False})))
    execution.stop()
    execution.wait(timeout=60)
    assert int(str(taken["inotify"])) >= 100
    assert 0 < int(str(taken["timers"])) <= 1024
    assert int(str(taken["queues"])) > 5


def test_no_capability_and_a_seccomp_filter(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    def main(id, config):
        return dict(line.rstrip().split(":", 1) for line in open("/proc/self/status"))
    """
    status = {name: str(text).strip() for name, text in value_of(runner.run(make_bot(source))).items()}
    assert {
        name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    } == dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0)
    assert status["Seccomp"] == "2"
    assert status["Groups"] in {"", status["Gid"].split()[0]}
