"""Loads the testbed for every test of the repository; a member copied out of it needs nothing of this."""

import os
import signal
import sys
from collections.abc import Generator
from contextlib import suppress

import pytest

pytest_plugins = [
    "testbed.browser",
    "testbed.fixtures",
    "testbed.foreign_fixtures",
    "testbed.kubernetes_fixtures",
    "testbed.minio_fixtures",
    "testbed.prometheus_fixtures",
    "testbed.registry_fixtures",
    "testbed.memory",
    "testbed.branches",
    "testbed.drills",
    "testbed.interpreters",
]

with suppress(ImportError):
    import readline  # noqa: F401 - now, not later: it sets COLUMNS for what is started, where `os.environ` lacks it
os.environ.pop("COLUMNS", None)  # also of the shell that an editor shows: what botdock says would be folded
os.unsetenv("COLUMNS")

for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:  # a shell's `make test &`, or nohup: tests would wait for ever
        signal.signal(_number, _usual)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail a test that leaves botdock's own log on: which test comes next in this process is chance."""
    yield
    log = sys.modules.get("botdock._log")
    if getattr(log, "_enabled", False):
        pytest.fail(f"{item.nodeid} does not call botdock.logging.disable()")
