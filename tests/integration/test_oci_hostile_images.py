"""What the author of an image may put into its layers: none of it reaches the machine, or gains a bot anything."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Executable
from botdock.errors import ImageError
from botdock.model import Outcome, PullPolicy
from botdock_engine_oci.engine import OciEngine
from botdock_testing.archives import Member, snapshot, tar_of
from testbed.console import TestbedError
from testbed.fixtures import shown, unavailable
from testbed.images import PATH, small_python
from testbed.registry import Registry

MakeBot = Callable[..., Executable]
MakeConfig = Callable[..., Config]

ALL_CAPABILITIES = "\x01\0\0\x02" + "\x7f\x7f\x7f\x7f" * 2 + "\0" * 8
"""What `setcap` would write, as the kernel reads it: permitted, and effective from the start."""
MARKED = "/opt/elevate"
LOOK = """
import os, subprocess, sys

def attempt(act, path):
    try:
        return repr(act(path))
    except OSError as error:
        return error.errno

def main(id, config):
    status = "import sys; print(open('/proc/self/status').read())"
    said = subprocess.run([config["marked"], sys.executable, "-c", status], capture_output=True, text=True).stdout
    return {
        "elevated": dict(line.split(":", 1) for line in said.splitlines() if line),
        "user": os.getuid(),
        "mode": os.stat(config["marked"]).st_mode,
        "opened": {path: attempt(lambda path: os.open(path, os.O_RDONLY), path) for path in config["devices"]},
        "read": {path: attempt(lambda path: open(path).read(), path) for path in config["links"]},
        "written": {path: attempt(lambda path: open(path, "a"), path) for path in config["writable"]},
        "opt": sorted(os.listdir("/opt")),
    }
"""


def node(name: str, major: int, minor: int, kind: bytes = tarfile.CHRTYPE) -> tarfile.TarInfo:
    """Return the entry of a device that everyone may use."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.devmajor, info.devminor = kind, 0o666, major, minor
    return info


