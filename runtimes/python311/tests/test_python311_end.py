"""How a Python bot ends: exit codes, tracebacks, signals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from textwrap import dedent
from typing import Any

import pytest

from botdock.testing.runtime import Bot, Ended, bot
from botdock_runtime_python311.runtime import PYTHON311


def run(source: str, **more: Any) -> Ended:
    with bot(PYTHON311, dedent(source), **more) as made:
        return made.run()


WAITING = {"waiting.py": "import time\ndef wait():\n    while True:\n        time.sleep(0.02)\n"}
"""Python looks at signals between two instructions: one that comes just before a long sleep is seen after it."""


def stop(source: str, *, signum: signal.Signals = signal.SIGTERM, times: int = 1) -> Ended:
    """Run a bot that prints a line when it is ready, and signal it; more than once, after each line that it prints."""
    with bot(PYTHON311, dedent(source), tree=WAITING) as made:
        made.prepare()
        with made.start() as process:
            for _ in range(times):
                signal_after_a_line(process, signum)
            return made.finish(process)


def signal_after_a_line(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signum)


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


def test_a_forked_child_ends_by_sigterm_without_a_word() -> None:
    source = """
        import os, signal
        from waiting import wait

        def main(id, config):
            ready, up = os.pipe()
            child = os.fork()
            if not child:
                os.write(up, b".")
                wait()
            os.read(ready, 1)
            os.kill(child, signal.SIGTERM)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    """
    ended = run(source, tree=WAITING)
    assert (ended.exit_code, ended.stdout, ended.stderr, ended.reading.value) == (0, b"", b"", -signal.SIGTERM)


def test_sigterm_runs_finally_and_context_managers() -> None:
    ended = stop("""
        import contextlib
        from waiting import wait

        @contextlib.contextmanager
        def position():
            try:
                yield
            finally:
                print("closed")

        def main(id, config):
            with position():
                print("open")
                wait()
    """)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (143, b"closed\n", b"")
    assert ended.reading.exit_code == 143


def test_a_second_sigterm_does_not_disturb_finally() -> None:
    ended = stop(
        """
        import signal
        from waiting import wait

        def main(id, config):
            try:
                print("up")
                wait()
            finally:
                print("closing")
                signal.sigtimedwait([signal.SIGUSR1], 0.2)
                print("closed")
        """,
        times=2,
    )
    assert (ended.exit_code, ended.stdout, ended.stderr) == (143, b"closed\n", b"")


def test_sigterm_during_the_load_ends_it() -> None:
    ended = stop("from waiting import wait\nprint('loading')\nwait()")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (143, b"", b"")


def test_a_handler_of_its_own_takes_the_place_of_ours() -> None:
    ended = stop("""
        import signal

        def main(id, config):
            told = []
            signal.signal(signal.SIGTERM, lambda *_: told.append(1))
            print("up")
            while not told:
                signal.sigtimedwait([signal.SIGUSR1], 0.05)
            return "handled"
    """)
    assert (ended.exit_code, ended.stderr, ended.reading.value) == (0, b"", "handled")


def test_sigint_is_a_keyboard_interrupt() -> None:
    source = """
        import signal
        from waiting import wait
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def main(id, config):
            try:
                print("up")
                wait()
            finally:
                print("closed")
    """
    ended = stop(source, signum=signal.SIGINT)
    assert (ended.exit_code, ended.stdout) == (130, b"closed\n")
    assert ended.stderr.endswith(b"KeyboardInterrupt\n")


IDLE = """
    import asyncio

    async def child():
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0)
            print("child closed")

    async def main(id, config):
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        try:
            print("up")
            await task
        finally:
            await asyncio.sleep(0)
            print("closed")
"""
BLOCKED = """
    from waiting import wait

    async def main(id, config):
        try:
            print("up")
            wait()
        finally:
            print("closed")
"""
CHILD_RUNNING = """
    import asyncio, signal

    async def spin():
        print("up")
        while True:
            signal.sigtimedwait([signal.SIGUSR1], 0.01)
            await asyncio.sleep(0)

    async def main(id, config):
        try:
            await asyncio.gather(spin(), asyncio.sleep(600))
        finally:
            await asyncio.sleep(0)
            print("closed")
"""
PLAIN = (
    "    import asyncio\n"
    + IDLE.replace("async def main(id, config)", "async def run()")
    + """
    def main(id, config):
        asyncio.run(run())
"""
)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (IDLE, b"child closed\nclosed\n"),
        (BLOCKED, b"closed\n"),
        (CHILD_RUNNING, b"closed\n"),
        (PLAIN, b"child closed\nclosed\n"),
    ],
    ids=["idle", "blocked", "child-running", "own-loop"],
)
def test_sigterm_lets_asynchronous_bots_clean_up(source: str, said: bytes) -> None:
    ended = stop(source)
    assert (ended.exit_code, b"".join(sorted(ended.stdout.splitlines(keepends=True))), ended.stderr) == (143, said, b"")


def test_an_asynchronous_bot_that_was_told_to_end_may_return_a_value() -> None:
    ended = stop("""
        import asyncio

        async def main(id, config):
            try:
                print("up")
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                return "closed in time"
    """)
    assert (ended.exit_code, ended.reading.value, ended.stderr) == (0, "closed in time", b"")


def test_a_bot_that_cancels_itself_has_failed() -> None:
    ended = run("import asyncio\nasync def main(id, config):\n    raise asyncio.CancelledError")
    assert ended.exit_code == 1
    assert ended.reading.error_type == "CancelledError"


def test_sigterm_ends_threads_that_outlive_main_and_keeps_the_value() -> None:
    source = """
        import atexit, threading

        def main(id, config):
            atexit.register(print, "atexit")
            threading.Thread(target=work).start()
            return "value"

        def work():
            threading.main_thread().join()
            print("up")
            threading.Event().wait()
    """
    with bot(PYTHON311, dedent(source)) as made:
        made.prepare()
        with made.start() as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            signal_until_it_ends(process)
            ended = made.finish(process)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (143, b"atexit\n", b"")
    assert (ended.reading.value, ended.reading.exit_code) == ("value", 143)


def signal_until_it_ends(process: subprocess.Popen[bytes]) -> None:
    """Signal more than once: one that comes as the main thread is about to wait for others is seen after that."""
    for _ in range(600):
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            return


def test_sigterm_does_not_disturb_exit_handlers() -> None:
    ended = stop("""
        import atexit, signal

        def last():
            print("up")
            signal.sigtimedwait([signal.SIGUSR1], 0.2)
            print("done")

        def main(id, config):
            atexit.register(last)
    """)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"done\n", b"")


def test_sigterm_ends_one_that_is_kept_waiting() -> None:
    with bot(PYTHON311, "") as made:
        made.prepare()
        os.mkfifo(made.files / "ready")
        with made.start() as process:
            descriptor = os.open(made.files / "ready", os.O_WRONLY)
            try:
                process.send_signal(signal.SIGTERM)
                ended = made.finish(process)
            finally:
                os.close(descriptor)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (143, b"", b"")


def test_the_process_is_the_one_that_was_started() -> None:
    def pid_of(made: Bot) -> tuple[int, bytes]:
        made.prepare()
        with made.start() as process:
            return process.pid, made.finish(process).stdout

    with bot(PYTHON311, "import os\ndef main(id, config):\n    print(os.getpid())") as made:
        pid, said = pid_of(made)
    assert int(said) == pid
