"""Storage keys: what is let through stays below the root and comes back, and what is refused has a reason."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdock.errors import StorageKeyError
from botdock.model import StorageBackend, validate_key
from botdock_storage_local_fs.backend import LocalFsBackend
from botdock_testing.storage import storage_keys

ANY_TEXT = st.text(st.characters(), max_size=300)
PATH_LIKE = st.lists(
    st.sampled_from(["..", ".", "", "a", "/", "\\", "\0", "\n", "etc", "passwd", "~", "x" * 256, "\ud800"]), max_size=8
).map("/".join)


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder, "root")


def put_and_take_away(backend: StorageBackend, key: str, data: bytes) -> None:
    backend.put(key, io.BytesIO(data))
    try:
        with backend.get(key) as reader:
            assert reader.read() == data
        assert [info.key for info in backend.list()] == [key]
        assert [info.key for info in backend.list(key)] == [key]
    finally:
        assert list(backend.delete([key])) == []


def refusal(action: Callable[[], object]) -> StorageKeyError | None:
    try:
        action()
    except StorageKeyError as error:
        return error
    return None


def files_below(folder: Path) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names]


@given(key=storage_keys(), data=st.binary(max_size=20))
def test_any_key_is_a_path_below_the_root_and_comes_back(root: Path, key: str, data: bytes) -> None:
    assert validate_key(key) == key
    area = root / "code"
    assert Path(os.path.normpath(area / key)).is_relative_to(area)
    assert os.path.normpath(area / key) == str(area / key)
    backend = LocalFsBackend(root, "code")
    put_and_take_away(backend, key, data)
    assert files_below(root.parent) == []


@given(key=ANY_TEXT | PATH_LIKE)
@example("../../etc/passwd")
@example("/etc/passwd")
@example("a/../../b")
def test_any_text_is_kept_below_the_root_or_refused_with_a_reason(root: Path, key: str) -> None:
    backend = LocalFsBackend(root, "code")
    refused = refusal(lambda: put_and_take_away(backend, key, b"data"))
    if refused:
        assert refused.key == key
        assert refused.message.isprintable()
        assert re.search(r": (must be|is|holds|begins) ", refused.message)
    assert files_below(root.parent) == []


@given(prefix=ANY_TEXT | PATH_LIKE)
def test_any_text_is_a_prefix_that_lists_nothing_from_outside(root: Path, prefix: str) -> None:
    (root.parent / "outside").write_text("secret")
    backend = LocalFsBackend(root, "code")
    backend.put("inside", io.BytesIO(b"x"))
    try:
        assert [info.key for info in backend.list(prefix)] == (["inside"] if "inside".startswith(prefix) else [])
    finally:
        list(backend.delete(["inside"]))
        (root.parent / "outside").unlink()


@given(key=st.binary(min_size=1, max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_bytes_that_are_no_text_are_refused_before_they_reach_a_disk(key: str) -> None:
    if not refusal(lambda: validate_key(key)):
        assert key.encode().decode() == key
