"""Runs a Python bot: calls `main(id, config)` of its script, and writes what it returns into the result file.

It is the same for every bot, is told the folder of `context.json`, and runs on Python 3.8 and newer. It prints nothing
of its own. What can be done before the bot is known comes first: where a FIFO `ready` lies there, it waits for it.
"""

# ruff: noqa: INP001 - a program, not a module of a package
# ruff: noqa: PTH100, PTH110, PTH112, PTH116, PTH118, PTH119, PTH120, PTH122, PTH123 - pathlib costs each run its import
from __future__ import annotations

import atexit
import json
import os
import signal
import stat
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from _botdock_result import Result  # type: ignore[import-not-found]  # it lies beside this file

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 1.0
"""Seconds that an asynchronous bot has to take notice of its cancellation, before it is interrupted."""


class Termination:
    """What SIGTERM does, unless the bot brings a handler of its own, which is left alone."""

    def __init__(self) -> None:
        self.handler: Any = signal.SIG_DFL
        self.begun = False
        self.again = False
        self.become(self.exit)
        os.register_at_fork(after_in_child=lambda: self.become(signal.SIG_DFL))  # a bot's children end as children do

    def become(self, handler: Any) -> None:
        """Replace our handler by another one of ours."""
        if signal.getsignal(signal.SIGTERM) == self.handler:
            signal.signal(signal.SIGTERM, handler)
            self.handler = handler

    def begin(self) -> None:
        """Let no further signal disturb the `finally` blocks that run from now on."""
        self.begun = True
        self.become(self.note)

    def exit(self, signum: int, _frame: object) -> None:
        """End the bot from within."""
        self.begin()
        raise SystemExit(128 + signum)

    def note(self, _signum: int, _frame: object) -> None:
        """Remember the signal for later."""
        self.again = True


def main() -> None:
    """Run the bot that `context.json` describes, and end as it ends."""
    sys.path.insert(0, HERE)  # Python has done so itself, unless PYTHONSAFEPATH is set
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder is every bot's
    from _botdock_result import Result  # here: processes that the bot spawns load this file, and nothing beside it

    sys.dont_write_bytecode = writes
    termination = Termination()
    buffer_lines()
    folder = sys.argv[1]
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
        function = load(enter(context))
        exit_code = result.take(call(function, context, termination))
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
    written = result.write(exit_code)
    return ending if written == exit_code else SystemExit(written)


class Leaving:
    """What SIGTERM does once `main` is over and only threads of the bot keep the process: nobody can unwind them."""

    def __init__(self, result: Result, termination: Termination) -> None:
        self.result, self.termination = result, termination
        termination.become(self)
        atexit.register(termination.become, termination.note)  # the last one in is the first to run

    def __call__(self, signum: int, _frame: object) -> None:
        """Say how it ended, run what `atexit` knows, and go."""
        self.termination.begin()
        self.result.write(128 + signum)
        atexit._run_exitfuncs()  # noqa: SLF001 - what `exit` does, without waiting for threads
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        finally:
            os._exit(128 + signum)


def buffer_lines() -> None:
    """Write a line when it is whole, in one piece, whatever PYTHONUNBUFFERED says."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]  # a TextIOWrapper


def wait_until_ready(folder: str) -> None:
    """Wait for the other side to close the FIFO, where there is one: then everything else is there."""
    ready = os.path.join(folder, "ready")
    if os.path.exists(ready) and stat.S_ISFIFO(os.stat(ready).st_mode):
        with open(ready, "rb") as fifo:
            fifo.read()


def enter(context: dict[str, Any]) -> str:
    """Take on the bot's environment, folder and import path, and return the path of its script."""
    tree: str = context["code_dir"]
    script = os.path.normpath(os.path.join(tree, context["script"]))
    os.environb.update({name.encode(): value.encode() for name, value in context["environment"].items()})
    if "TZ" in context["environment"]:
        import time

        time.tzset()
    os.chdir(tree)
    sys.argv[:] = [script]
    sys.dont_write_bytecode = True  # the tree is not ours to write to
    beside, vendor = os.path.dirname(script), os.path.join(tree, "vendor")
    folders = [folder for folder in (beside, vendor, tree) if os.path.isdir(folder)]
    if beside == tree:
        folders = folders[1:]
    sys.path[:] = folders + [folder for folder in sys.path if os.path.abspath(folder) != HERE and folder not in folders]
    return script


