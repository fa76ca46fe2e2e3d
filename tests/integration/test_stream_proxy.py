"""The proxy that cuts streams: what it passes on, and where it cuts."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from testbed.stream_proxy import StreamProxy

BODY = bytes(range(256)) * 4096
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@pytest.fixture
def proxy() -> Iterator[StreamProxy]:
    """A proxy before a server that answers every request with the same body."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/server.sock")
        listener.listen()
        server = Thread(target=answer, args=(listener,), daemon=True)
        server.start()
        with closing(StreamProxy(Path(folder) / "server.sock", Path(folder))) as made:
            yield made
        listener.shutdown(socket.SHUT_RDWR)
        server.join(10)


def answer(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(4096)
            try:
                connection.sendall(HEAD + BODY)
            except OSError:
                continue  # it was cut


def ask(proxy: StreamProxy, target: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(proxy.host.removeprefix("unix://"))
        client.sendall(f"GET {target} HTTP/1.1\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_what_is_not_to_be_cut_is_passed_on_whole(proxy: StreamProxy) -> None:
    proxy.cut("/logs", iter([5]))
    assert ask(proxy, "/attach") == HEAD + BODY
    assert proxy.cuts == 0


@pytest.mark.parametrize("size", [0, 1, 70_000, len(BODY)])
def test_an_answer_is_cut_behind_so_many_bytes_of_its_body(proxy: StreamProxy, size: int) -> None:
    proxy.cut("/(attach|logs)", iter([size]))
    assert ask(proxy, "/logs") == HEAD + BODY[:size]
    assert proxy.cuts == 1
    assert ask(proxy, "/logs") == HEAD + BODY
