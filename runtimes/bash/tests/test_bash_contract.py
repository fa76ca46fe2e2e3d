"""bash, held to what every runtime promises."""

from pathlib import Path

from botdock_runtime_bash.runtime import BASH
from botdock_testing import RuntimeContract


class TestBash(RuntimeContract):
    runtime = BASH
    echo = Path(__file__).with_name("echo.sh").read_text()
    exits = "exit 7"
    waits = "trap 'echo stopped; exit 3' TERM\necho waiting\nwhile :; do sleep 0.05; done"
