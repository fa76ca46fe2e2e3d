"""Python 3.12, held to what every runtime promises."""

from botdock_runtime_python312.plugin import PYTHON312
from botdock_testing import RuntimeContract


class TestPython312(RuntimeContract):
    runtime = PYTHON312
    echo = "import os\ndef main(id, config):\n    return dict(id=id, config=config, environment=dict(os.environ))"
    exits = "import sys\ndef main(id, config):\n    sys.exit(7)"
    waits = """
import time, sys

def main(id, config):
    try:
        print("waiting")
        time.sleep(600)
    finally:
        print("stopped")
        sys.exit(3)
"""