def hostile_layer(base: bytes, secret: Path) -> bytes:
    """Return a layer over one of Python, of what would gain something if the machine took it as it is."""
    with tarfile.open(fileobj=io.BytesIO(base)) as tar:
        program = tar.extractfile("./usr/bin/env")
        assert program is not None
        content = program.read()
    marked = tarfile.TarInfo(MARKED.strip("/"))
    marked.size, marked.mode = len(content), 0o6755
    marked.pax_headers = {"SCHILY.xattr.security.capability": ALL_CAPABILITIES}
    links = {
        "opt/absolute": str(secret),
        "opt/dots": f"{'../' * 30}{secret}",
        "opt/host": f"/proc/1/root{secret}",
        "etc/passwd": str(secret),
        "etc/hosts": f"{'../' * 30}{secret}",
        "etc/hostname": f"{secret}-made",
    }
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(marked, io.BytesIO(content))
        disk = secret.parent.stat().st_dev
        tar.addfile(node("opt/disk", os.major(disk), os.minor(disk), tarfile.BLKTYPE))
        tar.addfile(node("opt/memory", 1, 1))
        tar.addfile(node("opt/zero", 1, 5))
        for name, target in links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name in ("opt/open", "opt/hidden"):
            file = tarfile.TarInfo(name)
            file.mode = 0o666
            tar.addfile(file)
    return layer.getvalue()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of this machine that every user may read, alone in its folder."""
    file = tmp_path / "machine" / "secret"
    file.parent.mkdir()
    file.write_text("of the machine")
    return file


@pytest.fixture(scope="module")
def base(pytestconfig: pytest.Config) -> bytes:
    try:
        with shown(pytestconfig):
            return small_python({})
    except TestbedError as error:
        unavailable(error)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_what_an_image_brings_gains_its_bot_nothing(
    make_image_config: MakeConfig, make_bot: MakeBot, registry: Registry, base: bytes, secret: Path, runtime: str
) -> None:
    tars = [base, hostile_layer(base, secret), tar_of([Member("opt/.wh.hidden")])]
    image = registry.push(f"team/hostile-{runtime}", tars=tars, variables=[f"PATH={PATH}"]).at(registry.endpoint)
    tried = {
        "devices": ["/opt/disk", "/opt/memory", "/opt/zero"],
        "links": ["/opt/absolute", "/opt/dots", "/opt/host", "/etc/passwd", "/etc/hosts", "/etc/hostname"],
        "writable": ["/opt/open", "/opt/new"],
    }
    before = snapshot(secret.parent)
    with DockerRunner(make_image_config(runtime)) as runner:
        result = runner.run(make_bot(LOOK, config={**tried, "marked": MARKED}, image=image))
    assert result.outcome is Outcome.SUCCEEDED, result
    value = result.value
    assert isinstance(value, dict)
    assert value["mode"] & (stat.S_ISUID | stat.S_ISGID), "the image has it as its author made it"
    elevated = {name: text.split() for name, text in value["elevated"].items()}
    assert {*elevated["Uid"], *elevated["Gid"]} == {str(value["user"])}
    assert {int(elevated[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert set(value["opened"].values()) <= {errno.EACCES, errno.EPERM}
    assert set(value["read"].values()) == {errno.ENOENT}
    assert set(value["written"].values()) == {errno.EROFS}
    assert "hidden" not in value["opt"], "a later layer took it away"
    assert snapshot(secret.parent) == before


def over_link(out: str, *members: Member) -> list[bytes]:
    return [bare(Member("out", kind="symlink", target=out)), tar_of(members)]


def bare(*members: Member) -> bytes:
    return tar_of([Member("bin/sh"), *members])


LAYERS: dict[str, Callable[[str], list[bytes]]] = {
    "a file through a link": lambda out: over_link(out, Member("out/evil"), Member("out/secret", content=b"evil")),
    "a whiteout through a link": lambda out: over_link(out, Member("out/.wh.secret")),
    "an opaque folder through a link": lambda out: over_link(out, Member("out/.wh..wh..opq")),
    "a whiteout of the folder above": lambda out: [bare(), tar_of([Member("bin/.wh...")])],
    "a hard link": lambda out: [bare(Member("stolen", kind="hard_link", target=f"{'../' * 30}{out}/secret"))],
    "a hard link through a link": lambda out: over_link(out, Member("stolen", kind="hard_link", target="out/secret")),
    "names with dots": lambda out: [bare(Member(f"{'../' * 30}{out}/evil"), Member(f"{out}/evil"))],
    "a link in place of the root": lambda out: [
        bare(),
        tar_of([Member("./", kind="symlink", target=out), Member("evil")]),
    ],
    "a link in place of /etc": lambda out: [bare(Member("etc", kind="symlink", target=out))],
}


@pytest.mark.parametrize("layers", LAYERS)
def test_no_layer_reaches_out_of_its_image(
    make_image_config: MakeConfig, registry: Registry, secret: Path, layers: str
) -> None:
    config, out = make_image_config(), secret.parent
    before = (snapshot(out), out.stat().st_mode, secret.stat().st_nlink)
    pushed = registry.push(f"team/hostile-{[*LAYERS].index(layers)}", tars=LAYERS[layers](str(out)))
    engine = OciEngine.from_config(config)
    try:
        engine.ensure_image(pushed.at(registry.endpoint), policy=PullPolicy.MISSING, timeout=120)
    except ImageError:  # what is not refused lies within the image
        assert list((config.home_dir / "oci-images").glob("*/rootfs")) == []
    assert (snapshot(out), out.stat().st_mode, secret.stat().st_nlink) == before
    inodes = {path.lstat().st_ino for path in (config.home_dir / "oci-images").rglob("*")}
    assert secret.stat().st_ino not in inodes
