"""What reading a Python script tells: which names it binds, and whether it is a bot or a program of its own.

`check` reads a script so before a run. In the run `wrapper.py` does, with this very file beside it as
`_botdock_script.py`; so it runs on Python 3.8 and newer, and imports nothing but the standard library.
"""

from __future__ import annotations

import ast
import re
import sys
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
_ID = re.compile(r"(?i:(?:.*_)?(?:id|uid|uuid|ident|identifier))|.*[a-z](?:Id|ID)")
_NAME = re.compile(r"(?i)_.*|.*(?:name|key|bot|backtest|task|job|execution|executable)")
_CONFIG = re.compile(r"(?i)_.*|.*(?:conf|cfg|setting|param|option|opts|ctx|context).*")
"""How authors name the parameters of a `main(id, config)`: the first alone tells; or it and the second together do."""
_OTHER = re.compile(r"(?i)(?:arg|conf|cfg|setting|param|option|opts).*")
"""How the first parameter of a bot's `main` is not called."""
_LOADS = re.compile(r"(?i).*load.*|dict|read_json")
_STANDARD: frozenset[str] = getattr(sys, "stdlib_module_names", frozenset())
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda)
_WORK = (ast.For, ast.AsyncFor, ast.While, ast.Raise, ast.Assert)


class Call:
    """How a script calls its `main`.

    Attributes:
        given: With how many arguments; None where they cannot be counted, or where another function is to call it.
        guarded: Whether only when it is the program that was started.
        config: Whether the second argument looks like a config.
    """

    def __init__(self, *, guarded: bool, given: int | None = None, config: bool = False) -> None:
        self.given, self.guarded, self.config = given, guarded, config


