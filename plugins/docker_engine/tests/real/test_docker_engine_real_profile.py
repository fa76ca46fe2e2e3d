"""The strict profile on a real Docker: what a bot tries, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import docker
import pytest

from botdock.model import DEFAULT_LIMITS, Limits

pytestmark = pytest.mark.docker

MIB = 1024 * 1024


def limits(**changed: Any) -> Limits:
    return attrs.evolve(DEFAULT_LIMITS, **changed)


@pytest.fixture
def make_image(docker_host: str, bash_image: str) -> Iterator[Callable[..., str]]:
    """Returns a function that makes an image of a script and of changes to the image's configuration."""
    client = docker.DockerClient(base_url=docker_host, version="auto")
    made: list[str] = []

    def make(script: str = "true", *changes: str) -> str:
        container = client.containers.create(
            bash_image, ["-c", script], entrypoint="/bin/sh", user="0", network_mode="none"
        )
        container.start()
        assert container.wait()["StatusCode"] == 0
        image = container.commit(changes=list(changes))
        container.remove(force=True)
        made.append(str(image.id))
        return made[-1]

    yield make
    for image in made:
        client.images.remove(image, force=True)
    client.close()


def test_nothing_can_be_written_but_tmp(bash_lab: Any) -> None:
    places = "/ /etc /bot /botdock /usr /var /home /dev /proc /sys /root /run /opt"
    script = f"for place in {places}; do ( : > $place/x ) 2>/dev/null && echo $place; done; : > /tmp/x && echo /tmp"
    assert bash_lab.shell(script).stdout == b"/tmp\n"


def test_secrets_have_a_folder_in_memory_that_is_the_bots_alone(bash_lab: Any) -> None:
    look = "stat -c '%a %u' /run/secrets; id -u; : > /run/secrets/x && echo written; grep ' /run/secrets ' /proc/mounts"
    spec = bash_lab.spec("/bin/sh", "-c", look)
    spec = spec._replace(run=attrs.evolve(spec.run, secrets_target="/run/secrets"))
    (mode, owner), (user,), written, mount = (line.split() for line in bash_lab.run(spec).stdout.decode().splitlines())
    assert (mode, owner, written) == ("700", user, ["written"])
    assert mount[2] == "tmpfs"
    assert {"noexec", "nosuid", "nodev"} <= set(mount[3].split(","))


def test_the_code_and_our_files_stay_as_they_are(bash_lab: Any, tmp_path: Path) -> None:
    spec = bash_lab.spec("/bin/sh", "-c", "echo x > /bot/main; rm /bot/main; chmod 777 /bot/main; cat /bot/main")
    Path(spec.run.code, "main").write_text("mine\n")
    Path(spec.run.code, "main").chmod(0o666)
    assert bash_lab.run(spec).stdout == b"mine\n"
    assert (tmp_path / "code" / "main").read_text() == "mine\n"


def test_the_result_is_the_one_file_that_reaches_us(bash_lab: Any, tmp_path: Path) -> None:
    ran = bash_lab.shell("echo 42 > /botdock/result; rm -f /botdock/result; mv /tmp /botdock/result; true")
    assert bash_lab.engine.fetch_result(ran.container, limit=100, timeout=20.0) == b"42\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["code", "context", "program", "result"]


def test_tmp_is_sized(bash_lab: Any) -> None:
    script = "head -c 3000000 /dev/zero > /tmp/a; wc -c < /tmp/a"
    ran = bash_lab.shell(script, limits=limits(tmpfs=2 * MIB))
    assert int(ran.stdout) == 2 * MIB
    assert b"No space left" in ran.stderr


def test_the_files_of_tmp_are_counted(bash_lab: Any) -> None:
    script = "i=0; while [ $i -lt 3000 ] && true > /tmp/$i; do i=$((i+1)); done 2>/dev/null; echo $i"
    assert int(bash_lab.shell(script, limits=limits(tmpfs=2 * MIB)).stdout) < 1024


def test_what_is_put_into_tmp_cannot_be_run(bash_lab: Any) -> None:
    ran = bash_lab.shell("cp $(command -v cat) /tmp/cat; chmod 755 /tmp/cat; /tmp/cat /etc/passwd; echo $?")
    assert ran.stdout == b"126\n"


