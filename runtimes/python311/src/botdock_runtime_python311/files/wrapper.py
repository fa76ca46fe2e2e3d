"""Runs a Python bot: calls `main(id, config)` of its script, and writes what it returns into the result file.

It is the same for every bot, is told the folder of `context.json`, and runs on Python 3.8 and newer. It prints nothing
of its own. What can be done before the bot is known comes first: where a FIFO `ready` lies there, it waits for it.
"""

# ruff: noqa: INP001 - a program, not a module of a package
# ruff: noqa: PTH100, PTH110, PTH112, PTH118, PTH119, PTH120, PTH122, PTH123, PTH208 - pathlib costs each run its import
# ruff: noqa: E402 - nothing but the standard library may be looked for before the path is set
from __future__ import annotations

import os
import sys

LOADED = frozenset(sys.modules) - {"__future__"}
"""What Python loads before any program; all else may be a module of the bot's own, whatever its name."""
PATH = sys.path[:]
NAMED = set()
"""The folders of PYTHONPATH, where this program looks for nothing."""
if __name__ == "__main__" and os.environ.get("PYTHONPATH"):
    NAMED = {os.path.abspath(folder) for folder in os.environ["PYTHONPATH"].split(os.pathsep)}
    NAMED.discard(os.path.dirname(os.__file__))
    sys.path[:] = [folder for folder in PATH if os.path.abspath(folder) not in NAMED]

import gc
import json
import signal
from importlib.machinery import ModuleSpec, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import CodeType
    from typing import Any

    from _botdock_result import Result  # type: ignore[import-not-found]  # it lies beside this file
    from _botdock_script import Form  # type: ignore[import-not-found]  # likewise
    from _botdock_signals import Termination  # type: ignore[import-not-found]  # likewise

ARGUMENTS, VARIABLE = 2, 4
"""What `main` is called with, and what says in `co_flags` that a function takes any number (`inspect.CO_VARARGS`)."""
HERE = os.path.dirname(os.path.abspath(__file__))


def main() -> None:
    """Run the bot that `context.json` describes, and end as it ends."""
    sys.path.insert(0, HERE)  # Python has done so itself, unless PYTHONSAFEPATH is set
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder is every bot's
    from _botdock_result import Result  # here: processes that the bot spawns load this file, and nothing beside it
    from _botdock_signals import Leaving, Termination, wait_until_ready

    sys.dont_write_bytecode = writes
    termination = Termination()
    buffer_lines()
    folder = sys.argv[1]
    gc.freeze()  # what is loaded by now stays to the end, which would else look through it several times: some 9 ms
    wait_until_ready(folder)
    with open(os.path.join(folder, "context.json"), "rb") as file:
        context = json.load(file)
    result = Result(context)
    ending = run(context, result, termination)
    leave_early = Leaving(result, termination)
    if termination.again:
        leave_early(signal.SIGTERM, None)
    raise ending


def run(context: dict[str, Any], result: Result, termination: Termination) -> SystemExit:
    """Run it, write the result, and return how to exit."""
    try:
        exit_code = result.take(start(*enter(context), context, termination))
        ending = SystemExit(exit_code)
    except SystemExit as error:
        termination.become(termination.note)
        ending, exit_code = error, exit_code_of(error.code)
        if error.code is not None and not isinstance(error.code, int):
            result.fail(error, error.code)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the bot's, and it is shown
        termination.become(termination.note)
        result.fail(error, error)
        exit_code = show(error)
        ending = SystemExit(exit_code)
    termination.become(termination.note)
    written = result.write(exit_code, termination.signum)
    return ending if written == exit_code else SystemExit(written)


