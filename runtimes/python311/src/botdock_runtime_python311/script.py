"""What reading a Python script tells: which names it binds, and whether it is a bot or a program of its own.

`check` reads a script so before a run. In the run `wrapper.py` does, with this very file beside it as
`_botdock_script.py`; so it runs on Python 3.8 and newer, and imports nothing but the standard library.
"""

from __future__ import annotations

import ast
import re
from collections import Counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType
    from typing import Literal

    Form = Literal["bot", "program", "either"]
    """How a script is run: its `main(id, config)` is called; or nothing of it is, as Python runs a program; or its
    `main` is called if it turns out to have one."""

ARGUMENTS = 2
"""`main` is called with the id and the config."""

MAX_PARSED = 256 * 1024
"""Bytes of a script of which the wrapper builds a tree, which takes up to a thousand times as much."""
_BINDS = re.compile(r"\b(?:global|globals|locals|vars|exec|setattr|modules|__dict__)\b")
"""What can give a module a `main` that reading does not show, if its text has that word."""
_MAIN = re.compile(r"\bmain\b|\bmodules\[")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda)
_WORK = (ast.For, ast.AsyncFor, ast.While, ast.Raise, ast.Assert)


class Script:
    """A script, as its text shows it: what stands at its top level, below `if`, `try` and `with` too.

    Attributes:
        bound: The names that it binds, and how often.
        functions: Those that are functions.
        anything: Whether it may bind names that cannot be read off, by `import *`, a `__getattr__` or `globals()`.
        works: Whether it does anything but define things.
        guard: Whether something is done only when it is the program that was started.
        calls: How it calls its `main`: with how many arguments, None where another function is to call it; and whether
            only when it is the program that was started.
    """

    def __init__(self, text: str, module: ast.Module) -> None:
        self.text = text
        self.bound: Counter[str] = Counter()
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.anything = bool(_BINDS.search(text) and _MAIN.search(text))
        self.works = self.guard = False
        self.calls: list[tuple[int | None, bool]] = []
        imports = defines = False
        nodes: list[tuple[ast.AST, bool]] = [(module, False)]
        while nodes:  # and not by recursion: 500 `elif` are 500 deep
            node, guarded = nodes.pop()
            self._bind(node)
            self._act(node, guarded=guarded)
            imports |= isinstance(node, ast.Import)
            defines |= isinstance(node, (*_SCOPES, ast.Assign, ast.AnnAssign))
            if not isinstance(node, _SCOPES):  # what is bound within is its own
                below = guarded or (isinstance(node, ast.If) and _is_guard(node.test))
                self.guard |= below
                nodes.extend((child, below) for child in ast.iter_child_nodes(node))
        self.works |= imports and not defines

    @property
    def form(self) -> Form:
        """How it is run.

        What has no `main`, or calls it in a way of its own, is a program. A bot that calls `main(id, config)` only when
        it is the program that was started stays a bot.
        """
        if self.lacks_main:
            return "program" if self.works else "bot"
        if (main := self.main) is not None:
            misfit = any(_misfits(main))
            own = any(misfit or (given is not None and not guarded) for given, guarded in self.calls)
            return "program" if own else "bot"
        if any(guarded if given is None else given != ARGUMENTS for given, guarded in self.calls):
            return "program"
        if "main" in self.bound or not self.works:
            return "bot"
        return "program" if self.guard else "either"

    @property
    def lacks_main(self) -> bool:
        """Whether it has no `main` for certain."""
        return "main" not in self.bound and not self.anything

    @property
    def main(self) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Its `main`, where that is a function which nothing decorates or replaces."""
        main = self.functions.get("main")
        return main if main and self.bound["main"] == 1 and not main.decorator_list else None

    def misfits(self) -> Iterator[str]:
        """Yield what keeps its `main` from being called with id and config."""
        if (main := self.main) is not None:
            yield from _misfits(main)

    def meant_as_main(self) -> list[str]:
        """Return the functions that it never mentions again and that would do as a `main`."""
        return [
            name
            for name, function in self.functions.items()
            if not any(_misfits(function)) and len(re.findall(rf"\b{re.escape(name)}\b", self.text)) == 1
        ]

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            self.bound[node.name] += 1
            self.anything |= node.name == "__getattr__"
            if isinstance(node, _FUNCTIONS):
                self.functions[node.name] = node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self.bound[node.id] += 1
        elif isinstance(node, ast.alias):
            self.anything |= node.name == "*"
            self.bound[(node.asname or node.name).partition(".")[0]] += 1

    def _act(self, node: ast.AST, *, guarded: bool) -> None:
        self.works |= isinstance(node, _WORK)
        self.works |= isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
        if not isinstance(node, ast.Call):
            return
        if _is_main(node.func):
            spread = any(isinstance(each, ast.Starred) for each in node.args) or any(not k.arg for k in node.keywords)
            self.calls.append((None if spread else len(node.args) + len(node.keywords), guarded))
        elif any(_is_main(argument) for argument in node.args):
            self.calls.append((None, guarded))


def _is_main(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "main"


def _is_guard(test: ast.AST) -> bool:
    """Whether a condition asks if the script is the program that was started."""
    names = {getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(test)}
    return bool(names & {"__name__", "argv"})


def _misfits(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield what keeps a function from being called with id and config, unless a decorator changes it."""
    arguments = function.args
    accepted = len(arguments.posonlyargs) + len(arguments.args)
    required = accepted - len(arguments.defaults)
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults)  # noqa: B905 - as many; `strict` is new in 3.10
    named = [name.arg for name, value in pairs if value is None]
    if required > ARGUMENTS or (accepted < ARGUMENTS and arguments.vararg is None):
        yield f"takes {required} arguments"
    elif named:
        yield f"needs {', '.join(named)} by name"


def form_of(code: CodeType, source: bytes) -> Form:
    """Return how the wrapper runs a script.

    Args:
        code: The compiled script, for one that is too large or too deep for a tree.
        source: Its text.
    """
    try:
        module = ast.parse(source) if len(source) <= MAX_PARSED else None
    except (RecursionError, MemoryError):
        module = None
    if module is None:
        return "bot" if "main" in code.co_names else "either"
    return Script(source.decode("utf-8", "replace"), module).form


def takes_config(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether its second argument is called as that of a `main` usually is."""
    return [each.arg for each in (*function.args.posonlyargs, *function.args.args)][1:2] == ["config"]
