"""Python 3.13: differs from python311, which its own tests prove, by the version; here it runs on that."""

import signal

from botdock_runtime_python313.plugin import PYTHON313, botdock_runtimes
from botdock_testing.runtime import bot

WAITS = """
import sys, time

def main(id, config):
    try:
        print("waiting")
        while True:
            time.sleep(0.02)
    finally:
        print("stopped")
        sys.exit(3)
"""


def test_the_plugin_registers_it() -> None:
    assert list(botdock_runtimes()) == [PYTHON313]
    assert (PYTHON313.names, PYTHON313.image) == (("python313", "python3.13"), "python:3.13-slim")


def test_a_bot_runs_on_that_version_with_what_it_was_given() -> None:
    source = "import sys\ndef main(id, config):\n    return [*sys.version_info[:2], id, config]"
    with bot(PYTHON313, source, id="it's 313", config={"a": [1, None, "é"]}) as made:
        ended = made.run()
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
    assert ended.reading.value == [3, 13, "it's 313", {"a": [1, None, "é"]}]


def test_an_uncaught_error_shows_the_bots_frames_alone() -> None:
    with bot(PYTHON313, "def main(id, config):\n    raise ValueError('no market')") as made:
        ended = made.run()
    lines = ended.stderr.decode().splitlines()
    assert [line for line in lines if "File" in line and "main.py" not in line] == []
    assert (ended.exit_code, ended.reading.error) == (1, "ValueError: no market")


def test_a_line_is_out_at_once_and_sigterm_reaches_the_bot() -> None:
    with bot(PYTHON313, WAITS) as waiting:
        waiting.prepare()
        with waiting.start() as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"waiting\n"
            process.send_signal(signal.SIGTERM)
            ended = waiting.finish(process)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (3, b"stopped\n", b"")
