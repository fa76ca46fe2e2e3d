"""How a Python bot ends by itself: exit codes, tracebacks, threads."""

from __future__ import annotations

import signal
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from botdock_runtime_python311.runtime import PYTHON311
from botdock_testing.runtime import Bot, Ended, bot


def run(source: str, **more: Any) -> Ended:
    with bot(PYTHON311, dedent(source), **more) as made:
        return made.run()


@pytest.mark.parametrize(
    ("code", "exit_code", "stderr", "error"),
    [
        ("0", 0, b"", ""),
        ("None", 0, b"", ""),
        ("7", 7, b"", ""),
        ("True", 1, b"", ""),
        ("-1", 255, b"", ""),
        ("256 + 5", 5, b"", ""),
        ("2**70", 255, b"", ""),
        ("'no such symbol'", 1, b"no such symbol\n", "SystemExit: no such symbol"),
        ("(1, 2)", 1, b"(1, 2)\n", "SystemExit: (1, 2)"),
    ],
)
def test_what_it_exits_with_is_what_python_would(code: str, exit_code: int, stderr: bytes, error: str) -> None:
    ended = run(f"import sys\ndef main(id, config):\n    sys.exit({code})")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (exit_code, b"", stderr)
    assert (ended.reading.exit_code, ended.reading.present, ended.reading.error) == (exit_code, False, error)


def test_an_uncaught_error_shows_the_bots_frames_alone() -> None:
    ended = run("""
        def main(id, config):
            return trade(config)

        def trade(config):
            raise ValueError("no market")
    """)
    lines = ended.stderr.decode().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line for line in lines if "File" in line and "main.py" not in line] == []
    assert lines[-1] == "ValueError: no market"
    assert "return trade(config)" in ended.stderr.decode()
    assert (ended.exit_code, ended.reading.exit_code) == (1, 1)
    assert (ended.reading.error_type, ended.reading.error) == ("ValueError", "ValueError: no market")


def test_an_error_in_asynchronous_code_shows_the_bots_frames_alone() -> None:
    ended = run("async def main(id, config):\n    raise ValueError('later')")
    assert [line for line in ended.stderr.decode().splitlines() if "File" in line and "main.py" not in line] == []
    assert ended.stderr.endswith(b"ValueError: later\n")
    assert ended.exit_code == 1


@pytest.mark.parametrize(
    ("source", "last"),
    [
        ("def main(id, config:\n    pass", b"SyntaxError: '(' was never closed\n"),
        ("import nowhere", b"ModuleNotFoundError: No module named 'nowhere'\n"),
        ("x = 1", b"AttributeError: module 'main' has no attribute 'main'\n"),
        ("def main():\n    pass", b"TypeError: main() takes 0 positional arguments but 2 were given\n"),
    ],
)
def test_a_script_that_does_not_load_fails_with_pythons_words(source: str, last: bytes) -> None:
    ended = run(source)
    assert ended.exit_code == 1
    assert ended.stderr.endswith(last)
    assert b"wrapper" not in ended.stderr


