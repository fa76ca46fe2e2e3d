"""Which keys a storage may hold."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.errors import StorageKeyError
from botdock.model import validate_key


@pytest.mark.parametrize(
    "key", ["a", "code/sma.zip", "a b/c", "..a/b..", "-", "ä/ö", "x" * 255, "/".join(["x" * 255] * 4)]
)
def test_keys_that_are_allowed(key: str) -> None:
    assert validate_key(key) is key


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "must be text, and not empty"),
        (None, "must be text, and not empty"),
        (b"a", "must be text, and not empty"),
        ("\ud800", "holds a lone surrogate"),
        ("ä" * 513, "is 1026 bytes long; 1024 are allowed"),
        ("a\\b", "holds a control character or a backslash"),
        ("a\0b", "holds a control character or a backslash"),
        ("a\x85b", "holds a control character or a backslash"),
        ("/a", "begins or ends with '/'"),
        ("a/", "begins or ends with '/'"),
        ("a//b", "holds '//'"),
        ("a/../b", "holds a segment '.' or '..'"),
        (".", "holds a segment '.' or '..'"),
        ("x" * 256, "holds a segment of more than 255 bytes"),
    ],
)
def test_keys_that_are_refused(key: Any, said: str) -> None:
    with pytest.raises(StorageKeyError) as caught:
        validate_key(key)
    assert said in str(caught.value)


@given(st.lists(st.sampled_from(["a", "..", ".", "/", "\\", "\0", "ä", "~", "C:"]) | st.text(max_size=3)).map("".join))
def test_an_allowed_key_never_leaves_its_folder(key: str) -> None:
    try:
        validate_key(key)
    except StorageKeyError:
        return
    path = PurePosixPath("/root") / key
    assert path.parts[:2] == ("/", "root")
    assert str(path) == f"/root/{key}"
    assert ".." not in path.parts
