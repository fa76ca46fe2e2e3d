"""What other users of the machine could write is not believed: the state folder, its parts, and what leads to them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botdock import Config
from botdock.errors import BotdockError, ConfigError, UserError
from botdock.executions import Executions, ExecutionState
from botdock.executions._files import execution_ids, read_json
from botdock.factory import ServiceFactory
from botdock.model import new_execution_id
from botdock.plugin_manager import PluginManager
from botdock.services.code_cache import CodeCache

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
PARTS = ("executions", "cache", "runners", "outbox", "metrics", "process", "storage", "whatever-comes")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state folder that one runner has used."""
    home = tmp_path / "above" / "home"
    Config(home=str(home)).checked_home(make=True)
    for part in PARTS:
        (home / part).mkdir(mode=0o700)
    return home


@pytest.fixture
def usual_umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)
    yield lambda umask: [os.umask(umask)].clear()
    os.umask(before)


def refusal(home: Path) -> str:
    with pytest.raises(UserError) as caught:
        Config(home=str(home)).checked_home()
    with pytest.raises(UserError):
        ServiceFactory(Config(home=str(home)), PluginManager())
    assert str(home) in caught.value.message
    return str(caught.value)


def test_a_state_folder_is_made_for_its_user_alone_whatever_the_umask(
    tmp_path: Path, usual_umask: Callable[[int], None]
) -> None:
    usual_umask(0)
    config = Config(home=str(tmp_path / "a" / "b"))
    assert config.checked_home() == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()
    config.checked_home(make=True)
    assert [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "a", tmp_path / "a" / "b")] == ["0o700"] * 2


