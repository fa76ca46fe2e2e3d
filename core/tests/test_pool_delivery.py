"""How the code of a run comes into a container that waits."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from botdock.pool import deliver


def test_code_is_delivered_as_links_and_within_bounds(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "data").mkdir(parents=True)
    (tree / "main.sh").write_text("echo hi\n")
    (tree / "data/numbers").write_text("1 2 3")
    (tree / "link").symlink_to("data/numbers")
    for entries, fits in ((4, True), (3, False)):
        target = tmp_path / str(entries)
        target.mkdir()
        assert deliver(tree, target, entries=entries, size=0) is fits
    whole = tmp_path / "4"
    assert sorted(str(path.relative_to(whole)) for path in whole.rglob("*")) == [
        "data",
        "data/numbers",
        "link",
        "main.sh",
    ]
    assert (whole / "main.sh").samefile(tree / "main.sh")
    assert (whole / "link").readlink() == Path("data/numbers")


def test_what_cannot_have_a_second_name_is_copied_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "main.sh").write_text("echo hi\n")
    for size, fits in ((8, True), (7, False)):
        target = tmp_path / str(size)
        target.mkdir()
        assert deliver(tree, target, entries=9, size=size) is fits
    assert (tmp_path / "8/main.sh").read_text() == "echo hi\n"
