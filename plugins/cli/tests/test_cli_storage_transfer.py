"""`botdock storage get` and `put`."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import StorageUnavailableError
from botdock.model import ByteReader, ObjectInfo, ObjectReader
from botdock_testing.memory_storage import MemoryBackend

MIB = 1024 * 1024


class BrokenReader(io.BytesIO):
    """Gives a little, and then does what the test says."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self.chunks = iter([b"some"])
        self.then = then

    def read(self, size: int | None = -1, /) -> bytes:
        for chunk in self.chunks:
            return chunk
        self.then()
        return b""

    def __exit__(self, *_: object) -> None:
        self.close()


class Broken(MemoryBackend):
    """Has one object, whose reading does what the test says."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self.objects["big"] = b"x" * 2 * MIB
        self.then = then

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        return BrokenReader(self.then)


class Full(MemoryBackend):
    """Takes nothing more."""

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        raise StorageUnavailableError("10.0.0.1:9000 is full", hint="Buy a disk.")


def fail(error: BaseException) -> Callable[[], None]:
    def then() -> None:
        raise error

    return then


def press(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def here() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[bytes], None]]:
    """Let our stdin be a pipe with these bytes in it."""
    opened: list[Any] = []

    def use(data: bytes) -> None:
        reading, writing = os.pipe()
        os.write(writing, data)
        os.close(writing)
        opened.append(os.fdopen(reading))
        monkeypatch.setattr(sys, "stdin", opened[-1])

    yield use
    for file in opened:
        file.close()


def test_get_writes_a_file_of_the_last_part_of_the_key(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("bots/a.zip", data=b"PK\0")
    done = cli("storage", "get", "bots/a.zip")
    assert (done.code, done.out, done.err) == (0, "a.zip: 3 B\n", "")
    assert (here(), Path("a.zip").read_bytes()) == (["a.zip"], b"PK\0")


def test_the_file_has_the_mode_of_any_other_new_file(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("a")
    cli("storage", "get", "a")
    Path("plain").touch()
    assert Path("a").stat().st_mode == Path("plain").stat().st_mode


def test_get_as_json(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("a.json", area="results")
    done = cli("storage", "get", "a.json", "--area", "results", "-o", "b.json", "--json")
    assert json.loads(done.out) == {"schema": 1, "key": "a.json", "path": "b.json", "size": 4}
    assert Path("b.json").read_bytes() == b"data"


def test_a_key_that_ends_in_a_dash_is_a_file_all_the_same(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("odd/-")
    assert cli("storage", "get", "odd/-").code == 0
    assert here() == ["-"]


def test_get_to_stdout_is_the_bytes_and_nothing_else(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    data = bytes(range(256)) * 10_000
    store("a", data=data)
    done = cli("storage", "get", "a", "-o", "-")
    assert (done.code, done.stdout, done.stderr) == (0, data, b"")
    assert here() == []


def test_a_file_that_is_there_is_replaced_only_by_force(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("a")
    Path("a").write_text("precious")
    told = cli("storage", "get", "a")
    assert (told.code, Path("a").read_text()) == (2, "precious")
    assert "--force" in told.err
    assert cli("storage", "get", "a", "--force").code == 0
    assert (Path("a").read_text(), here()) == ("data", ["a"])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-o", "."], "-o a writes into it"),
        (["-o", "no/such/file"], "mkdir -p no/such"),
        (["-o", "/dev/null", "--force"], "not a regular file"),
    ],
)
def test_where_nothing_can_be_written_nothing_is(
    cli: Callable[..., Any], store: Callable[..., None], args: list[str], said: str
) -> None:
    store("a")
    told = cli("storage", "get", "a", *args)
    assert (told.code, told.stdout, here()) == (2, b"", [])
    assert said in told.err


@pytest.mark.parametrize("before", [None, "precious"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_get_leaves_what_there_was(
    cli: Callable[..., Any], over: Callable[..., None], before: str | None, number: int, code: int
) -> None:
    if before:
        Path("big").write_text(before)
    over(Broken(press(number)))
    told = cli("storage", "get", "big", "--force")
    assert (told.code, told.out) == (code, "")
    assert told.err == "botdock: interrupted; no partial file or object is left\n"
    assert [path.read_text() for path in Path().iterdir()] == ([before] if before else [])


def test_a_storage_that_goes_away_leaves_no_file(cli: Callable[..., Any], over: Callable[..., None]) -> None:
    over(Broken(fail(StorageUnavailableError("it went away", hint="Start it."))))
    told = cli("storage", "get", "big")
    assert (told.code, told.err, here()) == (125, "botdock: it went away\n  Start it.\n", [])


def test_a_disk_that_is_full_is_told_by_the_name_of_the_file(
    cli: Callable[..., Any], store: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    store("a")
    monkeypatch.setattr(Path, "replace", no_space)
    told = cli("storage", "get", "a", "-o", "copy")
    assert (told.code, told.err, here()) == (125, "botdock: copy cannot be written: No space left on device\n", [])


def test_a_reader_that_went_away_is_141(
    cli: Callable[..., Any], store: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store("a")
    monkeypatch.setattr(sys, "stdout", None)
    from botdock_cli.main import main

    assert main(["storage", "get", "a", "-o", "-"]) == 141


@pytest.mark.parametrize("area", ["code", "results", "logs"])
def test_put_stores_a_file_and_says_size_and_etag(
    cli: Callable[..., Any], stored: Callable[..., Path], area: str
) -> None:
    Path("a.zip").write_bytes(b"PK\0")
    done = cli("storage", "put", "a.zip", "bots/a.zip", "--area", area)
    first, second = done.out.splitlines()
    assert (done.code, done.err, first) == (0, "", "bots/a.zip: 3 B")
    assert etag_of(cli, "bots/a.zip", area) == second.removeprefix("etag ")
    assert stored("bots/a.zip", area).read_bytes() == b"PK\0"


def etag_of(cli: Callable[..., Any], key: str, area: str) -> str:
    return str(json.loads(cli("storage", "stat", key, "--area", area, "--json").out)["etag"])


def test_put_as_json_is_what_stat_says(cli: Callable[..., Any]) -> None:
    Path("a").write_bytes(b"")
    done = cli("storage", "put", "a", "empty", "--json")
    assert json.loads(done.out) == json.loads(cli("storage", "stat", "empty", "--json").out)
    assert json.loads(done.out)["size"] == 0


def test_put_takes_a_pipe(cli: Callable[..., Any], stdin: Callable[[bytes], None], stored: Callable[..., Path]) -> None:
    stdin(b"piped \xff")
    assert cli("storage", "put", "-", "a").out.startswith("a: 7 B\n")
    assert stored("a").read_bytes() == b"piped \xff"


def test_put_takes_a_file_as_stdin_from_where_it_stands(
    cli: Callable[..., Any], stored: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("lines").write_text("read already\nrest\n")
    with io.TextIOWrapper(Path("lines").open("rb")) as file:
        assert file.buffer.readline() == b"read already\n"
        monkeypatch.setattr(sys, "stdin", file)
        assert cli("storage", "put", "-", "a").code == 0
    assert stored("a").read_text() == "rest\n"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("absent", "'absent' cannot be read: No such file or directory"),
        ("folder", "botdock pack folder --put KEY"),
        ("file/", "cannot be read: Not a directory"),
        ("nul\0", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(cli: Callable[..., Any], own_home: Path, file: str, said: str) -> None:
    Path("folder").mkdir()
    Path("file").touch()
    told = cli("storage", "put", file, "a")
    assert (told.code, told.stdout) == (2, b"")
    assert said in told.err
    assert not own_home.exists()


@pytest.mark.parametrize("key", ["", "/a", "a/", "../a", "a\\b", "a\0", "x" * 2000, "\udcff"])
def test_what_is_no_key_is_refused_before_anything_is_read(cli: Callable[..., Any], key: str) -> None:
    told = cli("storage", "put", "absent", key)
    assert (told.code, told.stdout) == (2, b"")
    assert "storage key" in told.err


def test_a_closed_stdin_is_told(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    told = cli("storage", "put", "-", "a")
    assert (told.code, told.err) == (2, "botdock: stdin is closed\n  Name a file in place of `-`.\n")


def test_a_storage_that_takes_nothing_is_125_with_its_cure(cli: Callable[..., Any], over: Callable[..., None]) -> None:
    over(Full())
    Path("a").touch()
    told = cli("storage", "put", "a", "a")
    assert (told.code, told.err) == (125, "botdock: 10.0.0.1:9000 is full\n  Buy a disk.\n")


@pytest.mark.parametrize(
    ("then", "code", "said"),
    [
        (press(signal.SIGINT), 130, "interrupted; no partial file or object is left"),
        (press(signal.SIGHUP), 129, "interrupted; no partial file or object is left"),
        (fail(OSError(errno.EIO, "Input/output error")), 125, "file cannot be read: Input/output error"),
    ],
)
def test_a_put_that_does_not_reach_its_end_leaves_nothing(
    cli: Callable[..., Any],
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    then: Callable[[], None],
    code: int,
    said: str,
) -> None:
    Path("file").write_bytes(b"data")
    watch = BrokenReader(then)
    monkeypatch.setattr("botdock_cli.store.watched", lambda source, bars, **_: watch)
    told = cli("storage", "put", "file", "bots/a")
    assert (told.code, told.out) == (code, "")
    assert told.err == f"botdock: {said}\n"
    assert not [path for path in (own_home / "storage").rglob("*") if path.is_file()]
    assert not (own_home / "storage" / "code").exists()