@pytest.mark.parametrize("make", [False, True])
@pytest.mark.parametrize(
    ("name", "other"), [("file", "file"), ("file/a/home", "file"), ("link", "link"), ("loop", "loop")]
)
def test_a_state_folder_that_is_not_a_folder_is_refused_also_where_it_is_only_read(
    tmp_path: Path, name: str, other: str, *, make: bool
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    (tmp_path / "loop").symlink_to("loop")
    home = tmp_path / name
    with pytest.raises(BotdockError) as caught:
        Config(home=str(home)).checked_home(make=make)
    assert caught.value.message == f"cannot use the state folder {home}: {tmp_path / other} is not a folder"
    assert not (tmp_path / "absent").exists()


def test_a_state_folder_that_cannot_be_made_is_told_once() -> None:
    home = Path("/proc/absent")  # where not even root makes a folder
    with pytest.raises(
        BotdockError, match=f"cannot write the state folder {home}: .+\nMake it writable. BOTDOCK_HOME=DIR"
    ):
        Config(home=str(home)).checked_home(make=True)
    assert Config(home=str(home)).checked_home() == home


@pytest.mark.parametrize("place", ["", "..", *PARTS])
def test_what_every_user_can_write_is_refused_with_the_command_that_mends_it(home: Path, place: str) -> None:
    path = Path(os.path.normpath(home / place))
    path.chmod(0o777)
    said = refusal(home)
    assert f"{path} can be written by every user\nchmod go-w {path}" in said
    assert ("cache" in said) == (place in {"", "cache"})
    path.chmod(0o755)
    assert Config(home=str(home)).checked_home() == home


def test_a_sticky_folder_may_lead_to_it_but_may_not_be_it(home: Path) -> None:
    home.parent.chmod(0o1777)
    assert Config(home=str(home)).checked_home() == home
    home.chmod(0o1777)
    assert "can be written by every user" in refusal(home)


def test_a_sticky_folder_may_lead_to_one_that_is_not_there_yet(home: Path) -> None:
    home.parent.chmod(0o1777)
    new = home.parent / "new" / "home"
    assert Config(home=str(new)).checked_home() == Config(home=str(new)).checked_home(make=True) == new
    home.parent.chmod(0o777)
    assert "can be written by every user" in refusal(home.parent / "other")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_a_link_is_not_followed(home: Path, part: str, tmp_path: Path) -> None:
    (home / part).rmdir()
    (home / part).symlink_to(tmp_path)
    assert f"{home / part} is a link, which is not followed\nrm {home / part}" in refusal(home)


def test_the_state_folder_may_be_reached_through_a_link_of_the_user(home: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("above/home")
    assert Config(home=str(tmp_path / "link")).checked_home() == tmp_path / "link"
    home.parent.chmod(0o777)
    assert f"{home.parent} can be written by every user" in refusal(tmp_path / "link")


@as_root
@pytest.mark.parametrize("place", ["", "..", *PARTS])
def test_what_belongs_to_another_user_is_refused(home: Path, place: str) -> None:
    path = Path(os.path.normpath(home / place))
    os.chown(path, 12345, 12345)
    said = refusal(home)
    assert f"{path} belongs to 12345, not to root" in said
    assert ("choose a path" if place == ".." else f"chown -h root {path}") in said


@as_root
def test_a_group_can_write_what_is_its_users_alone_only(home: Path) -> None:
    (home / "cache").chmod(0o770)
    os.chown(home / "cache", 0, 12345)
    assert "can be written by its group (12345)" in refusal(home)


@as_root
def test_a_link_of_another_user_does_not_lead_to_it(home: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    link = tmp_path / "link"
    link.symlink_to(home)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    assert f"{link} belongs to 12345" in refusal(link)


@pytest.mark.parametrize("home", ["~no-such-user-at-all/x", "a\udcffb", "a\ud800", "/x\0y", "x" * 5000, "x/" * 3000])
def test_a_name_that_no_folder_can_have_is_a_wrong_setting(home: str) -> None:
    with pytest.raises(ConfigError, match="home"):
        Config(home=home).checked_home()


def test_the_platforms_folder_is_held_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/tmp/a\udcff")
    with pytest.raises(ConfigError, match="home: is not UTF-8"):
        Config().checked_home()


def planted(home: Path, *, request: dict[str, str]) -> Path:
    directory = home / "executions" / new_execution_id()
    (directory / "logs").mkdir(parents=True, mode=0o700)
    (directory / "request.json").write_text(json.dumps(request))
    return directory


def test_an_execution_that_is_a_link_does_not_exist(home: Path, tmp_path: Path) -> None:
    real = planted(tmp_path, request={"id": "bot"})
    (home / "executions" / real.name).symlink_to(real)
    assert execution_ids(home) == []
    with pytest.raises(UserError):
        Executions(home).get("bot")


def test_documents_and_logs_of_an_execution_are_not_followed(home: Path, tmp_path: Path) -> None:
    directory = planted(home, request={"id": "bot"})
    executions = Executions(home)
    assert executions.get("bot").state is ExecutionState.ABANDONED
    (directory / "outcome.json").symlink_to(directory / "request.json")
    assert executions.get("bot").outcome is None
    (directory / "logs").rmdir()
    (directory / "logs").symlink_to(tmp_path)
    with pytest.raises(UserError, match="is a link, which is not followed"):
        executions.get("bot")
    os.mkfifo(directory / "run.json")
    assert read_json(directory / "run.json") is None  # and does not wait for a writer


@as_root
def test_what_another_user_left_in_the_executions_is_not_believed(home: Path) -> None:
    directory = planted(home, request={"id": "bot"})
    os.chown(directory / "request.json", 12345, 12345)
    assert Executions(home).inspect(directory.name)["request"] is None
    os.chown(directory, 12345, 12345)
    with pytest.raises(UserError, match=f"chown -h root {directory}"):
        Executions(home).get(directory.name)


@as_root
@pytest.mark.parametrize("whose", ["tree", "seal"])
def test_a_tree_that_another_user_left_in_the_cache_is_not_run(home: Path, tmp_path: Path, whose: str) -> None:
    cache = CodeCache(home / "cache", limit=10**9, limits={})
    workspace, sha256 = tmp_path / "workspace", "ab" * 32
    workspace.mkdir()
    with cache.filling(sha256, workspace), cache.staging() as draft:
        draft.tree.mkdir(exist_ok=True)
        (draft.tree / "main.py").write_text("x")
        tree = cache.publish(sha256, draft, workspace)
    assert cache.use(sha256, workspace) == tree
    os.chown(tree if whose == "tree" else tree.with_name(f"{sha256}.json"), 12345, 12345)
    assert cache.use(sha256, workspace) is None
    shutil.rmtree(tree)