class Script:
    """A script, as its text shows it: what stands at its top level, below `if`, `try` and `with` too.

    Attributes:
        bound: The names that it binds, and how often.
        functions: Those that are functions.
        anything: Whether it may bind names that cannot be read off, by `import *`, a `__getattr__` or `globals()`.
        works: Whether it does anything but define things.
        lacks_main: Whether it has no `main` for certain.
        main: Its `main`, where that is a function which nothing decorates or replaces.
        misfits: What keeps that from being called with id and config.
        guard: Whether something is done only when it is the program that was started.
        calls: How it calls its `main`; one behind a guard stands for what a function of its own does that mentions it,
            and what an object does to which it is registered, such as `app()` after `@app.command()`.
    """

    def __init__(self, text: str, module: ast.Module) -> None:
        self.text = text
        self.bound: Counter[str] = Counter()
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.anything = bool(_BINDS.search(text) and _MAIN.search(text))
        self.works = self.guard = False
        self.calls: list[Call] = []
        self._values = 0
        scopes: list[ast.AST] = []
        called: set[str] = set()
        imports = assigns = False
        nodes: list[tuple[ast.AST, bool]] = [(module, False)]
        while nodes:  # and not by recursion: 500 `elif` are 500 deep
            node, guarded = nodes.pop()
            self._bind(node)
            self._act(node, guarded=guarded)
            # a module of which it takes no names, or that is not Python's, may do anything when it is imported; of
            # `import *` that is not known: it may be a `main` that is taken
            imports |= isinstance(node, ast.Import) or (
                isinstance(node, ast.ImportFrom)
                and (node.module or "").partition(".")[0] not in _STANDARD
                and node.names[0].name != "*"
            )
            assigns |= isinstance(node, (ast.Assign, ast.AnnAssign))
            if isinstance(node, ast.Call):
                called.add(_root(node.func))
            if isinstance(node, _SCOPES):  # what is bound within is its own
                scopes.append(node)
            else:
                below = guarded or (isinstance(node, ast.If) and _is_guard(node.test))
                self.guard |= below
                nodes.extend((child, below) for child in ast.iter_child_nodes(node))
        defined = {getattr(scope, "name", "") for scope in scopes}
        self.works |= bool(called & defined) or (not scopes and bool(called or (imports and not assigns)))
        main = self.functions.get("main")
        if self.works and (
            any(map(_mentions_main, scopes)) or (main and called & set(map(_root, main.decorator_list)))
        ):
            self.calls.append(Call(guarded=True))
        self.lacks_main = "main" not in self.bound and not self.anything
        self.main = main if main and self.bound["main"] == 1 and not main.decorator_list else None
        self.misfits = list(_misfits(self.main)) if self.main else []

    @property
    def form(self) -> Form:
        """How it is run.

        What has no `main`, or calls it in a way of its own, is a program. A bot that calls `main(id, config)` only when
        it is the program that was started stays a bot.
        """
        if self.lacks_main:
            return "program" if self.works else "bot"
        if any(map(self._is_own, self.calls)):
            return "program"
        if self.main is not None or not self.works:
            return "program" if self.guard and self.misfits else "bot"
        if "main" in self.bound:
            return "bot" if self.guard or not self._is_a_value else "either"
        return "program" if self.guard else "either"

    def _is_own(self, call: Call) -> bool:
        """Whether it calls its `main` as a program does, and not to try a `main(id, config)`."""
        main = self.functions.get("main")
        if (call.given is not None and not call.guarded) or self.misfits:
            return True
        names = _positional(main) if main else []
        fits = _are_id_and_config(*names[:ARGUMENTS]) if names else call.config
        if self.main is not None:
            return not (fits or (call.config and not _OTHER.fullmatch(names[0])))
        if call.given is None:  # one that is imported or decorated may be a bot's, whatever it takes
            return call.guarded and not (main and fits)
        return call.given != ARGUMENTS or not fits

    def meant_as_main(self) -> list[str]:
        """Return the functions that it never mentions again and that would do as a `main`."""
        return [
            name
            for name, function in self.functions.items()
            if not any(_misfits(function)) and len(re.findall(rf"\b{re.escape(name)}\b", self.text)) == 1
        ]

    @property
    def _is_a_value(self) -> bool:
        """Whether its `main` is what it has assigned, such as `main = Bot()`, which may be nothing to call."""
        return self._values == self.bound["main"]

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            self.bound[node.name] += 1
            self.anything |= node.name == "__getattr__"
            if isinstance(node, _FUNCTIONS):
                self.functions[node.name] = node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self.bound[node.id] += 1
            self._values += node.id == "main"
        elif isinstance(node, ast.alias):
            self.anything |= node.name == "*"
            self.bound[(node.asname or node.name).partition(".")[0]] += 1

    def _act(self, node: ast.AST, *, guarded: bool) -> None:
        self.works |= isinstance(node, _WORK)
        self.works |= isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
        if not isinstance(node, ast.Call):
            return
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        if _is_main(node.func):
            spread = any(isinstance(each, ast.Starred) for each in node.args) or any(not k.arg for k in node.keywords)
            second = values[ARGUMENTS - 1] if len(values) == ARGUMENTS else None
            self.calls.append(
                Call(given=None if spread else len(values), guarded=guarded, config=_may_be_config(second))
            )
        elif any(map(_is_main, values)) or _is_main(getattr(node.func, "value", None)):
            self.calls.append(Call(guarded=guarded))


def _is_main(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Name) and node.id == "main"


def _root(node: ast.AST) -> str:
    """Return the name with which a chain such as `app.command()` begins; an empty text for none."""
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _mentions_main(scope: ast.AST) -> bool:
    """Whether a function or class uses the `main` beside it."""
    return getattr(scope, "name", "") != "main" and any(map(_is_main, ast.walk(scope)))


def _may_be_config(argument: ast.AST | None) -> bool:
    """Whether what is given to `main` is a mapping, has the name of a config, or comes of what loads one."""
    if isinstance(argument, (ast.Dict, ast.DictComp)):
        return True
    called = getattr(argument, "func", None)
    name = _name_of(called or argument)
    return bool(_CONFIG.fullmatch(name) or (called and _LOADS.fullmatch(name)))


def _name_of(node: ast.AST | None) -> str:
    return getattr(node, "id", None) or getattr(node, "attr", None) or ""


def _are_id_and_config(first: str, second: str = "") -> bool:
    """Whether these are names of parameters as those of a `main(id, config)`."""
    return bool(_ID.fullmatch(first) or (_NAME.fullmatch(first) and _CONFIG.fullmatch(second)))


def _positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [each.arg for each in (*function.args.posonlyargs, *function.args.args)]


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
    return _positional(function)[1:ARGUMENTS] == ["config"]