def test_a_file_cannot_outgrow_its_limit(python_lab: Any) -> None:
    program = "f = open('/tmp/f', 'wb')\ntry:\n f.write(bytes(2**20)); f.flush()\nexcept OSError as e: print(e.errno)"
    assert python_lab.python(program, limits=limits(file_size=MIB // 2)).stdout == b"27\n"


def test_it_is_a_user_of_its_own_and_has_no_capability(bash_lab: Any) -> None:
    script = "id -u; id -g; id -G; grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/self/status"
    lines, other = (bash_lab.shell(script).stdout.decode().split("\n") for _ in range(2))
    assert int(lines[0]) in range(2_000_000, 2_065_536)
    assert lines[:3] == [lines[0]] * 3 != other[:3]
    status = dict(line.split(":\t") for line in lines[3:] if line)
    assert {name: int(value, 16) for name, value in status.items() if name.startswith("Cap")} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0
    )
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_its_user_and_group_have_a_name_on_any_image(bash_lab: Any, make_image: Callable[..., str]) -> None:
    script = "id -un; id -gn; whoami; echo ~bot $LANG; echo x >>/etc/passwd || wc -l </etc/passwd"
    for image in ("bot-named", make_image("rm -f /etc/passwd /etc/group")):
        ran = bash_lab.shell(script, **({} if image == "bot-named" else {"image": image}))
        assert ran.stdout.decode().split() == ["bot", "bot", "bot", "/tmp", "C.UTF-8", "3"]


def test_a_set_user_id_program_gains_nothing(bash_lab: Any, make_image: Callable[..., str]) -> None:
    image = make_image("cp $(command -v id) /usr/bin/su-id && chmod 4755 /usr/bin/su-id")
    ran = bash_lab.shell("ls -l /usr/bin/su-id | cut -c1-10; /usr/bin/su-id -u", image=image)
    mode, uid = ran.stdout.split()
    assert mode == b"-rwsr-xr-x"
    assert int(uid) >= 2_000_000


def test_there_is_no_network(python_lab: Any) -> None:
    program = """
import os, socket
print(sorted(os.listdir("/sys/class/net")))
for address in (("1.1.1.1", 53), ("127.0.0.1", 2375)):
    try: socket.create_connection(address, 5)
    except OSError as error: print(type(error).__name__, error.errno)
print([line for line in open("/etc/resolv.conf") if line.startswith("nameserver")])
"""
    lines = python_lab.python(program).stdout.decode().splitlines()
    assert lines == ["['lo']", "OSError 101", "ConnectionRefusedError 111", "['nameserver 127.0.0.1\\n']"]


def test_the_hosts_docker_is_nowhere(bash_lab: Any) -> None:
    script = "find / -name 'docker*.sock' 2>/dev/null; ls /var/run/docker.sock /run/docker.sock 2>/dev/null; echo none"
    assert bash_lab.shell(script).stdout == b"none\n"


def test_the_environment_is_the_images_path_a_home_and_what_was_given(
    bash_lab: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpProxy": "http://proxy.example"}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("A_SECRET_OF_THE_HOST", "x")
    ran = bash_lab.shell("env", environment={"ID": "bot"})
    seen = dict(line.split("=", 1) for line in ran.stdout.decode().splitlines())
    assert (seen["HOME"], seen["TMPDIR"], seen["ID"], seen["HOSTNAME"]) == ("/tmp", "/tmp", "bot", "botdock")
    assert not {name for name in seen if "PROXY" in name.upper() or "SECRET" in name}


def test_processes_are_bounded(bash_lab: Any) -> None:
    ran = bash_lab.shell(
        "i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i+1)); done; echo too many", limits=limits(pids=16)
    )
    assert ran.stdout == b""
    assert b"ork" in ran.stderr  # fork: Resource temporarily unavailable


def test_a_fork_bomb_ends_with_its_container(bash_lab: Any) -> None:
    # the main program forks once, when there is room for it, and so does not end by itself before it is stopped
    spec = bash_lab.spec("/bin/sh", "-c", "b() { b | b & }; b & exec sleep 600", limits=limits(pids=32))
    container = bash_lab.engine.create(*spec, timeout=60.0)
    bash_lab.engine.start(container, timeout=60.0)
    bash_lab.engine.stop(container, grace=0.0, timeout=60.0)
    assert bash_lab.engine.inspect(container, timeout=60.0).exit_code == 137


def test_too_much_memory_in_the_main_program_kills_it(python_lab: Any) -> None:
    ran = python_lab.python("x = bytearray(200 * 2**20)", limits=limits(memory=64 * MIB))
    assert (ran.status.exit_code, ran.status.oom_killed, ran.status.signal) == (137, True, None)


def test_too_much_memory_in_a_child_is_seen_but_the_exit_code_is_the_bots(python_lab: Any) -> None:
    script = "python3 -c 'x = bytearray(200 * 2**20)'; exit 7"
    ran = python_lab.shell(script, limits=limits(memory=64 * MIB))
    assert (ran.status.exit_code, ran.status.oom_killed) == (7, True)


def test_tmp_counts_as_memory(bash_lab: Any) -> None:
    large = limits(memory=32 * MIB, tmpfs=256 * MIB, file_size=256 * MIB)
    ran = bash_lab.shell("head -c 100000000 /dev/zero > /tmp/f; echo $?", limits=large)
    # Docker 20.10 does not note each death of a child, so there what the shell saw counts too
    notes_all = not bash_lab.engine.capabilities().version.startswith("Docker 20.")
    assert ran.status.oom_killed or (ran.stdout == b"137\n" and not notes_all), ran


def test_open_files_are_bounded_and_core_dumps_are_off(bash_lab: Any) -> None:
    ran = bash_lab.shell("ulimit -n; ulimit -c; ulimit -n 100000 || echo fixed", limits=limits(open_files=77))
    assert ran.stdout == b"77\n0\nfixed\n"


def test_namespaces_mounts_and_devices_are_out_of_reach(python_lab: Any) -> None:
    program = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000), libc.mount(b"none", b"/tmp", b"tmpfs", 0, None), libc.setuid(0))
