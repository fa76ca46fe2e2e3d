"""`botdock pack DIR --put KEY`."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import StorageUnavailableError
from botdock.model import ByteReader, ObjectInfo
from botdock_testing.memory_storage import MemoryBackend


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of our own, to see that none is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(autouse=True)
def tree() -> Path:
    folder = Path("mybot")
    folder.mkdir()
    (folder / "main.py").write_text("def main(id, config): ...\n")
    return folder


def nothing_is_left(temporary: Path) -> bool:
    return not list(temporary.iterdir()) and [path.name for path in Path().iterdir()] == ["mybot"]


def test_the_archive_is_stored_and_no_file_is_left(
    cli: Callable[..., Any], stored: Callable[..., Path], temporary: Path
) -> None:
    done = cli("pack", "mybot", "--put", "bots/sma.zip")
    assert (done.code, done.err) == (0, "")
    first, second = done.out.splitlines()
    data = stored("bots/sma.zip").read_bytes()
    assert first.startswith("bots/sma.zip: 1 entry, 26 B, packed into ")
    assert second == f"sha256 {hashlib.sha256(data).hexdigest()}"
    assert zipfile.is_zipfile(stored("bots/sma.zip"))
    assert nothing_is_left(temporary)


def test_json_says_key_size_digest_and_etag(cli: Callable[..., Any], stored: Callable[..., Path]) -> None:
    document = json.loads(cli("pack", "mybot", "--put", "bots/sma.zip", "--json").out)
    data = stored("bots/sma.zip").read_bytes()
    assert (document["key"], document["path"], document["size"]) == ("bots/sma.zip", None, len(data))
    assert document["sha256"] == hashlib.sha256(data).hexdigest()
    assert document["etag"] == json.loads(cli("storage", "stat", "bots/sma.zip", "--json").out)["etag"]


def test_the_bytes_are_those_of_the_file_that_pack_writes(cli: Callable[..., Any], stored: Callable[..., Path]) -> None:
    assert cli("pack", "mybot", "-o", "file.tar.gz").code == 0
    assert cli("pack", "mybot", "--put", "bots/sma.tar.gz").code == 0
    assert stored("bots/sma.tar.gz").read_bytes() == Path("file.tar.gz").read_bytes()


def test_an_output_that_is_named_is_kept_as_well(cli: Callable[..., Any], stored: Callable[..., Path]) -> None:
    done = cli("pack", "mybot", "--put", "bots/sma", "-o", "sma.tar")
    assert done.out.startswith("sma.tar, stored as bots/sma: 1 entry")
    assert stored("bots/sma").read_bytes() == Path("sma.tar").read_bytes()
    assert tarfile.is_tarfile("sma.tar")
    document = json.loads(cli("pack", "mybot", "--put", "bots/sma", "-o", "sma.tar", "--force", "--json").out)
    assert (document["key"], document["path"]) == ("bots/sma", "sma.tar")


@pytest.mark.parametrize("key", ["sma", "bots/v1.2", "x.rar"])
def test_a_key_that_says_no_format_is_a_zip(
    cli: Callable[..., Any], stored: Callable[..., Path], temporary: Path, key: str
) -> None:
    assert cli("pack", "mybot", "--put", key).code == 0
    assert zipfile.is_zipfile(stored(key))
    assert nothing_is_left(temporary)


def test_the_format_may_be_named(cli: Callable[..., Any], stored: Callable[..., Path]) -> None:
    assert cli("pack", "mybot", "--put", "sma.zip", "--format", "tar").code == 0
    assert tarfile.is_tarfile(stored("sma.zip"))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["mybot", "--put", "bots//x"], "'bots//x'"),
        (["mybot", "--put", ""], "storage key"),
        (["mybot", "--put", "x", "--storage", "local"], "local-fs"),
        (["absent", "--put", "x"], "absent does not exist"),
        (["mybot", "--put", "x", "-o", "mybot"], "mybot is a folder"),
        (["mybot", "--storage", "local-fs"], "--put KEY"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_stored(
    cli: Callable[..., Any], own_home: Path, temporary: Path, args: list[str], said: str
) -> None:
    told = cli("pack", *args)
    assert (told.code, told.stdout) == (2, b"")
    assert said in told.err
    assert nothing_is_left(temporary)
    assert not own_home.exists()


@pytest.mark.parametrize("key", ["x.zip", "x"])
def test_a_folder_that_no_archive_may_hold_is_refused_once(
    cli: Callable[..., Any], own_home: Path, temporary: Path, tree: Path, key: str
) -> None:
    (tree / "odd.bin").symlink_to("/etc/passwd")
    told = cli("pack", "mybot", "--put", key)
    assert (told.code, told.err.count("odd.bin")) == (2, 1)
    (tree / "odd.bin").unlink()
    assert nothing_is_left(temporary)
    assert not own_home.exists()


class Unwilling(MemoryBackend):
    """Does what the test says in place of storing."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self.then = then

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        self.then()
        return super().put(key, source, size=size)


def go_away() -> None:
    raise StorageUnavailableError("10.0.0.1:9000 does not answer", hint="Start it.")


@pytest.mark.parametrize(
    ("then", "code", "said"),
    [
        (go_away, 125, "10.0.0.1:9000 does not answer\n  Start it."),
        (lambda: os.kill(os.getpid(), signal.SIGINT), 130, "interrupted; no partial file or object is left"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "interrupted; no partial file or object is left"),
    ],
)
def test_when_it_cannot_be_stored_nothing_is_left(
    cli: Callable[..., Any],
    over: Callable[..., None],
    temporary: Path,
    then: Callable[[], None],
    code: int,
    said: str,
) -> None:
    backend = Unwilling(then)
    over(backend)
    told = cli("pack", "mybot", "--put", "bots/sma.zip")
    assert (told.code, told.out, told.err) == (code, "", f"botdock: {said}\n")
    assert nothing_is_left(temporary)
    assert (backend.objects, backend.closed) == ({}, True)
