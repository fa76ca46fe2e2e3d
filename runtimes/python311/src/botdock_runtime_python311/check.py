"""Says before a run what is wrong with a Python script, as far as reading it can tell."""

from __future__ import annotations

import ast
import re
import sys
import threading
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from botdock import read_code
from botdock.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ARGUMENTS = 2
"""`main` is called with the id and the config."""
_OTHER_ENCODING = re.compile(rb"(?i)\A(?:[^\r\n]*\r?\n)?[^\r\n]*coding[:=][ \t]*(?!utf-?8)[-\w.]")
_BINDS = re.compile(r"\b(?:global|globals|locals|vars|exec|setattr|modules|__dict__)\b")
"""What can give a module a `main` that reading does not show."""
_TOKEN = re.compile(r"\w+|[^\w ]")
_MAX_TOKENS = 8192
"""About 32 KiB of ordinary code. A tree takes up to 1 KiB for each of them, some of which stays with the thread."""
_one_tree = threading.Lock()
_SINCE_312 = re.compile(r"\s*(?:type\s+\w+[^=]*=|class\s+\w+\s*\[|(?:async\s+)?def\s+\w+\s*\[)")
"""How lines begin that Python 3.11 and older refuse without saying that a newer one knows them."""
_SINCE = re.compile(r"only supported in Python (\d+\.\d+)")


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def problems(tree: Path, script: str, *, version: tuple[int, int] = (3, 11)) -> Iterator[str]:
    """Yield what is wrong with `script` in `tree`, in words.

    A syntax error that only another Python than `version` finds is left to the one that will run the script; so is a
    script that is too large, or too deep, for a tree of it to be built in this process.
    """
    source = read_code(tree, script)
    if source is None or _OTHER_ENCODING.search(source):
        return
    with _one_tree:
        found = list(_problems(source, script, version))
    yield from found


def _problems(source: bytes, script: str, version: tuple[int, int]) -> Iterator[str]:
    try:
        text = source.decode("utf-8-sig")
        if sum(1 for _ in islice(_TOKEN.finditer(text), _MAX_TOKENS + 1)) > _MAX_TOKENS:
            return
        module = ast.parse(text, filename=script, feature_version=min(version, sys.version_info[:2]))
    except (RecursionError, MemoryError):
        return
    except (SyntaxError, ValueError) as error:
        if sys.version_info[:2] == version or _SINCE.search(str(error)):
            yield _syntax_problem(script, error, ".".join(map(str, version)))
        return
    names = _Names(module)
    if "main" not in names.bound and not names.anything and not _BINDS.search(text):
        yield _missing_main(script, sorted(names.functions))
    elif (main := names.functions.get("main")) and names.bound["main"] == 1:
        yield from _signature_problems(script, main)


def _newer_python(error: Exception) -> str:
    """Return the first Python that may know what was refused, such as `3.12`, where that can be told; else nothing."""
    if not isinstance(error, SyntaxError):
        return ""
    if since := _SINCE.search(error.msg):  # this Python knows it, and was asked as an older one
        return since.group(1)
    is_older = sys.version_info < (3, 12)
    return "3.12" if is_older and (error.msg.startswith("f-string") or _SINCE_312.match(error.text or "")) else ""


def _syntax_problem(script: str, error: Exception, version: str) -> str:
    if not isinstance(error, SyntaxError) or not error.lineno:
        return f"{script} is not Python source: {error}"
    found = f"{script}, line {error.lineno}: {error.msg}"
    if not (newer := _newer_python(error)):
        return f"{found} (Python {version} runs it; a newer one may know this syntax)"
    name = f"python{newer.replace('.', '')}"
    return (
        f'{found} (Python {version} runs it; {newer} may know it: --runtime {name}, or in bot.toml: runtime = "{name}")'
    )


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
    if _yields(main):
        yield (
            f"{script}, line {main.lineno}: main has a `yield`, so that calling it runs none of it; "
            "return a value, and print what comes up meanwhile"
        )
    if required > _ARGUMENTS or (accepted < _ARGUMENTS and arguments.vararg is None):
        yield f"{script}, line {main.lineno}: main takes {required} arguments; it is called as main(id, config)"
    elif named:
        yield f"{script}, line {main.lineno}: main needs {', '.join(named)} by name; it is called as main(id, config)"


def _yields(function: _Function) -> bool:
    """Whether it is a generator; what is defined within it may be one."""
    nodes: list[ast.AST] = list(function.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, _Function | ast.ClassDef | ast.Lambda | ast.GeneratorExp):
            nodes.extend(ast.iter_child_nodes(node))
    return False


class _Names:
    """The names that a module binds at its top level, below `if`, `try` and `with` too.

    Attributes:
        bound: All of them, and how often.
        functions: Those that are functions.
        anything: Whether names may be bound that cannot be read off: `import *`, or a module's own `__getattr__`.
    """

    def __init__(self, module: ast.Module) -> None:
        self.bound: Counter[str] = Counter()
        self.functions: dict[str, _Function] = {}
        self.anything = False
        nodes: list[ast.AST] = [module]
        while nodes:  # and not by recursion: 500 `elif` are 500 deep
            node = nodes.pop()
            self._bind(node)
            if not isinstance(node, _Function | ast.ClassDef | ast.Lambda):  # what is bound within is its own
                nodes.extend(ast.iter_child_nodes(node))

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, _Function | ast.ClassDef):
            self.bound[node.name] += 1
            self.anything |= node.name == "__getattr__"
            if isinstance(node, _Function):
                self.functions[node.name] = node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self.bound[node.id] += 1
        elif isinstance(node, ast.alias):
            self.anything |= node.name == "*"
            self.bound[(node.asname or node.name).partition(".")[0]] += 1
