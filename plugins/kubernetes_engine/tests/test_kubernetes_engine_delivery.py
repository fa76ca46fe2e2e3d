"""What is packed here is what `deliver.sh` unpacks, with the tools of an image; and what it is sent in."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job

from botdock.errors import ContainerError
from botdock_engine_kubernetes import delivery
from botdock_engine_kubernetes.delivery import Package, pack
from botdock_engine_kubernetes.pod import script_text
from botdock_testing.engine import Asked, asked

WAIT = 60.0
LONG = "n" * 200
TARGETS = ("/botdock/program", "/bot")


@pytest.fixture(params=["dash", "bash", "busybox"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a folder of programs: those of Debian with one of its shells, or busybox' own."""
    if (program := shutil.which(request.param)) is None:
        pytest.skip(f"{request.param} is not installed")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "tar", "gzip", "cat"):
        found = program if name == "sh" or request.param == "busybox" else shutil.which(name)
        (tools / name).symlink_to(str(found))
    return tools


@pytest.fixture
def run(tmp_path: Path) -> Asked:
    """Return a run with files, links, modes and names of every kind."""
    here = tmp_path / "here"
    (here / "code" / "sub" / LONG / "deep").mkdir(parents=True)
    for number, name in enumerate([b"caf\xe9", b"-rf", b"new\nline", b" x\ty ", LONG.encode(), "ü".encode()]):
        file = here / "code" / os.fsdecode(name)
        file.write_bytes(os.urandom(number * 700))
        file.chmod(0o640 + number)
        os.utime(file, (5, 1_000 + number))
    (here / "code" / "out").symlink_to("../../" + LONG)
    (here / "code" / "closed").mkdir(mode=0o750)
    for folder in ("program", "context"):
        (here / folder).mkdir()
    (here / "program" / "entrypoint.sh").write_text("#!/bin/sh\n")
    (here / "context" / "context.json").write_text("{}")
    (here / "result").write_bytes(b"not written")
    return asked(
        program=str(here / "program"),
        code=str(here / "code"),
        context=str(here / "context"),
        result=str(here / "result"),
        secrets_target="/botdock/secrets",
    )


def unpack(image: Path, package: Package, to: Path, *, program: str = "") -> subprocess.CompletedProcess[str]:
    (to / "parts").mkdir(parents=True)
    for number, part in enumerate(package.parts):
        (to / "parts" / f"part{number:03}").write_bytes(part)
    for volume in ("files", "private"):
        (to / volume).mkdir()
    script = ["sh", "-c", script_text("deliver"), "deliver", str(to / "parts"), str(to), program, *TARGETS]
    return subprocess.run(
        [str(image / "sh"), *script[1:]],
        env={"PATH": str(image), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )


def look(path: Path) -> list[tuple[str, int, int, object]]:
    """Return what is in a folder: names, modes, times of files, and contents or where links lead."""
    found: list[tuple[str, int, int, object]] = []
    for entry in sorted(path.rglob("*")):
        status = entry.lstat()
        if entry.is_symlink():
            found.append((str(entry.relative_to(path)), 0, 0, str(entry.readlink())))
        else:
            content, time = (entry.read_bytes(), int(status.st_mtime)) if entry.is_file() else (None, 0)
            found.append((str(entry.relative_to(path)), status.st_mode, time, content))
    return found


def test_a_pod_sees_what_is_here(image: Path, run: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PART", 1000)  # so that there are several
    package = pack(*run, user=2_000_007)
    assert len(package.parts) > 2
    assert max(map(len, package.parts)) == 1000
    there = tmp_path / "there"
    done = unpack(image, package, there, program="/botdock/program/entrypoint.sh")
    assert done.returncode == 0, done
    for name, source in (("files/code", run.run.code), ("private/context", run.run.context)):
        assert look(there / name) == look(Path(source))
    assert look(there / "files" / "program") == look(Path(run.template.program))
    assert (there / "files" / "results" / "result").read_bytes() == b"not written"
    assert (there / "private" / "secrets").stat().st_mode & 0o777 == 0o700
    assert "\nbot:x:2000007:2000007::/tmp:/bin/sh\n" in (there / "private" / "etc" / "passwd").read_text()
    taken = sum(entry.lstat().st_blocks * 512 for entry in there.rglob("*") if "parts" not in entry.parts)
    assert taken <= package.size


def test_what_is_cut_off_starts_no_bot(image: Path, run: Asked, tmp_path: Path) -> None:
    package = pack(*run, user=7)
    cut = Package(parts=(package.parts[0][:-200],), size=0)
    assert unpack(image, cut, tmp_path / "there").returncode == 1


@pytest.mark.parametrize("program", ["/botdock/program/other.sh", "/bot/none", "/usr/bin/none", "none"])
def test_a_program_that_is_not_there_is_told(image: Path, run: Asked, tmp_path: Path, program: str) -> None:
    done = unpack(image, pack(*run, user=7), tmp_path / "there", program=program)
    assert (done.returncode, done.stderr) == (127, f"the image has no program {program}\n")


def test_a_programs_place_may_be_on_the_images_path(image: Path, run: Asked, tmp_path: Path) -> None:
    assert unpack(image, pack(*run, user=7), tmp_path / "there", program="cat").returncode == 0


def test_secrets_go_with_their_job_and_never_change(run: Asked) -> None:
    labels = {"io.botdock.owner": "me"}
    job = Job(metadata=ObjectMeta(name="botdock-1", uid="u-1", labels=labels))
    package = pack(*run, user=7)
    [secret] = package.secrets_for(job)
    assert secret.metadata
    assert secret.immutable is True
    assert secret.data
    assert (secret.metadata.name, secret.metadata.labels) == ("botdock-1-0", labels)
    assert package.delivery("botdock-1").secrets == ("botdock-1-0",)
    [owner] = list(secret.metadata.ownerReferences or ())
    assert (owner.kind, owner.name, owner.uid) == ("Job", "botdock-1", "u-1")
    assert base64.b64decode(secret.data["part"]) == package.parts[0]


def test_more_than_the_cluster_has_room_for_is_refused(run: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "LARGEST", 1000)
    with pytest.raises(ContainerError, match="more than 1000 bytes once compressed") as caught:
        pack(*run, user=7)
    assert "runtime.images" in str(caught.value.hint)


def test_what_cannot_be_read_is_named(run: Asked) -> None:
    pipe = Path(run.run.code, "pipe")
    os.mkfifo(pipe)
    with pytest.raises(ContainerError, match=f"cannot deliver {pipe}"):
        pack(*run, user=7)
