"""Who bots are: each a user of its own, in a user namespace where botdock is not root."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from botdock_engine_oci import ids
from botdock_engine_oci.ids import Reservations, Users, find_users

RANGE = range(3000, 3004)


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder of the system's files, as an ordinary user without ids for bots sees it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "getegid", lambda: 1235)
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text("other:100000:65536\n")
        monkeypatch.setattr(ids, name.upper(), tmp_path / name)
    monkeypatch.setattr(ids, "SYSTEM_PATH", str(tmp_path))
    return tmp_path


def install_helpers(folder: Path) -> None:
    for name in ids.HELPERS:
        (folder / name).touch(mode=0o755)


def test_no_two_containers_have_one_user_id(tmp_path: Path) -> None:
    reserved, users = Reservations(folder=tmp_path / "users"), Users(ids=RANGE, groups=RANGE)
    taken = {users.pick(lambda user, at=at: reserved.take(user, tmp_path / str(at))).outside for at in range(4)}  # type: ignore[misc] # bound at once
    assert taken == set(RANGE)
    with pytest.raises(LookupError, match="all 4 user ids from 3000 to 3003"):
        users.pick(lambda user: reserved.take(user, tmp_path / "more"))


def test_an_id_is_free_again_when_its_container_gives_it_back(tmp_path: Path) -> None:
    reserved = Reservations(folder=tmp_path / "users")
    assert reserved.take(3000, tmp_path / "one")
    reserved.give_back(3000, tmp_path / "another")
    assert not reserved.take(3000, tmp_path / "two"), "it is not another's to give"
    reserved.give_back(3000, tmp_path / "one")
    assert reserved.take(3000, tmp_path / "two")


def test_an_id_is_free_again_long_after_its_container_was_removed_by_hand(tmp_path: Path) -> None:
    reserved = Reservations(folder=tmp_path / "users")
    reserved.take(3000, tmp_path / "gone")
    assert not reserved.take(3000, tmp_path / "new"), "it may just be made"
    assert not reserved.take(3000, tmp_path / "new")
    long_ago = time.time() - 2 * ids.STALE_SECONDS
    os.utime(tmp_path / "users" / "3000", (long_ago, long_ago), follow_symlinks=False)
    assert [reserved.take(3000, tmp_path / "new") for _ in range(2)] == [False, True]


def test_the_bots_of_root_are_users_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    picked = find_users(RANGE).pick()
    assert picked.user == picked.outside
    assert picked.outside in RANGE
    assert picked.mappings == ()


def test_without_ids_of_its_own_a_bot_is_the_root_of_a_namespace_which_is_you(ordinary: Path) -> None:
    install_helpers(ordinary)
    picked = find_users(RANGE).pick()
    assert (picked.user, picked.mappings, picked.group_mappings) == (0, ((0, 1234, 1),), ((0, 1235, 1),))


def test_subordinate_ids_are_of_no_use_without_their_helpers(ordinary: Path) -> None:
    for name in ("subuid", "subgid"):
        (ordinary / name).write_text("1234:300000:10\n")
    assert not find_users(RANGE).ids


def test_with_subordinate_ids_each_bot_has_one_of_them(ordinary: Path) -> None:
    install_helpers(ordinary)
    (ordinary / "subuid").write_text("other:100000:65536\n1234:300000:10\n")
    (ordinary / "subgid").write_text("1234:500000:10\n")
    users = find_users(RANGE)
    assert users.ids == range(300_000, 300_010)
    picked = users.pick(lambda user: user == 300_007)
    assert (picked.user, picked.outside) == (65532, 300_007)
    assert picked.mappings == ((0, 1234, 1), (65532, 300_007, 1))
    assert picked.group_mappings == ((0, 1235, 1), (65532, 500_007, 1))


@pytest.mark.parametrize("text", ["1234:many:10\n", "1234\n", "", "\0"])
def test_a_damaged_file_of_ids_gives_none(ordinary: Path, text: str) -> None:
    install_helpers(ordinary)
    (ordinary / "subuid").write_text(text)
    assert not find_users(RANGE).ids
