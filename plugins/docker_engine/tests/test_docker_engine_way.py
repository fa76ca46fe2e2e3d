"""A daemon behind ssh, as far as a program can stand in for `ssh`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from botdock.errors import EngineUnavailableError
from botdock_engine_docker.endpoint import Ssh
from botdock_engine_docker.errors import Call
from botdock_engine_docker.way import Tunnel

CALL = Call(operation="connect", url="ssh://me@farm", timeout=5.0)
LISTENS = """
for word; do case "$word" in *docker.sock:*) path=${word%%:*};; esac; done
python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()' "$path"
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for temporary files whose path is as short as a user's."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def fake_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Returns a function that makes a script the program `ssh`; what it was called with is in the returned file."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def make(script: str) -> Path:
        program = tmp_path / "ssh"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/asked\n{script}\n')
        program.chmod(0o755)
        return tmp_path / "asked"

    return make


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("me@farm: Permission denied (publickey).", "ssh-add"),
        ("Host key verification failed.", "Log in once with `ssh farm`"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "ssh-keygen -R farm"),
        ("ssh: Could not resolve hostname farm: Name or service not known", "Is the name right?"),
        ("ssh: connect to host farm port 22: Connection refused", "ssh -o BatchMode=yes farm"),
        ("", "ssh -o BatchMode=yes farm"),
    ],
)
def test_what_ssh_complains_of_is_told_with_what_mends_it(
    fake_ssh: Callable[[str], Path], said: str, hint: str
) -> None:
    fake_ssh(f"echo '{said}' >&2; exit 255")
    tunnel = Tunnel(Ssh(host="farm", user="me"), connect_timeout=5.0)
    with pytest.raises(EngineUnavailableError, match="ssh://me@farm: ") as caught:
        tunnel.address(CALL)
    assert hint in (caught.value.hint or "")
    tunnel.close()


def test_it_asks_nothing_bounds_its_waiting_and_leaves_the_rest_to_the_users_configuration(
    fake_ssh: Callable[[str], Path],
) -> None:
    asked = fake_ssh("exit 255")
    tunnel = Tunnel(Ssh(host="farm", user="me", port=2222, socket="/run/user/7/docker.sock"), connect_timeout=7.0)
    with suppress(EngineUnavailableError):
        tunnel.address(CALL)
    words = asked.read_text().splitlines()
    assert {"BatchMode=yes", "ConnectTimeout=7", "ServerAliveInterval=15"} <= set(words)
    assert words[words.index("-l") + 1] == "me"
    assert words[words.index("-p") + 1] == "2222"
    assert words[-2:] == ["--", "farm"]
    assert words[-3].endswith(":/run/user/7/docker.sock")
    tunnel.close()


def test_one_failure_stands_for_those_who_ask_at_once(fake_ssh: Callable[[str], Path]) -> None:
    asked = fake_ssh("exit 255")
    tunnel = Tunnel(Ssh(host="farm"), connect_timeout=5.0)
    for _ in range(20):
        with suppress(EngineUnavailableError):
            tunnel.address(CALL)
    assert asked.read_text().splitlines().count("farm") < 20
    tunnel.close()


def test_one_ssh_serves_all_until_it_ends_and_its_socket_has_no_path(
    fake_ssh: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    folder = short_folder
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    asked = fake_ssh(f"{LISTENS}\nexec sleep 600")
    tunnel = Tunnel(Ssh(host="farm"), connect_timeout=60.0)
    addresses = {tunnel.address(CALL) for _ in range(5)}
    assert len(addresses) == 1
    assert asked.read_text().splitlines().count("farm") == 1
    assert list(folder.iterdir()) == []
    process = tunnel._process
    assert process is not None
    tunnel.close()
    assert process.returncode is not None
    tunnel.address(CALL)
    assert asked.read_text().splitlines().count("farm") == 2
    tunnel.close()


def test_a_long_path_for_temporary_files_is_not_taken_for_the_socket(
    fake_ssh: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / ("t" * 100)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    fake_ssh(f"{LISTENS}\nexec sleep 600")
    tunnel = Tunnel(Ssh(host="farm"), connect_timeout=60.0)
    assert Path(tunnel.address(CALL)).exists()
    tunnel.close()


def test_without_the_program_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnavailableError, match="no program `ssh`"):
        Tunnel(Ssh(host="farm"), connect_timeout=5.0).address(CALL)
