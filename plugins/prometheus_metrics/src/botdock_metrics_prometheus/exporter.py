"""The exporter: an endpoint, a file, or both."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botdock import MetricsExporter
from botdock.errors import MetricsError
from botdock.model import MetricsSnapshot
from botdock_metrics_prometheus.endpoint import Endpoint
from botdock_metrics_prometheus.families import render
from botdock_metrics_prometheus.settings import NAME, PrometheusSettings

_MARK = b"# botdock: as of "
_FIRST_LINE = 200
"""Bytes that the first line of a file has at most."""
_LOCK_TIMEOUT, _PAUSE = 5.0, 0.01
_FUTURE = timedelta(minutes=5)
"""How far ahead a file's time may be; beyond that, a clock was wrong, and the file is replaced."""


class PrometheusExporter(MetricsExporter):
    """Shows this runner's own numbers at an endpoint, and the sum over all runners of the state folder in a file."""

    def __init__(self, settings: PrometheusSettings) -> None:
        """Open the endpoint, if one is configured.

        Args:
            settings: Where metrics go.

        Raises:
            MetricsError: The port cannot be had.
        """
        self._snapshot: MetricsSnapshot | None = None
        self._textfile = Path(settings.textfile).expanduser() if settings.textfile else None
        self.wants_total = self._textfile is not None
        self._endpoint = self._serve(settings) if settings.port else None

    def export(self, snapshot: MetricsSnapshot) -> None:
        """Show this snapshot from now on.

        Raises:
            MetricsError: The file cannot be written.
        """
        self._snapshot = snapshot
        if self._textfile is not None:
            total = snapshot.total or snapshot
            _write_textfile(self._textfile, render(total), total.taken_at)

    def close(self) -> None:
        """Close the endpoint; the file stays, with the last numbers."""
        if self._endpoint is not None:
            self._endpoint.close()

    def _serve(self, settings: PrometheusSettings) -> Endpoint:
        try:
            return Endpoint(settings.address, settings.port, lambda: render(self._snapshot))
        except OSError as error:
            raise MetricsError(
                f"metrics endpoint {settings.address}:{settings.port} cannot be opened: {error.strerror or error}",
                hint=f"Choose another with [options.{NAME}] port = ... in botdock.toml.",
            ) from error


def _write_textfile(path: Path, data: bytes, taken_at: datetime) -> None:
    """Replace the file as a whole, unless it holds numbers that were taken later.

    Several runners may write the same file. Numbers that were taken earlier never replace later ones, in whatever
    order they are written: Prometheus reads a counter that goes back as a restart.

    Raises:
        MetricsError: The file cannot be written.
    """
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with _locked(path.with_name(f".{path.name}.lock")):
            if _is_later(path, taken_at):
                return
            try:
                draft.write_bytes(_MARK + taken_at.isoformat().encode() + b"\n" + data)
                draft.chmod(0o644)  # whatever the umask: the node exporter runs as another user
                draft.replace(path)
            finally:
                with suppress(OSError):
                    draft.unlink()
    except OSError as error:
        raise MetricsError(f"metrics file {path} cannot be written: {error.strerror or error}") from error


def _is_later(path: Path, taken_at: datetime) -> bool:
    try:
        with path.open("rb") as file:
            first = file.readline(_FIRST_LINE)
        there = datetime.fromisoformat(first.removeprefix(_MARK).strip().decode())
    except (FileNotFoundError, ValueError):
        return False
    return there.tzinfo is not None and taken_at < there < datetime.now(UTC) + _FUTURE


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + _LOCK_TIMEOUT
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(errno.ETIMEDOUT, "another runner holds its lock for too long") from None
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)
