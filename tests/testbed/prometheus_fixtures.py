"""Prometheus as pytest fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.console import TestbedError
from testbed.fixtures import shown, unavailable
from testbed.prometheus import PrometheusServer, check_metrics, ensure_program


@pytest.fixture
def promtool(pytestconfig: pytest.Config) -> Callable[[str], str]:
    """Return a function that says what `promtool check metrics` has against a page of metrics."""
    try:
        with shown(pytestconfig):
            ensure_program("promtool")
    except TestbedError as error:
        unavailable(error)
    return check_metrics


@pytest.fixture
def start_prometheus(pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Callable[..., PrometheusServer]]:
    """Return a function that starts a server for this test alone, which scrapes the addresses it is given."""
    servers: list[PrometheusServer] = []

    def start(*targets: str) -> PrometheusServer:
        folder = tmp_path / f"prometheus-{len(servers)}"
        folder.mkdir()
        servers.append(PrometheusServer(folder))
        try:
            with shown(pytestconfig):
                servers[-1].start(*targets)
        except TestbedError as error:
            unavailable(error)
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
