"""How a Python bot ends when it is signalled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from textwrap import dedent

import pytest

from botdock_runtime_python311.runtime import PYTHON311
from botdock_testing.runtime import Ended, bot

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
    with bot(PYTHON311, dedent(source), tree=WAITING) as made:
        ended = made.run()
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
    assert (ended.reading.exit_code, ended.reading.signal) == (143, signal.SIGTERM)


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


def test_an_exit_of_its_own_is_not_that_of_a_signal() -> None:
    ended = stop("""
        import signal, sys
        from waiting import wait

        def main(id, config):
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
            print("up")
            wait()
    """)
    assert (ended.reading.exit_code, ended.reading.signal) == (143, 0)


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
    assert (ended.exit_code, ended.stdout, ended.reading.signal) == (130, b"closed\n", signal.SIGINT)
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
    assert ended.reading.signal == 0


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
    assert (ended.reading.value, ended.reading.exit_code, ended.reading.signal) == ("value", 143, 15)


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
        os.mkfifo(made.folder / "ready")
        with made.start() as process:
            descriptor = os.open(made.folder / "ready", os.O_WRONLY)
            try:
                process.send_signal(signal.SIGTERM)
                ended = made.finish(process)
            finally:
                os.close(descriptor)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (143, b"", b"")
