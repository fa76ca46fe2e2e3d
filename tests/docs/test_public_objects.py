"""What is public says what it is, in seconds or bytes where it counts them, and what it raises."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pages

DURATION = re.compile(r"(^|_)(timeout|grace|interval|patience|pause)$")
SIZE = re.compile(r"(^|_)size$")
SECONDS, BYTES = re.compile(r"second|duration", re.IGNORECASE), re.compile(r"byte", re.IGNORECASE)
RAISED = re.compile(r"[A-Z]\w*Error")
EXEMPT = {"FileExistsError", "FileNotFoundError", "OSError"}
"""Raised to be mapped at once."""


def public() -> Iterator[tuple[str, Any]]:
    for package in pages.PUBLIC:
        module = import_module(package)
        yield from ((f"{package}.{name}", getattr(module, name)) for name in module.__all__)


PUBLIC = dict(public())
CLASSES = {name: what for name, what in PUBLIC.items() if inspect.isclass(what)}
FUNCTIONS = {name: what for name, what in PUBLIC.items() if inspect.isfunction(inspect.unwrap(what))}
CONSTANTS = sorted(PUBLIC.keys() - CLASSES.keys() - FUNCTIONS.keys())


def methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield what the class itself defines for others; tests of a contract speak by their names."""
    for name, found in vars(cls).items():
        inner = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
        if not name.startswith(("_", "test_")) and inspect.isfunction(inner):
            yield name, inner


def texts_of(cls: type, method: str) -> str:
    """Return all that is said of a method, in the class that has it and in those that it comes from."""
    several = [base.__doc__ or "" for base in cls.__mro__[:-1]]
    return "\n".join(
        [*several, *(getattr(base, method).__doc__ or "" for base in cls.__mro__ if hasattr(base, method))]
    )


def raised(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the names of the errors that a function raises itself."""
    pending: list[ast.AST] = list(ast.iter_child_nodes(ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        called = node.exc.func if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) else None
        if isinstance(called, ast.Name) and RAISED.fullmatch(called.id):
            yield called.id
        pending += ast.iter_child_nodes(node)


@cache
def documented_constants(distribution: str) -> frozenset[str]:
    """Return the names in a top package that are assigned, and followed by a text that says what they are."""
    (root,) = import_module(distribution).__path__
    found = set()
    for path in Path(root).rglob("*.py"):
        body = ast.parse(path.read_text()).body
        for node, after in pairwise(body):
            if (
                isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


def described_fields(cls: type) -> list[str]:
    own = [field.name for field in attrs.fields(cls) if not field.inherited] if attrs.has(cls) else []
    return [name for name in own if re.search(rf"^ *{name}:", cls.__doc__ or "", re.MULTILINE) or name.startswith("_")]


def undescribed(cls: type) -> Iterator[str]:
    if not cls.__doc__:
        yield "the class"
    yield from (method for method, _ in methods(cls) if not inspect.getdoc(getattr(cls, method)))
    if attrs.has(cls):
        yield from {field.name for field in attrs.fields(cls) if not field.inherited} - set(described_fields(cls))


def without_unit(cls: type) -> Iterator[str]:
    """Yield parameters of methods, and fields whose type does not say it either."""
    for method, function in methods(cls):
        for parameter in inspect.signature(function).parameters:
            yield from (f"{method}({parameter})" for unit in units(parameter) if not unit.search(texts_of(cls, method)))
    for field in attrs.fields(cls) if attrs.has(cls) else ():
        said = f"{cls.__doc__} {field.type}"
        yield from (field.name for unit in units(field.name) if not unit.search(said))


def units(name: str) -> Iterator[re.Pattern[str]]:
    """Yield what must be said of a parameter or field of that name."""
    yield from (unit for pattern, unit in ((DURATION, SECONDS), (SIZE, BYTES)) if pattern.search(name))


def found(look: Callable[[Any], Iterable[str]], several: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong, by the name of a public object."""
    return {name: wrong for name, what in several.items() if (wrong := sorted(look(what)))}


def test_a_class_and_what_it_offers_are_described() -> None:
    assert found(undescribed, CLASSES) == {}


def test_what_counts_time_or_bytes_says_so() -> None:
    assert found(without_unit, CLASSES) == {}


def test_a_function_is_described_with_its_units_and_errors() -> None:
    def wrong(function: Callable[..., Any]) -> Iterator[str]:
        text = function.__doc__ or ""
        if not text:
            yield "nothing is said"
        for parameter in inspect.signature(function).parameters:
            yield from (parameter for _ in DURATION.findall(parameter) if not SECONDS.search(text))
        yield from {error for error in raised(function) if error not in text} - EXEMPT

    assert found(wrong, FUNCTIONS) == {}


def test_a_method_names_the_errors_that_it_raises() -> None:
    def wrong(cls: type) -> Iterator[str]:
        for method, function in methods(cls):
            unnamed = {error for error in raised(function) if error not in texts_of(cls, method)} - EXEMPT
            yield from (f"{method}: {error}" for error in unnamed)

    assert found(wrong, CLASSES) == {}


def test_a_constant_says_what_it_is() -> None:
    said = {name: documented_constants(name.partition(".")[0]) for name in CONSTANTS}
    assert [name for name in CONSTANTS if name.rpartition(".")[2] not in said[name]] == []
