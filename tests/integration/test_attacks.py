"""What a hostile bot tries, each stopped by the profile; the bot itself reports what it met."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import DockerRunner, Executable, ExecutionResult, Limits, Outcome
from botdock.errors import ArchiveError

MakeBot = Callable[..., Executable]

KUBERNETES = "kubernetes"
MIB = 1024 * 1024
MARKER = "host-secret-7f3a"


@pytest.fixture
def runner(attacked_runner: DockerRunner) -> DockerRunner:
    """Return a runner on each engine that isolates."""
    return attacked_runner


def value_of(result: ExecutionResult) -> dict[str, object]:
    """Return the value of a bot that had to end well."""
    assert result.outcome is Outcome.SUCCEEDED, result
    assert isinstance(result.value, dict)
    return result.value


def test_a_fork_bomb_ends_at_the_limit(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    import os, time

    def main(id, config):
        made = 0
        while made < 10000:
            try:
                pid = os.fork()
            except OSError as error:
                return {"made": made, "error": error.errno}
            if pid == 0:
                time.sleep(600)
            made += 1
    """
    value = value_of(runner.run(make_bot(source, limits=Limits(pids=32))))
    assert value["error"] == 11  # EAGAIN
    assert 0 < int(str(value["made"])) < 32


def test_a_true_fork_bomb_harms_no_other(runner: DockerRunner, make_bot: MakeBot) -> None:
    bomb = make_bot("bomb() { bomb | bomb & }\nbomb\nwait\n", runtime="bash", timeout=5.0, limits=Limits(pids=64))
    runner.run(bomb)
    well = runner.run(make_bot("def main(id, config):\n    return {'well': True}"))
    assert value_of(well) == {"well": True}