def buffer_lines(*, unbuffered: bool = False) -> None:
    """Write a line when it is whole, in one piece, whatever PYTHONUNBUFFERED says in an image."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True, write_through=unbuffered)  # type: ignore[union-attr]  # a TextIOWrapper


def enter(context: dict[str, Any]) -> tuple[CodeType, Form, list[str]]:
    """Take on the bot's environment, folder and import path; return its code, how it is run, and its package."""
    tree: str = context["code_dir"]
    script = os.path.normpath(os.path.join(tree, context["script"]))
    with open(script, "rb") as file:
        source = file.read()
    code = compile(source, script, "exec", dont_inherit=True)
    form = form_of(code, source)
    os.environb.update({name.encode(): value.encode() for name, value in context["environment"].items()})
    if context["environment"].get("PYTHONUNBUFFERED"):
        buffer_lines(unbuffered=True)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")  # for programs that the bot starts: their lines are out at once
    os.chdir(tree)
    beside = os.path.dirname(script)
    # Beside the script, but not it, unless it is the program that runs.
    sys.argv[:] = [os.path.join(beside, "botdock") if form == "bot" else context["script"]]
    sys.dont_write_bytecode |= sys.pycache_prefix is None  # the tree is not ours to write to
    package = package_of(source, script, tree)
    root = os.path.normpath(os.path.join(beside, *[os.pardir] * len(package)))
    extend_path([root, tree], os.path.join(tree, "vendor"))
    for last in (beside, above_package(beside, tree)):  # last: to a package, `import signal` is the standard library's
        if last not in sys.path:
            sys.path.append(last)
    return code, form, package


def form_of(code: CodeType, source: bytes) -> Form:
    """Return how the script is run. The usual bot, without decorators, is told at once; another is read."""
    mains = [const for const in code.co_consts if getattr(const, "co_name", "") == "main" and b"\n@" not in source]
    if len(mains) == source.count(b"main") - source.count(b"__main__") == 1 and mains[0].co_argcount == ARGUMENTS:
        return "bot"
    from _botdock_script import form_of as read_form  # its imports are most of what it costs

    return read_form(code, source)


def package_of(source: bytes, script: str, tree: str) -> list[str]:
    """Return the folders of the package in which a script is that imports by relative names, as `python -m` has them.

    A folder without `__init__.py` will do, too.
    """
    if b"from ." not in source:
        return []
    folders = os.path.relpath(os.path.dirname(script), tree).split("/")
    if folders == ["."]:
        return []
    first = len(folders)
    while first and os.path.exists(os.path.join(tree, *folders[:first], "__init__.py")):
        first -= 1
    return folders[first:] or folders


def above_package(folder: str, tree: str) -> str:
    """Return the folder in which a project's packages lie, such as `src`; the script's own where that is in none."""
    while folder != os.path.normpath(tree) and os.path.exists(os.path.join(folder, "__init__.py")):
        folder = os.path.dirname(folder)
    return folder


def extend_path(own: list[str], vendor: str) -> None:
    """Let modules be found in the bot's own folders first, then in `vendor`, and then where Python looks.

    What this program has imported is forgotten where the bot has a module of that name.
    """
    sys.path[:] = dict.fromkeys(own)
    if os.path.isdir(vendor):
        import site

        site.addsitedir(vendor)  # and what its .pth files name
    names = {
        entry.partition(".")[0]
        for folder in [*sys.path, *NAMED]
        if os.path.isdir(folder)
        for entry in os.listdir(folder)
    }
    sys.path += [folder for folder in PATH if os.path.abspath(folder) != HERE and folder not in sys.path]
    for name in sys.modules.keys() - LOADED - {__name__}:
        if name.partition(".")[0] in names:
            del sys.modules[name]


def start(code: CodeType, form: Form, package: list[str], context: dict[str, Any], termination: Termination) -> object:
    """Run the script, and what it has for a `main` unless it is a program; return what that returns."""
    module = load(code, package) if form == "bot" else execute(code, "__main__", package)
    if form == "program" or (form == "either" and not takes_two(getattr(module, "main", None))):
        return None
    show_information()
    return call(module.main, context, termination)


