"""A headless Chromium, told over a pipe what to do: https://chromedevtools.github.io/devtools-protocol."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

from testbed.console import TestbedError
from testbed.packages import ensure_programs, find_program
from testbed.processes import end_child

PROGRAM = "chromium-headless-shell"
PATIENCE = 120.0
"""Seconds for one answer, on a machine that is busy."""
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars")
_ERRORS = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}


def ensure_browser() -> str:
    """Return the path of the browser, installed if it must be.

    Raises:
        TestbedError: It is not there and cannot be had; saying how to get it.
    """
    ensure_programs(PROGRAM)
    found = find_program(PROGRAM)
    assert found is not None
    return found


class Browser:
    """One browser with one page, and what that page complained of and asked for.

    Attributes:
        complaints: What came on its console, errors that no script caught, and what its policy refused.
        fetched: The addresses that it asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.complaints: list[str] = []
        self.fetched: list[str] = []
        self._number = 0
        self._unread = b""
        self._loaded: set[str] = set()
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [ensure_browser(), *_OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self._log = (folder / "browser.log").open("wb")
        self._process = subprocess.Popen(  # the protocol's descriptors are 3 and 4
            ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "browser", *command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        target: str = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session: str = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Page.setLifecycleEventsEnabled", enabled=True)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the page for something, and return the answer."""
        return self._ask(method, session=self._session, **parameters)

    def open(self, page: Path, *, width: int, dark: bool = False) -> Self:
        """Open a page in a window of a width, and wait until it is loaded."""
        self.complaints.clear()
        self.fetched.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.colours(dark=dark)
        loader = self.ask("Page.navigate", url=page.as_uri())["loaderId"]
        deadline = time.monotonic() + PATIENCE
        while loader not in self._loaded:
            self._take(self._receive(deadline))
        return self

    def colours(self, *, dark: bool) -> None:
        """Let the user prefer dark colours, or light ones."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, height: int | None = None) -> bytes:
        """Return a PNG of the window, or of as much of the page as has a height."""
        clip = {}
        if height is not None:
            width = self.evaluate("innerWidth")
            clip = {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=height is not None, **clip)
        return base64.b64decode(shot["data"])

    def paper(self) -> bytes:
        """Return the page as it is printed: a PDF."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])

    def close(self) -> None:
        """End it."""
        with suppress(TestbedError):
            self._ask("Browser.close")
        os.close(self._out)
        os.close(self._in)
        end_child(self._process)
        self._log.close()

    def _ask(self, method: str, *, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        data = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        deadline = time.monotonic() + PATIENCE
        try:
            while data:
                data = data[os.write(self._out, data) :]
        except OSError as error:
            raise TestbedError(f"the browser has ended: {self._end()}") from error
        while (answer := self._receive(deadline)).get("id") != self._number:
            self._take(answer)
        if "error" in answer:
            raise TestbedError(f"the browser refuses {method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._in], [], [], max(deadline - time.monotonic(), 0))
            data = os.read(self._in, 1 << 20) if ready else b""
            if not data:
                raise TestbedError(f"the browser {'has ended' if ready else 'does not answer'}: {self._end()}")
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _take(self, event: dict[str, Any]) -> None:
        method = event.get("method", "")
        if method == "Page.lifecycleEvent" and event["params"]["name"] == "load":
            self._loaded.add(event["params"]["loaderId"])
        if method in _ERRORS:
            self.complaints.append(json.dumps(event["params"]))
        if method == "Network.requestWillBeSent":
            self.fetched.append(event["params"]["request"]["url"])

    def _end(self) -> str:
        return Path(self._log.name).read_text(errors="replace")[-2000:]


@pytest.fixture
def browser(pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Browser]:
    """A browser for one test; it is not there, and the test fails in CI."""
    from testbed.fixtures import shown, unavailable

    try:
        with shown(pytestconfig):
            ensure_browser()
        started = Browser(tmp_path)
    except TestbedError as error:
        unavailable(error)
    yield started
    started.close()
