"""The roots: made once for all who need the same, never written by them, and gone when no container has them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from botdock_engine_oci.rootfs import RootFs
from botdock_engine_oci.roots import LOCK, UNUSED_SECONDS, Root, Roots, at_once

FILES = RootFs(
    links={"/bin": "usr/bin", "/etc/localtime": "/usr/share/zoneinfo/UTC"},
    files={"/etc/hosts": "127.0.0.1 localhost\n"},
    binds={},
    search_path="/usr/bin",
)


def mount(place: str, source: str = "") -> dict[str, str]:
    return {"destination": place, "type": "bind" if source else "tmpfs", "source": source or "tmpfs"}


def root(tmp_path: Path, *more: str) -> Root:
    (tmp_path / "result").touch()
    places = ["/dev", "/dev/shm", "/tmp", "/opt/lang/3", *more]
    mounts = [mount("/bin/tool", "/usr"), mount("/usr", "/usr"), mount("/botdock/result", str(tmp_path / "result"))]
    return Root.of(FILES, [*map(mount, places), *mounts])


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(folder=tmp_path / "roots", containers=tmp_path / "containers")


def container(roots: Roots, name: str) -> Path:
    path = roots.containers / name
    path.mkdir(parents=True)
    return path


def used(roots: Roots, wanted: Root, name: str) -> Path:
    made = container(roots, name)
    return Path(roots.use(wanted, made, made))


def kept(roots: Roots) -> list[str]:
    return sorted(path.name for path in roots.folder.iterdir() if path.name != LOCK)


def grow_old(*paths: Path) -> None:
    before = time.time() - UNUSED_SECONDS - 60
    for path in paths:
        os.utime(path, (before, before))


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_root_has_a_place_for_each_mount_and_nothing_else(tmp_path: Path, roots: Roots, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = used(roots, root(tmp_path), "a")
    finally:
        os.umask(before)
    folders = {"dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var", "usr", "opt", "opt/lang"}
    found = {str(path.relative_to(made)): path.lstat() for path in made.rglob("*")}
    modes = {name: stat.st_mode & 0o7777 for name, stat in found.items() if name not in {"bin", "etc/localtime"}}
    assert modes == {
        **dict.fromkeys([*folders, "opt/lang/3", "botdock"], 0o755),
        "tmp": 0o1777,
        **dict.fromkeys(["botdock/result", "etc/hosts"], 0o644),
    }
    assert (made / "bin").readlink() == Path("usr/bin")
    assert (made / "etc/hosts").read_text() == "127.0.0.1 localhost\n"
    assert (made / "botdock/result").read_bytes() == b""


def test_containers_of_the_same_mounts_share_one_and_others_do_not(tmp_path: Path, roots: Roots) -> None:
    first, second = (used(roots, root(tmp_path), name) for name in "ab")
    other = used(roots, root(tmp_path, "/botdock/secrets"), "c")
    assert first == second != other
    assert kept(roots) == sorted([first.name, other.name])


def test_many_at_once_make_one(tmp_path: Path, roots: Roots) -> None:
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda name=name: made.append(used(roots, root(tmp_path), name))) for name in "abcdefgh"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(threads)
    assert {path.name for path in made} == set(kept(roots))


def test_what_was_not_used_for_a_day_and_is_not_now_goes_when_another_is_made(tmp_path: Path, roots: Roots) -> None:
    in_use, unused, fresh = (used(roots, root(tmp_path, f"/{name}"), name) for name in "abc")
    for name in "bc":
        (roots.containers / name / "rootfs").unlink()
    left = roots.folder / ".0123"
    left.mkdir()
    grow_old(in_use, unused, left)
    made = used(roots, root(tmp_path), "d")
    assert kept(roots) == sorted(path.name for path in (in_use, fresh, made))


def test_a_use_keeps_a_root_for_another_day(tmp_path: Path, roots: Roots) -> None:
    made = used(roots, root(tmp_path), "a")
    (roots.containers / "a" / "rootfs").unlink()
    grow_old(made)
    used(roots, root(tmp_path), "b")
    (roots.containers / "b" / "rootfs").unlink()
    roots.trim()
    assert kept(roots) == [made.name]


def test_while_roots_are_removed_a_container_has_its_own(tmp_path: Path, roots: Roots) -> None:
    new = container(roots, ".new")
    with at_once(roots.folder / LOCK) as held:
        assert held
        path = roots.use(root(tmp_path), new, roots.containers / "a")
        roots.trim()
    assert path == str(roots.containers / "a" / "rootfs")
    assert (new / "rootfs" / "etc" / "hosts").is_file()
    assert kept(roots) == []