def takes_two(main: object) -> bool:
    """Whether a `main` that was not seen in the script can be called with id and config."""
    code = getattr(main, "__code__", None)
    return callable(main) and (code is None or code.co_argcount >= ARGUMENTS or bool(code.co_flags & VARIABLE))


def load(code: CodeType, package: list[str]) -> Any:
    """Run the script as a module that can be imported and whose classes can be pickled, and return that."""
    name = module_name(code.co_filename)
    if package:
        name = ".".join([*package, os.path.splitext(os.path.basename(code.co_filename))[0]])
        return __import__(name, fromlist=["main"])
    return execute(code, name, [])


def execute(code: CodeType, name: str, package: list[str]) -> Any:
    """Run the script as a module of that name: as `__main__`, it is to Python the program that was started."""
    script, is_main = code.co_filename, name == "__main__"
    if package:
        __import__(".".join(package))
    loader = SourceFileLoader(name, script)
    module: Any = type(sys)(name)
    module.__file__, module.__loader__, module.__package__ = script, loader, ".".join(package)
    if is_main and not package:
        module.__package__ = None
    else:
        module.__spec__ = ModuleSpec(name, loader, origin=script)
        module.__spec__.has_location = True
    sys.modules[name] = module
    exec(code, module.__dict__)  # noqa: S102 - running the bot is what this file is for
    return sys.modules.get(name, module)


def module_name(script: str) -> str:
    """Return the name under which the script's own folder would import it; `main` where that name is taken."""
    stem, suffix = os.path.splitext(os.path.basename(script))
    taken = stem in sys.modules or stem in getattr(sys, "stdlib_module_names", ())
    package = os.path.isdir(os.path.splitext(script)[0])
    return stem if suffix == ".py" and stem.isidentifier() and not taken and not package else "main"


def show_information() -> None:
    """Let INFO records out, as the old runner did, unless the bot has set up logging itself."""
    logging: Any = sys.modules.get("logging")
    last = getattr(logging, "lastResort", None)  # a bot may have a module of that name
    if last is None:
        return
    root = logging.getLogger()
    if root.handlers or root.level != logging.WARNING:
        return
    root.setLevel(logging.INFO)
    last.setLevel(logging.INFO)
    last.setFormatter(logging.Formatter(logging.BASIC_FORMAT))


def call(function: Callable[[str, Any], Any], context: dict[str, Any], termination: Termination) -> object:
    """Call `main`, and wait for what it returns if it is asynchronous."""
    value = function(context["id"], context["config"])
    if type(value).__name__ in {"generator", "async_generator"}:
        raise TypeError(
            "main returned a generator, of which nothing has run: it has a `yield`, or returns a `(… for …)`"
        )
    return run_async(value, termination) if hasattr(type(value), "__await__") else value


def run_async(awaitable: Awaitable[Any], termination: Termination) -> object:
    """Wait for an asynchronous `main`, which SIGTERM cancels, so that its `finally` blocks may await."""
    import asyncio

    async def supervise() -> object:
        termination.cancel(asyncio.get_running_loop(), asyncio.current_task())
        return await awaitable

    try:
        return asyncio.run(supervise())
    except asyncio.CancelledError:
        if termination.signum:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise


def exit_code_of(code: object) -> int:
    """Return what `sys.exit(code)` makes a process exit with: a C long, cut to eight bits."""
    if code is None:
        return 0
    if not isinstance(code, int):
        return 1
    return code & 0xFF if -(2**63) <= code < 2**63 else 0xFF


def show(error: BaseException) -> int:
    """Show an uncaught error as Python would, without the frames of this file; return the exit code."""
    trace = frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == main.__code__.co_filename:
            trace = frame.tb_next
        frame = frame.tb_next
    error = error.with_traceback(trace)
    try:
        sys.excepthook(type(error), error, trace)
    except Exception:  # noqa: BLE001 - the bot's own hook
        sys.__excepthook__(type(error), error, trace)
    return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # a process that the bot's multiprocessing has spawned
    buffer_lines()
