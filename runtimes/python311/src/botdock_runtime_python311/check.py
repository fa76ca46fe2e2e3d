"""Says before a run what is wrong with a Python script, as far as reading it can tell."""

from __future__ import annotations

import ast
import re
import sys
import threading
from itertools import islice
from typing import TYPE_CHECKING

from botdock import read_code
from botdock.errors import nearest
from botdock_runtime_python311.script import ARGUMENTS, Script, takes_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OTHER_ENCODING = re.compile(rb"(?i)\A(?:[^\r\n]*\r?\n)?[^\r\n]*coding[:=][ \t]*(?!utf-?8)[-\w.]")
_TOKEN = re.compile(r"\w+|[^\w ]")
_MAX_TOKENS = 8192
"""About 32 KiB of ordinary code. A tree takes up to 1 KiB for each of them, some of which stays with the thread."""
_one_tree = threading.Lock()
_SINCE_312 = r"\s*(?:type\s+\w+[^=]*=|class\s+\w+\s*\[|(?:async\s+)?def\s+\w+\s*\[)"
"""How lines begin that Python 3.11 and older refuse without saying that a newer one knows them."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_SINCE = r"only supported in Python (\d+\.\d+)"


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
        if sys.version_info[:2] == version or re.search(_SINCE, str(error)):
            yield _syntax_problem(script, error, ".".join(map(str, version)))
        return
    if usual := _usual_main(text, module):
        yield from _main_problems(script, usual, [])
        return
    read = Script(text, module)
    if read.lacks_main:
        yield from _program_problems(script, read)
    elif read.form == "bot" and read.main is not None:
        yield from _main_problems(script, read.main, read.misfits)


def _usual_main(text: str, module: ast.Module) -> _Function | None:
    """Return the `main` of the usual bot: it takes two arguments, and the script never names it again; else None.

    `wrapper.py` tells such a bot at once, too: all that reading more of it could show is that it is a bot.
    """
    for node in module.body:
        if isinstance(node, _Function) and node.name == "main":
            named = node.args.kwonlyargs or node.decorator_list
            takes_two = len(node.args.posonlyargs) + len(node.args.args) == ARGUMENTS and not named
            return node if takes_two and text.count("main") == 1 else None
    return None


def _program_problems(script: str, read: Script) -> Iterator[str]:
    """Yield that a script without a `main` was meant as a bot, or does nothing."""
    near = nearest("main", read.functions)
    unused = [name for name in read.meant_as_main() if name in near or takes_config(read.functions[name])]
    if unused:
        yield f"{script} defines no main (did you mean {unused[0]}?); it needs a function main(id, config)"
    elif not read.works:
        yield f"{script} defines no main and does nothing by itself; it needs a function main(id, config)"


def _main_problems(script: str, main: _Function, misfits: list[str]) -> Iterator[str]:
    where = f"{script}, line {main.lineno}: main"
    if _yields(main):
        yield (
            f"{where} has a `yield`, so that calling it runs none of it; "
            "return a value, and print what comes up meanwhile"
        )
    for misfit in misfits:
        yield f"{where} {misfit}; it is called as main(id, config)"


def _newer_python(error: Exception) -> str:
    """Return the first Python that may know what was refused, such as `3.12`, where that can be told; else nothing."""
    if not isinstance(error, SyntaxError):
        return ""
    if since := re.search(_SINCE, error.msg):  # this Python knows it, and was asked as an older one
        return since.group(1)
    is_older = sys.version_info < (3, 12)
    return "3.12" if is_older and (error.msg.startswith("f-string") or re.match(_SINCE_312, error.text or "")) else ""


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


def _yields(function: _Function) -> bool:
    """Whether it is a generator; what is defined within it may be one."""
    nodes: list[ast.AST] = list(function.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | ast.GeneratorExp):
            nodes.extend(ast.iter_child_nodes(node))
    return False
