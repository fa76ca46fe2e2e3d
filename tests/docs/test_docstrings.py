"""What docstrings show is true: they are the reference that the site shows."""

from __future__ import annotations

import ast
import doctest
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import botdock
import botdock_testing
from botdock import archive, config, errors, executions, logging, model, services

ROOT = Path(__file__).parents[2]
SOURCES = ("core", "core/testing/src", "plugins/*/src", "runtimes/*/src", "storage_backends/*/src")
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FENCE = re.compile(r"^( *)```python\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def modules(showing: str) -> list[object]:
    """Return the modules that have docstrings with examples of a kind."""
    return [pytest.param(name, path, id=name) for name, path in sources() if re.search(showing, path.read_text())]


def sources() -> Iterator[tuple[str, Path]]:
    for folder in (folder for pattern in SOURCES for folder in sorted(ROOT.glob(pattern))):
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder)
            if not {"tests", "testing", "templates"} & {*inside.parts}:
                yield ".".join(inside.with_suffix("").parts).removesuffix(".__init__"), path


@pytest.fixture(scope="session")
def names() -> dict[str, Any]:
    """What an example need not import: all that is public."""
    packages: tuple[Any, ...] = (botdock, archive, config, errors, executions, model, services, botdock_testing)
    return {name: getattr(package, name) for package in packages for name in package.__all__} | {"Path": Path}


@pytest.mark.parametrize(("name", "path"), modules(r"\n +>>> "))
def test_every_example_in_a_docstring_is_true(name: str, path: Path, names: dict[str, Any]) -> None:
    del path
    done = doctest.testmod(import_module(name), extraglobs=names, optionflags=FLAGS)
    logging.disable()
    assert not done.failed


@pytest.mark.parametrize(("name", "path"), modules("```python"))
def test_every_program_in_a_docstring_is_python_and_imports_what_there_is(name: str, path: Path) -> None:
    for _, block in FENCE.findall(path.read_text()):
        tree = ast.parse(textwrap.dedent(block), name)
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("botdock"):
                home = import_module(str(node.module))
                assert [one.name for one in node.names if not hasattr(home, one.name)] == []
