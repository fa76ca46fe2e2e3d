"""The endpoint is for this machine alone, answers many at once, and waits for no client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from botdock import MetricsExporter
from botdock_metrics_prometheus.endpoint import Endpoint
from botdock_testing.metrics import make_snapshot


def test_it_is_for_this_machine_alone(port: int, endpoint: MetricsExporter) -> None:
    with socket.socket() as elsewhere:
        elsewhere.settimeout(10)
        assert elsewhere.connect_ex(("127.0.0.2", port)) != 0


def test_it_listens_elsewhere_when_it_is_told_so(port: int, open_exporter: Callable[..., MetricsExporter]) -> None:
    exporter = open_exporter(port=port, address="0.0.0.0")
    try:
        with socket.socket() as elsewhere:
            elsewhere.settimeout(10)
            assert elsewhere.connect_ex(("127.0.0.2", port)) == 0
    finally:
        exporter.close()


def test_it_listens_at_an_address_of_version_6(open_exporter: Callable[..., MetricsExporter], port: int) -> None:
    addresses = Path("/proc/net/if_inet6")
    if not addresses.exists() or not addresses.read_text():
        pytest.skip("this machine has no IPv6")
    exporter = open_exporter(port=port, address="::1")
    try:
        with urlopen(f"http://[::1]:{port}/metrics", timeout=10) as response:
            assert response.status == 200
    finally:
        exporter.close()


def test_many_scrapes_at_once_are_answered(endpoint: MetricsExporter, scrape: Callable[[], str], port: int) -> None:
    endpoint.export(make_snapshot(5, series=200))
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            endpoint.export(make_snapshot(5, series=200))

    changing = threading.Thread(target=change)
    changing.start()
    try:
        with ThreadPoolExecutor(32) as threads:
            answers = set(threads.map(lambda _: scrape().count("botdock_container_operations_total{"), range(128)))
    finally:
        stop.set()
        changing.join()
    assert answers == {400}


def test_its_answer_says_what_it_is(endpoint: MetricsExporter, port: int) -> None:
    endpoint.export(make_snapshot(5))
    with urlopen(f"http://127.0.0.1:{port}/metrics?x=y", timeout=10) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        length = len(response.read())
    with urlopen(Request(f"http://127.0.0.1:{port}/metrics", method="HEAD"), timeout=10) as response:
        assert (int(response.headers["Content-Length"]), response.read()) == (length, b"")


def test_what_it_does_not_have_is_not_found(
    endpoint: MetricsExporter, port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(HTTPError) as caught:
        urlopen(f"http://127.0.0.1:{port}/", timeout=10)
    with caught.value as error:
        assert (error.code, "The metrics are at /metrics." in error.read().decode()) == (404, True)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_about_a_client_that_goes_away(
    endpoint: MetricsExporter, port: int, scrape: Callable[[], str], capfd: pytest.CaptureFixture[str]
) -> None:
    endpoint.export(make_snapshot(5, series=2000))
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert "botdock_executions_total" in scrape()
    assert capfd.readouterr() == ("", "")


def test_a_closed_endpoint_lets_go_of_its_port_and_waits_for_no_client(
    port: int, open_exporter: Callable[..., MetricsExporter], scrape: Callable[[], str]
) -> None:
    for _ in range(3):
        exporter = open_exporter(port=port)
        scrape()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
            silent.sendall(b"GET /met")  # and never the rest
            exporter.close()


def test_a_client_that_sends_nothing_more_is_disconnected(port: int) -> None:
    endpoint = Endpoint("127.0.0.1", port, lambda: b"")
    setattr(endpoint.RequestHandlerClass, "timeout", 0.05)  # noqa: B010 - the base class declares no such attribute
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
            silent.sendall(b"GET /met")
            assert silent.recv(1) == b""
    finally:
        endpoint.close()
