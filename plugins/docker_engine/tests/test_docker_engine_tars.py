"""The one file of a tar that a daemon answers with."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_engine_docker.results import read_tarred

LONG = "n" * 200


def tarred(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def receiver(data: bytes, size: int) -> Callable[[], bytes]:
    pieces: Iterator[bytes] = iter([data[at : at + size] for at in range(0, len(data), size)])
    return lambda: next(pieces, b"")


@given(content=st.binary(max_size=3_000), limit=st.integers(0, 3_000), size=st.integers(1, 700), long=st.booleans())
def test_the_file_of_a_tar_is_read_up_to_its_limit(content: bytes, limit: int, size: int, long: bool) -> None:
    data = tarred(LONG if long else "result", content)
    assert read_tarred(receiver(data, size), limit) == content[: limit + 1]


def test_no_more_of_it_is_read_than_is_wanted() -> None:
    data = tarred("result", b"x" * 1_000_000)
    taken: list[bytes] = []
    pieces = receiver(data, 100)

    def receive() -> bytes:
        taken.append(pieces())
        return taken[-1]

    read_tarred(receive, 10)
    assert len(b"".join(taken)) <= 50_000


def test_what_is_no_file_or_no_whole_tar_is_told() -> None:
    with pytest.raises(OSError, match="not a regular file"):
        read_tarred(receiver(tarred("result", b"", tarfile.DIRTYPE), 512), 10)
    with pytest.raises(tarfile.TarError):
        read_tarred(receiver(tarred("result", b"x" * 600)[:900], 512), 600)
    with pytest.raises(tarfile.TarError):
        read_tarred(receiver(b"no tar at all" * 100, 512), 10)
