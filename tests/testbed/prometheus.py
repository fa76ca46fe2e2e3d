"""A Prometheus server of our own, on loopback, with its own data; and `promtool`."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from testbed.console import TestbedError
from testbed.minio import _free_port
from testbed.packages import unpacked_program
from testbed.processes import comes_up, end_child

_ATTEMPTS = 3
"""How often a port is looked for: between finding a free one and using it, another program may take it."""


def ensure_program(name: str) -> Path:
    """Return the path of `prometheus` or `promtool`, unpacked if it must be.

    Raises:
        TestbedError: It is not there and cannot be had; saying how to get it.
    """
    return unpacked_program("prometheus", name)


def check_metrics(text: str) -> str:
    """Return what `promtool check metrics` has to say against a page of metrics; nothing when it is content.

    Raises:
        TestbedError: There is no `promtool`.
    """
    done = subprocess.run(
        [str(ensure_program("promtool")), "check", "metrics"],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip() or (f"exit code {done.returncode}" if done.returncode else "")


class PrometheusServer:
    """A server that scrapes what a test says, every 200 ms.

    Args:
        folder: Where its configuration, its data and its log lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_file = folder / "prometheus.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *targets: str) -> None:
        """Start it, and wait until it is ready.

        Args:
            targets: What it scrapes, each as `host:port`.

        Raises:
            TestbedError: It did not come up, with the end of its log; or there is no such program.
        """
        program = ensure_program("prometheus")
        config = self.folder / "prometheus.yml"
        # JSON is YAML too
        jobs = [{"job_name": "botdock", "static_configs": [{"targets": targets}]}]
        settings = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
        config.write_text(json.dumps({"global": settings, "scrape_configs": jobs}))
        for _ in range(_ATTEMPTS):
            if self._run(program, config):
                return
        raise TestbedError(
            f"Prometheus did not come up; the end of {self.log_file}:\n{self.log_file.read_text()[-2000:]}"
        )

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return what an expression is now: the labels and the value of each series.

        Raises:
            TestbedError: It is not an expression.
        """
        found = self._ask("/api/v1/query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def value(self, expression: str) -> float | None:
        """Return the value of an expression that has one; None when it has none yet."""
        values = [value for _, value in self.query(expression)]
        return values[0] if len(values) == 1 else None

    def stop(self) -> None:
        """End it in order, and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            end_child(process)

    def _run(self, program: Path, config: Path) -> bool:
        self._port = _free_port()
        options = [f"--web.listen-address=127.0.0.1:{self._port}", f"--storage.tsdb.path={self.folder / 'data'}"]
        with self.log_file.open("wb") as log:
            process = subprocess.Popen(
                [str(program), f"--config.file={config}", "--log.level=warn", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        self._process = process
        return comes_up(process, self._is_ready)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _ask(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self._port}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise TestbedError(f"Prometheus refuses {parameters}: {error.read().decode()}") from None
