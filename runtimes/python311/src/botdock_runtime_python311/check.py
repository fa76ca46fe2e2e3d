"""Says before a run what is wrong with a Python script, as far as reading it can tell."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

from botdock.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE_PYTHON = (3, 11)
_ARGUMENTS = 2
"""`main` is called with the id and the config."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def problems(tree: Path, script: str) -> Iterator[str]:
    """Yield what is wrong with `script` in `tree`, in words.

    A syntax that the Python of this machine does not know is left to the one that will run it.
    """
    try:
        module = ast.parse((tree / script).read_bytes(), filename=script)
    except (SyntaxError, ValueError, RecursionError) as error:
        if sys.version_info[:2] == IMAGE_PYTHON:
            yield _syntax_problem(script, error)
        return
    names = _Names()
    names.visit(module)
    if "main" not in names.bound and not names.anything:
        yield _missing_main(script, sorted(names.functions))
    elif main := names.functions.get("main"):
        yield from _signature_problems(script, main)


def _syntax_problem(script: str, error: Exception) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{script}, line {error.lineno}: {error.msg}"
    return f"{script} is not Python source: {error}"


def _missing_main(script: str, functions: list[str]) -> str:
    near = nearest("main", functions)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return f"{script} defines no main{meant}; it needs a function main(id, config)"


def _signature_problems(script: str, main: _Function) -> Iterator[str]:
    """Yield what keeps `main(id, config)` from being called; a decorator may change all of it."""
    arguments = main.args
    accepted = len(arguments.posonlyargs) + len(arguments.args)
    required = accepted - len(arguments.defaults)
    named = [name.arg for name, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value is None]
    if main.decorator_list:
        return
    if required > _ARGUMENTS or (accepted < _ARGUMENTS and arguments.vararg is None):
        yield f"{script}, line {main.lineno}: main takes {required} arguments; it is called as main(id, config)"
    elif named:
        yield f"{script}, line {main.lineno}: main needs {', '.join(named)} by name; it is called as main(id, config)"


class _Names(ast.NodeVisitor):
    """Collects the names that a module binds at its top level, below `if`, `try` and `with` too.

    Attributes:
        bound: All of them.
        functions: Those that are functions.
        anything: Whether names may be bound that nobody can read off: `import *`, or a module's own `__getattr__`.
    """

    def __init__(self) -> None:
        self.bound: set[str] = set()
        self.functions: dict[str, _Function] = {}
        self.anything = False

    def visit_FunctionDef(self, node: _Function) -> None:
        self.bound.add(node.name)
        self.functions[node.name] = node
        self.anything |= node.name == "__getattr__"

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.bound.add(node.name)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Do not look into it: what it binds is its own."""

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.bound.add(node.id)

    def visit_alias(self, node: ast.alias) -> None:
        self.anything |= node.name == "*"
        self.bound.add((node.asname or node.name).partition(".")[0])