def load(script: str) -> Callable[[str, Any], Any]:
    """Run the script as a module that can be imported and whose classes can be pickled; return its `main`."""
    name = module_name(script)
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    loader = SourceFileLoader(name, script)
    module = type(sys)(name)
    module.__file__, module.__loader__, module.__package__ = script, loader, ""
    module.__spec__ = ModuleSpec(name, loader, origin=script)
    module.__spec__.has_location = True
    sys.modules[name] = module
    exec(code, module.__dict__)  # noqa: S102 - running the bot is what this file is for
    show_information()
    function: Callable[[str, Any], Any] = sys.modules.get(name, module).main
    return function


def module_name(script: str) -> str:
    """Return the name under which the script's own folder would import it; `main` where that name is taken."""
    stem, suffix = os.path.splitext(os.path.basename(script))
    taken = stem in sys.modules or stem in getattr(sys, "stdlib_module_names", ())
    package = os.path.isdir(os.path.splitext(script)[0])
    return stem if suffix == ".py" and stem.isidentifier() and not taken and not package else "main"


def show_information() -> None:
    """Let INFO records out, as the old runner did, unless the bot has set up logging itself."""
    logging: Any = sys.modules.get("logging")
    if logging is None:
        return
    root, last = logging.getLogger(), logging.lastResort
    if root.handlers or root.level != logging.WARNING or last is None:
        return
    root.setLevel(logging.INFO)
    last.setLevel(logging.INFO)
    last.setFormatter(logging.Formatter(logging.BASIC_FORMAT))


def call(function: Callable[[str, Any], Any], context: dict[str, Any], termination: Termination) -> object:
    """Call `main`, and wait for what it returns if it is asynchronous."""
    value = function(context["id"], context["config"])
    return run_async(value, termination) if hasattr(type(value), "__await__") else value


def run_async(awaitable: Awaitable[Any], termination: Termination) -> object:
    """Wait for an asynchronous `main`, which SIGTERM cancels, so that its `finally` blocks may await."""
    import asyncio

    async def supervise() -> object:
        cancellation = Cancellation(asyncio.get_running_loop(), asyncio.current_task(), termination)
        termination.become(cancellation.ask)
        return await awaitable

    try:
        return asyncio.run(supervise())
    except asyncio.CancelledError:
        if termination.begun:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise


class Cancellation:
    """What SIGTERM does to an asynchronous bot: it is cancelled, and interrupted where it lets no event through."""

    def __init__(self, loop: Any, task: Any, termination: Termination) -> None:
        self.loop, self.task, self.termination = loop, task, termination

    def ask(self, _signum: int, _frame: object) -> None:
        """Cancel it, and look again a second later."""
        import threading

        self.termination.begun = True
        self.termination.become(self.insist)
        self.task.cancel()
        self.loop.call_soon_threadsafe(self.termination.begin)  # once the loop turns, the bot knows
        again = threading.Timer(PATIENCE, self.remind)
        again.daemon = True
        again.start()

    def remind(self) -> None:
        """Signal again, from another thread, if the loop has not turned."""
        if self.termination.handler == self.insist:
            os.kill(os.getpid(), signal.SIGTERM)

    def insist(self, signum: int, frame: object) -> None:
        """Get it out of a call that blocks; the loop has not turned, so no `finally` block awaits anything."""
        self.termination.exit(signum, frame)


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
