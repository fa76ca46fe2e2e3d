from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.config import CodeConfig
from botdock.errors import CodeError
from botdock.model import Runtime, read_code
from botdock.model.runtime import MAX_CHECKED_BYTES
from botdock.services.code import CodeService
from botdock_testing._code_store import CountingStore


@pytest.fixture
def service() -> CodeService:
    return CodeService(CodeConfig(), store=CountingStore().code)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text("def main(id, config): ...\n")
    return tmp_path


def runtime(**changes: Any) -> Runtime:
    return attrs.evolve(
        Runtime(
            name="python311",
            image="python:3.11",
            interpreters=("python3",),
            suffixes=(".py",),
            scripts={"bot": ("main.py", "bot.py"), "backtest": ("backtest.py",)},
            files=dict,
        ),
        **changes,
    )


def test_the_script_is_returned_when_the_runtime_agrees(service: CodeService, tree: Path) -> None:
    assert service.validate_code_structure(tree, runtime(), "bot", None) == "main.py"


def test_what_the_runtime_finds_is_said(service: CodeService, tree: Path) -> None:
    picky = runtime(check=lambda _, script: [f"{script} line 1: no main", f"{script} line 2: no sense"])
    with pytest.raises(CodeError, match=r"main.py line 1: no main\nmain.py line 2: no sense") as caught:
        service.validate_code_structure(tree, picky, "bot", None)
    assert caught.value.source == str(tree)


@pytest.mark.parametrize("error", [RecursionError, MemoryError, KeyError])
def test_a_check_that_fails_is_not_the_bots_fault(service: CodeService, tree: Path, error: type[Exception]) -> None:
    def check(*_: object) -> Iterator[str]:
        yield "seen before"
        raise error

    assert service.validate_code_structure(tree, runtime(check=check), "bot", None) == "main.py"


def test_a_script_of_any_size_is_not_given_to_a_check(service: CodeService, tree: Path) -> None:
    picky = runtime(check=lambda tree, script: [f"{script} was looked at"])
    (tree / "main.py").write_bytes(b"x" * (MAX_CHECKED_BYTES + 1))
    assert service.validate_code_structure(tree, picky, "bot", None) == "main.py"


def test_of_many_long_problems_the_first_are_said(service: CodeService, tree: Path) -> None:
    picky = runtime(check=lambda *_: (f"{n} " + "x" * 10_000 for n in itertools.count()))
    with pytest.raises(CodeError) as caught:
        service.validate_code_structure(tree, picky, "bot", None)
    assert len(caught.value.message) < 20_000


@given(data=st.binary(max_size=40), limit=st.integers(0, 40))
def test_a_file_of_a_stranger_is_read_whole_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, limit: int
) -> None:
    tree = tmp_path_factory.mktemp("tree")
    (tree / "file").write_bytes(data)
    assert read_code(tree, "file", limit=limit) == (data if len(data) <= limit else None)


def test_what_is_no_file_of_the_tree_is_not_read(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "outside").write_text("secret")
    (tree / "link").symlink_to("../outside")
    (tree / "loop").symlink_to("loop")
    os.mkfifo(tree / "fifo")
    for name in ("absent", ".", "../outside", "link", "loop", "fifo", "nul\0", "/dev/zero", "x" * 5000):
        assert read_code(tree, name) is None, name