def test_a_memory_bomb_of_many_processes_stays_within_the_limit(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    import os

    def main(id, config):
        for _ in range(8):
            os.fork()
        block = bytearray(64 * 1024 * 1024)
        os.wait()
        return len(block)
    """
    result = runner.run(make_bot(source, limits=Limits(memory=96 * MIB), timeout=20.0))
    assert result.evidence["oom_killed"] is True
    assert result.outcome is not Outcome.INFRASTRUCTURE_ERROR


FILL = """
import errno, os

def fill(path):
    written, stopped = 0, ""
    try:
        with open(path, "wb", buffering=0) as file:
            while written < 1 << 30:
                written += file.write(bytes(1 << 20))
    except OSError as error:
        stopped = errno.errorcode[error.errno]
    return {"written": written, "stopped": stopped}

def main(id, config):
    return {path: fill(path) for path in config["paths"]}
"""


def test_a_disk_filler_is_bounded_wherever_it_may_write(runner: DockerRunner, make_bot: MakeBot) -> None:
    paths = ["/tmp/fill", "/tmp/more", "/dev/shm/fill", "/var/fill"]
    limits = Limits(tmpfs=8 * MIB, file_size=6 * MIB, memory=256 * MIB)
    value = value_of(runner.run(make_bot(FILL, config={"paths": paths}, limits=limits)))
    met = {path: dict(found) for path, found in value.items() if isinstance(found, dict)}
    assert met["/tmp/fill"] == {"written": 6 * MIB, "stopped": "EFBIG"}
    assert met["/tmp/more"] == {"written": 2 * MIB, "stopped": "ENOSPC"}
    assert met["/dev/shm/fill"]["written"] <= 8 * MIB
    assert met["/dev/shm/fill"]["stopped"] in {"EFBIG", "ENOSPC", "EACCES", "EROFS", "ENOENT"}
    assert met["/var/fill"] == {"written": 0, "stopped": "EROFS"}


def test_the_result_file_is_bounded_too(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = (
        FILL
        + """
import glob, json

def main(id, config):
    [context] = [json.load(open(path)) for path in glob.glob("/botdock/context/context.json")]
    print(fill(context["result_file"]))
    os._exit(0)
"""
    )
    result = runner.run(make_bot(source, limits=Limits(file_size=4 * MIB, result=1 * MIB)))
    assert "EFBIG" in result.output
    assert result.value is None
    assert len(result.result_file_contents) <= 1 * MIB


def test_an_output_flood_ends_at_the_limit_and_not_the_disk(runner: DockerRunner, make_bot: MakeBot) -> None:
    flood = "exec yes 0123456789012345678901234567890123456789\n"
    result = runner.run(make_bot(flood, runtime="bash", limits=Limits(output=2 * MIB)))
    assert result.outcome is Outcome.OUTPUT_LIMIT, result
    stored = sum(path.stat().st_size for path in runner.config.home_dir.glob("executions/*/logs/std*"))
    tail = runner.config.logging.output_tail
    assert stored == result.log.bytes <= 2 * MIB + tail


def test_a_set_uid_program_in_the_code_is_refused(runner: DockerRunner, make_bot: MakeBot) -> None:
    bot = make_bot("def main(id, config):\n    return {}", files={"elevate": "#!/bin/sh\n"})
    (Path(bot.file_path) / "elevate").chmod(0o4755)
    with pytest.raises(ArchiveError, match="'elevate' has a set-uid"):
        runner.run(bot)


def test_a_set_uid_program_of_the_image_gains_nothing(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    import os, stat, subprocess, time

    def main(id, config):
        marked = bool(os.stat("/bin/su").st_mode & stat.S_ISUID)
        with subprocess.Popen(["/bin/su"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            status, tries = "", 0
            while not status.startswith("Name:\\tsu\\n") and tries < 500:  # it is still becoming `su`
                status, tries = open(f"/proc/{child.pid}/status").read(), tries + 1
                time.sleep(0.01)
        return dict(line.split(":", 1) for line in status.splitlines()) | {"marked": marked}
    """
    status = value_of(runner.run(make_bot(source)))
    assert status["marked"] is True
    assert str(status["Name"]).strip() == "su"
    assert set(map(int, str(status["Uid"]).split())) < set(range(2_000_000, 2_165_536))
    assert str(status["NoNewPrivs"]).strip() == "1"


def test_there_is_no_network(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    import os, socket

    def attempt(address):
        try:
            socket.create_connection(tuple(address), timeout=3).close()
        except OSError as error:
            return type(error).__name__
        return "connected"

    def main(id, config):
        tried = {address[0]: attempt(address) for address in config["addresses"]}
        return {"interfaces": os.listdir("/sys/class/net"), "tried": tried}
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        addresses = [["127.0.0.1", server.getsockname()[1]], ["1.1.1.1", 53], ["169.254.169.254", 80]]
        value = value_of(runner.run(make_bot(source, config={"addresses": addresses})))
    beside = ["eth0"] if runner.config.engine == KUBERNETES else []  # a pod has one, which its policy closes
    assert isinstance(value["interfaces"], list)
    assert sorted(value["interfaces"]) == [*beside, "lo"]
    assert isinstance(value["tried"], dict)
    assert "connected" not in value["tried"].values()


def test_nothing_but_tmp_can_be_written(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    import os

    def writable(folder):
        probe = os.path.join(folder, ".probe")
        try:
            open(probe, "w").close()
        except OSError:
            return False
        os.remove(probe)
        return True

    def main(id, config):
        skipped = ("/proc", "/sys")
        folders = []
        for folder, below, _ in os.walk("/"):
            if folder.count("/") > 2 and folder.startswith("/usr/"):
                below.clear()  # one mount, of very many folders where it is this machine's own
            if not folder.startswith(skipped):
                folders.append(folder)
        refused = {}
        for path in ("/bot/main.py", "/etc/passwd", "/botdock/program/entrypoint.sh"):
            try:
                open(path, "a").close()
            except OSError as error:
                refused[path] = error.errno
        return {"writable": sorted(filter(writable, folders)), "refused": refused, "home": os.environ["HOME"]}
    """
    value = value_of(runner.run(make_bot(source)))
    assert isinstance(value["refused"], dict)
    assert value["refused"].keys() == {"/bot/main.py", "/etc/passwd", "/botdock/program/entrypoint.sh"}
    assert isinstance(value["writable"], list)
    assert "/tmp" in value["writable"]
    tmpfs = ("/tmp", "/dev/shm", "/dev/mqueue", "/dev/pts", str(value["home"]))
    assert [folder for folder in value["writable"] if not str(folder).startswith(tmpfs)] == []


def test_what_is_written_to_tmp_cannot_be_executed(runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    import os, shutil, subprocess

    def main(id, config):
        shutil.copy("/bin/true", "/tmp/true")
        os.chmod("/tmp/true", 0o755)
        try:
            subprocess.run(["/tmp/true"], check=True)
        except PermissionError:
            return {"refused": True}
        return {"refused": False}
    """
    refuses = runner.config.engine != KUBERNETES  # which says so: there, `tmpfs` is missing in the profile
    assert value_of(runner.run(make_bot(source))) == {"refused": refuses}


def test_nothing_of_the_host_is_to_be_seen(
    runner: DockerRunner, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
    import glob, os, stat

    def read(path):
        try:
            return open(path, "rb").read().decode("latin-1")
        except OSError:
            return ""

    def main(id, config):
        sockets = []
        for folder, below, names in os.walk("/"):
            if folder.startswith(("/proc", "/sys", "/usr/")):
                below.clear()
                continue
            for name in names:
                path = os.path.join(folder, name)
                if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode):
                    sockets.append(path)
        return {
            "environment": sorted(os.environ),
            "seen": [path for path in glob.glob("/proc/[0-9]*/environ") if config["marker"][::-1] in read(path)],
            "sockets": sockets,
            "programs": [read(path) for path in glob.glob("/proc/[0-9]*/comm")],
        }
    """
    monkeypatch.setenv("BOTDOCK_PROBE_SECRET", MARKER)
    value = value_of(runner.run(make_bot(source, config={"marker": MARKER[::-1]})))
    assert isinstance(value["environment"], list)
    assert isinstance(value["programs"], list)
    assert "BOTDOCK_PROBE_SECRET" not in value["environment"]
    assert value["seen"] == []
    assert value["sockets"] == []
    assert len(value["programs"]) <= 4, "it sees processes that are not its own"
