"""The root file system: nothing of the machine but its programs, and nothing made elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from botdock.errors import ContainerError
from botdock_engine_oci import rootfs
from botdock_engine_oci.rootfs import RootFs, find_interpreter, find_rootfs

SHOWN = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/etc/alternatives",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ld.so.cache",
    "/etc/crypto",
)


def host(folder: Path, *interpreters: str, user: int = 2_100_005) -> RootFs:
    folder.mkdir(exist_ok=True)
    return find_rootfs(folder, folder, source="host", interpreters=interpreters, user=user)


def program(path: Path, content: bytes = b"\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def test_nothing_of_the_machine_is_shown_but_its_programs(tmp_path: Path) -> None:
    made = host(tmp_path / "c", "sh")
    assert made.binds["/usr"] == "/usr"
    others = {target: source for target, source in made.binds.items() if target != source}
    assert others == {f"/etc/{name}": f"{tmp_path}/c/{name}" for name in ("passwd", "group")}
    assert all(target.startswith(SHOWN) for target in made.binds.keys() - others.keys())
    for name in ("bin", "lib"):
        if Path("/", name).is_symlink():
            assert made.links[f"/{name}"] == str(Path("/", name).readlink())


def test_its_etc_is_made_up(tmp_path: Path) -> None:
    made = host(tmp_path / "c")
    assert set(made.files) == {f"/etc/{name}" for name in ("hostname", "hosts", "nsswitch.conf", "resolv.conf")}
    assert set(made.links) <= {"/etc/localtime", *(f"/{name}" for name in rootfs.SYSTEM)}
    assert "bot:x:2100005:2100005::/tmp:/bin/sh" in (tmp_path / "c" / "passwd").read_text().splitlines()
    assert "bot:x:2100005:" in (tmp_path / "c" / "group").read_text().splitlines()


def test_a_bot_that_is_the_root_of_its_namespace_has_a_name_as_well(tmp_path: Path) -> None:
    host(tmp_path / "c", user=0)
    names = [line.split(":")[0] for line in (tmp_path / "c/passwd").read_text().splitlines() if ":x:0:" in line]
    assert names == ["bot"]


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_another_user_may_read_who_is_who(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        host(tmp_path / "c")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o7777 for path in (tmp_path / "c").iterdir()} == {0o644}


def test_an_interpreter_elsewhere_is_shown_with_its_own_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opt = tmp_path / "opt" / "lang-3"
    program(opt / "bin" / "nosuchlang3")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nosuchlang3").symlink_to(opt / "bin" / "nosuchlang3")
    monkeypatch.setenv("PATH", f"relative:{tmp_path}/bin")
    made = host(tmp_path / "c", "nosuchlang", "nosuchlang3")
    assert made.binds[str(opt)] == str(opt)
    assert made.search_path.endswith(f":{opt}/bin")


def test_the_python_that_runs_botdock_is_found_beside_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "SYSTEM_PATH", "/nosuch")
    monkeypatch.setenv("PATH", "")
    assert find_interpreter(f"python3.{sys.version_info.minor}") == str(Path(sys.base_prefix).resolve())


def test_no_folder_is_shown_that_may_hold_more_than_an_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "me"
    for place in (home / "bin", home / ".local" / "bin", tmp_path / "home" / "bin", home / "code"):
        program(place / "nosuchlang")
        monkeypatch.setenv("PATH", str(place))
        monkeypatch.setenv("HOME", str(home))
        assert find_interpreter("nosuchlang") is None, place


def test_the_shim_of_a_version_manager_is_no_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "opt" / "bin" / "nosuchlang", b"#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path / "opt" / "bin"))
    with pytest.raises(ContainerError, match="the bot needs nosuchlang, which is not among the programs") as caught:
        host(tmp_path / "c", "nosuchlang")
    assert "Install nosuchlang in /usr or /opt" in str(caught.value.hint)


def test_of_a_folder_all_is_shown_but_who_is_who_and_nothing_is_made_in_it(tmp_path: Path) -> None:
    source, made = tmp_path / "image", tmp_path / "c"
    program(source / "usr" / "bin" / "nosuchbox")
    (source / "usr" / "bin" / "sh").symlink_to("/bin/nosuchbox")
    (source / "bin").symlink_to("usr/bin")
    for name in ("etc", "opt", "proc", "var"):
        (source / name).mkdir()
    (source / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (source / "file").touch()
    before = sorted(source.rglob("*"))
    made.mkdir()
    final = Path("/state/c")
    found = find_rootfs(made, final, source=str(source), interpreters=("python3",), user=2_100_005)
    assert found.binds == {
        "/usr": f"{source}/usr",
        "/opt": f"{source}/opt",
        "/etc": f"{source}/etc",
        "/etc/passwd": "/state/c/passwd",
    }
    assert (found.links, found.files) == ({"/bin": "usr/bin"}, {})
    assert sorted(source.rglob("*")) == before


def test_a_folder_without_a_shell_is_no_root_file_system(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    with pytest.raises(ContainerError, match="has no bin/sh"):
        find_rootfs(tmp_path / "c", tmp_path / "c", source=str(tmp_path), interpreters=(), user=1)


def test_of_an_image_all_is_shown_but_what_each_container_has(tmp_path: Path) -> None:
    source, made = tmp_path / "image", tmp_path / "c"
    for name in ("bin", "etc", "home", "root", "var", "tmp", "run", "proc", "botdock", "opt"):
        (source / name).mkdir(parents=True)
    program(source / "bin" / "sh")
    (source / "notes").write_text("of the image")
    (tmp_path / "precious").write_text("of the machine")
    (source / "etc" / "hosts").symlink_to(tmp_path / "precious")
    (source / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    rootfs.complete_etc(source)
    made.mkdir()
    variables = {"PATH": "/opt/bin", "LANG": "C", "TOOL": "1"}
    found = find_rootfs(made, Path("/state/c"), source=str(source), interpreters=(), user=5, variables=variables)
    shown = ("bin", "etc", "home", "notes", "opt", "root", "var")
    own = ("passwd", "group", "hostname", "resolv.conf")
    assert found.binds == {
        **{f"/{name}": f"{source}/{name}" for name in shown},
        **{f"/etc/{name}": f"/state/c/{name}" for name in own},
    }
    assert (found.search_path, found.environment) == ("/opt/bin", {"LANG": "C", "TOOL": "1"})
    assert (tmp_path / "precious").read_text() == "of the machine", "no link of an image is followed"


def test_an_etc_of_an_image_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "etc").symlink_to(tmp_path / "machine")
    rootfs.complete_etc(tmp_path / "image")
    assert list((tmp_path / "machine").iterdir()) == []


def test_an_image_without_a_shell_or_an_interpreter_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "image"
    source.mkdir()

    def made(name: str, path: str = "/bin:/opt/bin") -> RootFs:
        (tmp_path / name).mkdir()
        return find_rootfs(
            tmp_path / name,
            tmp_path / name,
            source=str(source),
            user=5,
            interpreters=("python3", "python"),
            variables={"PATH": path},
        )

    with pytest.raises(ContainerError, match="the image has no /bin/sh") as caught:
        made("a")
    assert "runtime.images" in str(caught.value.hint)
    program(source / "bin" / "sh")
    with pytest.raises(ContainerError, match="the image has no python3 or python"):
        made("b")
    (source / "opt").symlink_to("/elsewhere")
    assert made("c"), "what a link leads to in the container is not known here"
    (source / "bin" / "python3").symlink_to("/opt/python/bin/python3")
    assert made("d", "/bin")
