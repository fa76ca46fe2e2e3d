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
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "socket": (41, 198),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
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
        *(
            ["open_tree", -1, 0, 0],
            ["move_mount", -1, 0, -1, 0, 0],
            ["fsopen", 0, 0],
            ["mount_setattr", -1, 0, 0, 0, 0],
        ),
        *(["umount2", 0, 0], ["pivot_root", 0, 0], ["swapon", 0, 0], ["acct", 0], ["settimeofday", 0, 0]),
        *(["init_module", 0, 0, 0], ["finit_module", -1, 0, 0], ["delete_module", 0, 0], ["kexec_load", 0, 0, 0, 0]),
        *(["reboot", 0, 0, 0, 0], ["syslog", 3, 0, 0], ["fanotify_init", 0, 0], ["kcmp", 1, 1, 0, 0, 0]),
        *(
            ["pidfd_getfd", 0, 0, 0],
            ["ptrace", 0, 0, 0, 0],
            ["process_vm_readv", 1, 0, 0, 0, 0, 0],
            ["personality", 0x40000],
        ),
    ]
    absent = [["io_uring_setup", 1, 0], ["io_setup", 1, 0], ["clone3", 0, 0], ["userfaultfd", 0]]
    config = {"sockets": [*usable, *refused], "calls": [*denied, *absent]}
    value = value_of(runner.run(make_bot(CALLER, config=config)))
    assert value["sockets"] == {**{str(f): "done" for f in usable}, **{str(f): "EPERM" for f in refused}}
    assert value["calls"] == {**{name: "EPERM" for name, *_ in denied}, **{name: "ENOSYS" for name, *_ in absent}}
    assert set(dict(value["foreign"]).values()) <= {int(signal.SIGSYS)}  # type: ignore[call-overload] # it is a dict


def test_nothing_that_steers_the_kernel_can_be_written(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    import os

    def attempt(act, path):
        try:
            act(path)
        except OSError:
            return
        yield path

    def main(id, config):
        written, tried = [], 0
        for place in config["places"]:
            for folder, _, names in os.walk(place):
                if folder.startswith("/sys/fs/cgroup/"):
                    written += attempt(os.mkdir, folder + "/made")
                for name in names:
                    tried += 1
                    written += attempt(lambda path: os.open(path, os.O_WRONLY), os.path.join(folder, name))
        for path in config["files"]:
            written += attempt(lambda path: os.open(path, os.O_WRONLY), path)
        return {"written": written, "tried": tried}
    """
    places = ["/proc/sys", "/sys/fs", "/sys/kernel", "/sys/module"]
    files = ["/proc/sysrq-trigger", "/proc/1/exe", "/proc/self/exe", "/proc/kcore", "/dev/mem"]
    value = value_of(runner.run(make_bot(source, config={"places": places, "files": files})))
    assert value["written"] == []
    assert int(str(value["tried"])) > 100, "it found what there is"


MEETING = """
import ctypes, os, socket, time

libc = ctypes.CDLL(None, use_errno=True)
KEY = 0x626F74
ADDRESSES = [(socket.AF_UNIX, "\\0meeting"), (socket.AF_INET, ("127.0.0.1", 47001))]
PATHS = ["/tmp/meeting", "/dev/shm/meeting"]

def attempt(act, *arguments):
    try:
        return act(*arguments) is not None
    except OSError:
        return False

def listen(family, address):
    server = socket.socket(family)
    server.bind(address)
    server.listen()
    return server

def connect(family, address):
    socket.socket(family).connect(address)
    return True

def main(id, config):
    made = os.O_CREAT if config["first"] else 0
    meet = listen if config["first"] else connect
    met = {
        "sockets": [attempt(meet, *address) for address in ADDRESSES],
        "files": [attempt(os.open, path, made | os.O_RDWR) for path in PATHS],
        "shared memory": libc.shmget(KEY, 4096, 0o666 | (0o1000 if made else 0)) >= 0,
        "queue": libc.mq_open(b"/meeting", made | os.O_RDWR, 0o666, None) >= 0,
        "processes": len([name for name in os.listdir("/proc") if name.isdigit()]) > 4,
    }
    print(met, flush=True)
    while config["first"]:
        time.sleep(1)
    return met
"""


def test_two_bots_at_once_have_no_name_in_common(runner: DockerRunner, make_bot: MakeBot) -> None:
    execution = runner.start(make_bot(MEETING, config={"first": True}))
    assert next(execution.logs(follow=True)).text.count("True") == 6, "the first has them all"
    met = value_of(runner.run(make_bot(MEETING, config={"first": False})))
    execution.stop()
    execution.wait(timeout=60)
    assert "True" not in str(met)
