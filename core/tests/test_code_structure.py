from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.config import CodeConfig
from botdock.errors import CodeError
from botdock.model import Runtime
from botdock.services.code import CodeService
from botdock.testing._code_store import CountingStore


@pytest.fixture
def service() -> CodeService:
    return CodeService(CodeConfig(), store=CountingStore().code, local_code=True)


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


def test_the_manifest_is_read(service: CodeService, tree: Path) -> None:
    assert service.read_manifest(tree) is None
    (tree / "bot.toml").write_text('runtime = "python3.11"')
    manifest = service.read_manifest(tree)
    assert manifest is not None
    assert manifest.runtime == "python3.11"