print([name for name in os.listdir("/dev") if name.startswith(("sd", "vd", "nvme", "mem", "kmsg", "fuse"))])
"""
    assert python_lab.python(program).stdout == b"-1 -1 -1\n[]\n"


def test_shared_memory_is_there_and_sized(python_lab: Any) -> None:
    program = """
import multiprocessing, os
multiprocessing.Lock()
shm = os.statvfs("/dev/shm")
print(shm.f_blocks * shm.f_frsize)
"""
    assert int(python_lab.python(program, limits=limits(tmpfs=2 * MIB)).stdout) == 2 * MIB


def test_the_images_volumes_entrypoint_and_health_check_have_no_say(
    bash_lab: Any, make_image: Callable[..., str], docker_host: str
) -> None:
    changes = (
        "VOLUME /data",
        "VOLUME /tmp",
        'ENTRYPOINT ["/bin/false"]',
        "HEALTHCHECK CMD touch /data/seen",
        "USER root",
        "WORKDIR /root",
        "ENV GREETING=hello",
    )
    image = make_image("mkdir /data && chmod 777 /data", *changes)
    script = "pwd; echo $GREETING; head -c 3000000 /dev/zero > /data/a; wc -c < /data/a; grep -c ' /data ' /proc/mounts"
    ran = bash_lab.shell(script, image=image, limits=limits(tmpfs=2 * MIB))
    assert ran.stdout.split() == [b"/bot", b"hello", b"%d" % (2 * MIB), b"1"]
    client = docker.APIClient(base_url=docker_host, version="auto")
    inspected = client.inspect_container(ran.container.id)
    assert [mount["Type"] for mount in inspected["Mounts"]] == ["bind"] * 6
    assert "Health" not in inspected["State"]
    client.close()


def test_what_a_flood_puts_on_the_hosts_disk_is_bounded(bash_lab: Any, docker_host: str) -> None:
    client = docker.APIClient(base_url=docker_host, version="auto")
    root = Path(client.info()["DockerRootDir"])
    client.close()
    if not os.access(root, os.R_OK):
        pytest.skip("the daemon's files can be seen by root alone")
    ran = bash_lab.shell("yes flood | head -c 30000000", limits=limits(output=MIB))
    folder = root / "containers" / ran.container.id
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert len(ran.stdout) == 30_000_000
    assert MIB < size < 8 * MIB
