"""Run Python 3.11 bots with botdock; `python` makes the runtime of another version."""

from botdock_runtime_python311.runtime import python

__all__ = ["python"]
