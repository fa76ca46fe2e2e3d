"""`botdock pack`."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def tree() -> Path:
    folder = Path("mybot")
    (folder / "lib").mkdir(parents=True)
    (folder / "main.py").write_text("def main(id, config): ...\n")
    (folder / "lib" / "data.csv").write_text("1,2\n")
    return folder


def test_a_folder_becomes_a_zip_of_its_name_here(cli: Callable[..., Any], tree: Path) -> None:
    done = cli("pack", str(tree))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("mybot.zip: ")
    assert f"sha256 {hashlib.sha256(Path('mybot.zip').read_bytes()).hexdigest()}" in done.out
    with zipfile.ZipFile("mybot.zip") as archive:
        assert archive.read("lib/data.csv") == b"1,2\n"


def test_json_describes_the_archive(cli: Callable[..., Any], tree: Path) -> None:
    document = json.loads(cli("pack", "mybot/", "--json").out)
    data = Path("mybot.zip").read_bytes()
    assert document["path"] == "mybot.zip"
    assert document["sha256"] == hashlib.sha256(data).hexdigest()
    assert document["size"] == len(data)
    assert document["bytes"] == 30
    assert document["entries"] == 3
    assert document["format"] == "zip"


def test_what_is_not_code_is_left_out_and_named(cli: Callable[..., Any], tree: Path) -> None:
    os.mkfifo("mybot/pipe")
    assert "left out, since they are not code: 'pipe'" in cli("pack", "mybot/").out
    assert json.loads(cli("pack", "mybot/", "--json", "-f").out)["left_out"] == ["pipe"]


def test_the_name_of_the_output_says_the_format(cli: Callable[..., Any], tree: Path) -> None:
    assert cli("pack", "mybot", "-o", "out.tar.gz").code == 0
    with tarfile.open("out.tar.gz", "r:gz") as archive:
        assert "main.py" in [name.removeprefix("./") for name in archive.getnames()]


def test_the_format_may_be_named(cli: Callable[..., Any], tree: Path) -> None:
    assert cli("pack", "mybot", "--format", "tar").code == 0
    assert tarfile.is_tarfile("mybot.tar")


def test_the_folder_we_are_in_can_be_packed(
    cli: Callable[..., Any], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    assert cli("pack", ".").code == 0
    with zipfile.ZipFile("mybot.zip") as archive:
        assert "mybot.zip" not in archive.namelist()


def test_the_same_folder_gives_the_same_bytes(cli: Callable[..., Any], tree: Path) -> None:
    cli("pack", "mybot", "-o", "one.zip")
    cli("pack", "mybot", "-o", "two.zip")
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()


def test_an_archive_that_is_there_is_replaced_only_by_force(cli: Callable[..., Any], tree: Path) -> None:
    Path("mybot.zip").write_text("precious")
    told = cli("pack", "mybot")
    assert (told.code, Path("mybot.zip").read_text()) == (2, "precious")
    assert "--force" in told.err
    assert cli("pack", "mybot", "--force").code == 0
    assert zipfile.is_zipfile("mybot.zip")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["absent"], "absent does not exist"),
        (["mybot/main.py"], "mybot/main.py is not a folder"),
        (["mybot", "-o", "mybot"], "mybot is a folder"),
        (["mybot", "-o", "no/such/x.zip"], "no/such is not a folder"),
        (["mybot", "--format", "rar"], "rar"),
        (["mybot", "-o", "x.rar"], "has no suffix of an archive"),
    ],
)
def test_what_cannot_be_packed_is_refused_and_nothing_is_left(
    cli: Callable[..., Any], tree: Path, args: list[str], said: str
) -> None:
    before = sorted(Path().rglob("*"))
    told = cli("pack", *args)
    assert (told.code, told.stdout) == (2, b"")
    assert said in told.err
    assert "Traceback" not in told.err
    assert sorted(Path().rglob("*")) == before
