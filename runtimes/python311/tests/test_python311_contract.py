"""Python 3.11, held to what every runtime promises."""

from botdock_runtime_python311.runtime import PYTHON311
from botdock_testing import RuntimeContract


class TestPython311(RuntimeContract):
    runtime = PYTHON311
    echo = """
import os

def main(id, config):
    return {"id": id, "config": config, "environment": dict(os.environ)}
"""
    exits = "import sys\ndef main(id, config):\n    sys.exit(7)\n"
    waits = """
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
