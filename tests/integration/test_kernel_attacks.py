"""What a hostile bot tries on the kernel that it shares with its neighbours and the host."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from botdock import DockerRunner, Executable, ExecutionResult, Outcome

MakeBot = Callable[..., Executable]


@pytest.fixture
def runner(isolating_runner: DockerRunner) -> DockerRunner:
    """Return a runner on each engine that isolates."""
    return isolating_runner


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


CALLER = """
import ctypes, errno, mmap, os, platform, socket

libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {  # of x86_64 and of aarch64
    "add_key": (248, 217),
    "bpf": (321, 280),
    "clone": (56, 220),
    "clone3": (435, 435),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "setns": (308, 268),
    "socket": (41, 198),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}

def call(name, *arguments):
    number = NUMBERS[name][platform.machine() == "aarch64"]
    ctypes.set_errno(0)
    if libc.syscall(*map(ctypes.c_long, (number, *arguments))) >= 0:
        return "done"
    return errno.errorcode[ctypes.get_errno()]

def run_machine_code(code):
    pid = os.fork()
    if pid == 0:
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])

def main(id, config):
    sockets = {str(family): call("socket", *family) for family in config["sockets"]}
    calls = {name: call(name, *arguments) for name, *arguments in config["calls"]}
    get_pid = {"i386": bytes.fromhex("b814000000cd80c3"), "x32": bytes.fromhex("b8270000400f05c3")}
    foreign = {name: run_machine_code(code) for name, code in get_pid.items()} if platform.machine() == "x86_64" else {}
    return {"sockets": sockets, "calls": calls, "foreign": foreign}
"""


def test_no_socket_but_unix_tcp_udp_and_the_routing_table_and_no_call_that_a_bot_does_not_need(
    runner: DockerRunner, make_bot: MakeBot
) -> None:
    usable = [[1, 1, 0], [1, 5, 0], [2, 1, 0], [2, 1 | 0o2000000, 6], [2, 2, 17], [10, 1, 0], [16, 3, 0]]
    families = [family for family in range(50) if family not in {1, 2, 10, 16}]
    protocols = [[2, 1, 132], [2, 5, 0], [2, 1, 262], [2, 2, 1], [2, 3, 255], [10, 6, 33], [16, 3, 12], [16, 3, 16]]
    refused = [*([family, kind, 0] for family in families for kind in (1, 2, 3, 5)), *protocols, [2**32 + 40, 1, 0]]
    new_user = 0x10000000
    denied = [
        *(["unshare", new_user], ["clone", new_user | 17, 0, 0, 0, 0], ["setns", 0, 0], ["mount", 0, 0, 0, 0, 0]),
        *(["keyctl", 0, -3, 1], ["add_key", 0, 0, 0, 0, 0], ["request_key", 0, 0, 0, 0]),
        *(["bpf", 0, 0, 0], ["perf_event_open", 0, 0, -1, -1, 0], ["open_by_handle_at", 0, 0, 0]),
        *(["ptrace", 0, 0, 0, 0], ["process_vm_readv", 1, 0, 0, 0, 0, 0], ["personality", 0x40000]),
    ]
    absent = [["io_uring_setup", 1, 0], ["io_setup", 1, 0], ["clone3", 0, 0], ["userfaultfd", 0]]
    config = {"sockets": [*usable, *refused], "calls": [*denied, *absent]}
    value = value_of(runner.run(make_bot(CALLER, config=config)))
    assert value["sockets"] == {**{str(f): "done" for f in usable}, **{str(f): "EPERM" for f in refused}}
    assert value["calls"] == {**{name: "EPERM" for name, *_ in denied}, **{name: "ENOSYS" for name, *_ in absent}}
    assert set(dict(value["foreign"]).values()) <= {int(signal.SIGSYS)}  # type: ignore[call-overload] # it is a dict