@pytest.mark.parametrize(
    ("source", "tree", "hinted"),
    [
        ("import tickfeed.io", {"requirements.txt": "# what it needs\n\ntickfeed==2"}, "tickfeed"),
        (
            "def main(id, config):\n    import scipy",
            {"requirements.txt": "tickfeed", "vendor/tickfeed.py": ""},
            "scipy",
        ),
        ("import tickfeed.io", {"requirements.txt": "tickfeed", "vendor/tickfeed.py": ""}, ""),
        ("import tickfeed.io", {"requirements.txt": "tickfeed", "vendor/tickfeed/__init__.py": ""}, ""),
        ("import tickfeed", {"requirements.txt": "# nothing\n\n"}, ""),
        ("import tickfeed", {}, ""),
        ("from math import tickfeed", {"requirements.txt": "tickfeed"}, ""),
        ("raise ModuleNotFoundError(3, name=4)", {"requirements.txt": "tickfeed"}, ""),
        ("raise ModuleNotFoundError(name='a\\0/b')", {"requirements.txt": "tickfeed"}, "a\\x00/b"),
    ],
)
def test_a_module_that_was_not_brought_of_a_bot_that_lists_packages_is_hinted_at(
    source: str, tree: dict[str, str], hinted: str
) -> None:
    ended = run(source, tree=tree)
    assert ended.exit_code == 1
    brings = "if it is of a package that requirements.txt lists, `botdock pack --vendor` brings it into the archive"
    assert ended.reading.hint == (f"there is no module '{hinted}'; {brings}" if hinted else "")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("open('/proc/version', 'x')", ""),
        ("raise OSError(30, 'Read-only file system', 'out.csv')", "only $TMPDIR and $HOME can be written to"),
        (
            "class OperationalError(Exception): ...\nraise OperationalError('unable to open database file')",
            "only $TMPDIR",
        ),
        ("import socket\nraise socket.gaierror(-3, 'no name')", "{network}"),
        ("import urllib.error\nraise urllib.error.URLError(OSError(101, 'unreachable'))", "{network}"),
        ("try:\n    raise OSError(101, 'unreachable')\nexcept OSError as e:\n    raise ValueError from e", "{network}"),
        ("class E(Exception):\n    errno = property(lambda self: 1 / 0)\nraise E", ""),
    ],
)
def test_what_isolation_denies_is_hinted_at(source: str, hint: str) -> None:
    alone = len(Path("/proc/net/route").read_text(encoding="ascii").splitlines()) <= 1
    network = "this run has no network; --network names one" if alone else ""
    hinted = run(source).reading.hint
    assert hinted.startswith(expected := hint.format(network=network))
    assert bool(hinted) == bool(expected)


def test_its_own_excepthook_is_asked() -> None:
    ended = run("""
        import sys
        sys.excepthook = lambda kind, error, trace: print("hook:", error)
        def main(id, config):
            raise ValueError("x")
    """)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (1, b"hook: x\n", b"")


def test_an_excepthook_that_fails_hides_nothing() -> None:
    ended = run("""
        import sys
        sys.excepthook = lambda *_: 1 / 0
        def main(id, config):
            raise ValueError("x")
    """)
    assert ended.exit_code == 1
    assert ended.stderr.endswith(b"ValueError: x\n")


def test_threads_are_waited_for_and_exit_handlers_run() -> None:
    ended = run("""
        import atexit, threading
        from concurrent.futures import ThreadPoolExecutor

        def main(id, config):
            atexit.register(print, "atexit")
            go = threading.Event()
            threading.Thread(target=lambda: (go.wait(), print("thread"))).start()
            ThreadPoolExecutor().submit(go.set)
            return 1
    """)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"thread\natexit\n", b"")
    assert ended.reading.value == 1


def test_only_what_was_loaded_before_the_bot_is_never_collected() -> None:
    ended = run("""
        import gc, sys

        class Told:
            def __init__(self, name):
                self.name, self.me = name, self
            def __del__(self):
                sys.stdout.write(self.name + "\\n")

        last = Told("at the end")

        def main(id, config):
            print(gc.get_freeze_count() > 0)
            Told("by a collection")
            gc.collect()
            print("main")
    """)
    assert ended.stdout == b"True\nby a collection\nmain\nat the end\n"


def test_an_end_that_python_does_not_see_leaves_no_result() -> None:
    ended = run("import os\ndef main(id, config):\n    os._exit(5)")
    assert (ended.exit_code, ended.reading.exit_code) == (5, None)
    ended = run("import os\ndef main(id, config):\n    os.kill(os.getpid(), 9)")
    assert (ended.exit_code, ended.reading.exit_code) == (-signal.SIGKILL, None)


def test_a_forked_child_that_comes_back_writes_no_result() -> None:
    ended = run("""
        import os
        def main(id, config):
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                return "parent"
            return "child, whose result is longer"
    """)
    assert ended.reading.value == "parent"


def test_a_bot_that_cancels_itself_has_failed() -> None:
    ended = run("import asyncio\nasync def main(id, config):\n    raise asyncio.CancelledError")
    assert ended.exit_code == 1
    assert ended.reading.error_type == "CancelledError"


def test_the_process_is_the_one_that_was_started() -> None:
    def pid_of(made: Bot) -> tuple[int, bytes]:
        made.prepare()
        with made.start() as process:
            return process.pid, made.finish(process).stdout

    with bot(PYTHON311, "import os\ndef main(id, config):\n    print(os.getpid())") as made:
        pid, said = pid_of(made)
    assert int(said) == pid
