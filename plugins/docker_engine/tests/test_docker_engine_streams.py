"""Streams of logs, from connections that end, break, pause and are closed."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from botdock.errors import ContainerError, ContainerNotFoundError, EngineTimeoutError, EngineUnavailableError
from botdock.model import ContainerHandle, LogChunk, LogCursor, LogStream, Stream
from botdock_engine_docker import streams
from botdock_engine_docker.engine import DockerEngine

C1 = ContainerHandle(id="c1")
CALL = 20.0
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
STAMP = b"2026-01-02T03:04:05.000000006Z "
ENDED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 17\r\n\r\n" + b'{"StatusCode": 0}'
NEVER = "0001-01-01T00:00:00Z"
GONE = {"message": "No such container: c1"}


def frame(number: int, data: bytes) -> bytes:
    return bytes([number, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def log(*lines: tuple[int, bytes], end: bytes = b"0\r\n\r\n") -> bytes:
    return CHUNKED + b"".join(chunk(frame(number, STAMP + data)) for number, data in lines) + end


def drain(stream: LogStream) -> list[LogChunk]:
    chunks: list[LogChunk] = []
    for _ in range(1000):
        if stream.ended:
            return chunks
        chunks += stream.read(CALL)
    raise AssertionError("the stream does not end")


def written(chunks: Sequence[LogChunk]) -> dict[Stream, bytes]:
    return {kind: b"".join(chunk.data for chunk in chunks if chunk.stream is kind) for kind in Stream}


def end(fake_docker: Any, *, status: str = "exited", finished: datetime | None = None) -> None:
    """Let the container end: `wait` answers, and it is known how it ended."""
    state = {"Status": status, "ExitCode": 3, "StartedAt": NEVER, "FinishedAt": f"{finished or datetime.now(UTC)}"}
    fake_docker.on("POST", "/wait", ENDED)
    fake_docker.says("GET", "/containers/c1/json", {"Id": "c1", "State": state})


def attach(engine: DockerEngine) -> LogStream:
    return engine.attach(C1, timeout=CALL)


def read_logs(engine: DockerEngine, *, follow: bool = False, stdout: int = 0, stderr: int = 0) -> LogStream:
    return engine.read_logs(C1, cursor=LogCursor(stdout=stdout, stderr=stderr), follow=follow, timeout=CALL)


def follow(fake_docker: Any, engine: DockerEngine, *, stdout: int = 0) -> LogStream:
    """Follow the log of a container that runs, and will have ended when it is asked about again."""
    end(fake_docker, status="running")
    stream = read_logs(engine, follow=True, stdout=stdout)
    end(fake_docker)
    return stream


def test_what_came_with_the_headers_is_not_lost(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("POST", "/attach", UPGRADED + frame(1, b"out") + frame(2, b"err") + frame(1, b"tail"))
    end(fake_docker)
    with attach(engine) as stream:
        chunks = drain(stream)
    assert [(chunk.stream, chunk.data) for chunk in chunks] == [
        (Stream.STDOUT, b"out"),
        (Stream.STDERR, b"err"),
        (Stream.STDOUT, b"tail"),
    ]
    assert all(chunk.time_ns for chunk in chunks)


def test_the_streams_are_asked_for_from_now_on(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("POST", "/attach", UPGRADED)
    attach(engine).close()
    assert fake_docker.targets("POST") == ["/containers/c1/attach?stream=1&stdout=1&stderr=1"]


@pytest.mark.parametrize(
    ("sent", "words"), [(frame(1, b"out")[:-1], "middle of a frame"), (b"hello, this is text", "not a frame")]
)
def test_what_is_not_a_whole_frame_is_a_broken_stream(
    fake_docker: Any, engine: DockerEngine, sent: bytes, words: str
) -> None:
    fake_docker.on("POST", "/attach", UPGRADED + sent)
    with attach(engine) as stream, pytest.raises(ContainerError, match=words):
        drain(stream)


def test_a_stream_that_ends_before_its_container_was_cut(
    fake_docker: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SETTLE", 0.05)
    fake_docker.on("POST", "/attach", UPGRADED + frame(1, b"out"))
    fake_docker.on("POST", "/wait", CHUNKED + fake_docker.STAY)
    with attach(engine) as stream, pytest.raises(ContainerError, match="went on"):
        drain(stream)


@pytest.mark.parametrize("state", ["exited", "running"])
def test_a_stream_that_ended_before_its_container_was_cut(
    fake_docker: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    log_ended = datetime.now(UTC)
    clock = SimpleNamespace(time=log_ended.timestamp, time_ns=time.time_ns, monotonic=lambda: 0.0)
    monkeypatch.setattr(streams, "time", clock)
    fake_docker.on("POST", "/attach", UPGRADED + frame(1, b"out"))
    end(fake_docker, status=state, finished=log_ended + timedelta(milliseconds=200))
    with attach(engine) as stream, pytest.raises(ContainerError, match="while the container went on"):
        drain(stream)


def test_a_daemon_that_takes_no_connection_holds_up_no_reader(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("POST", "/attach", UPGRADED + frame(1, b"out"))
    end(fake_docker)
    with attach(engine) as stream:
        with fake_docker.busy():
            chunks = [chunk for _ in range(20) for chunk in stream.read(0.0)]
            assert not stream.ended
        assert written([*chunks, *drain(stream)])[Stream.STDOUT] == b"out"


def test_a_daemon_that_tells_nonsense_of_the_end_is_said_so(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("POST", "/attach", UPGRADED)
    fake_docker.on("POST", "/wait", ENDED)
    fake_docker.on("GET", "/containers/c1/json", fake_docker.reply(b"<html>"))
    with attach(engine) as stream, pytest.raises(EngineUnavailableError, match="does not speak as Docker"):
        drain(stream)


def test_a_stream_that_ends_with_the_daemon_was_cut(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("POST", "/attach", UPGRADED + frame(1, b"out"))
    fake_docker.on("POST", "/wait", CHUNKED)  # and then the connection ends
    with attach(engine) as stream, pytest.raises(EngineUnavailableError, match="broke"):
        drain(stream)


def test_a_container_that_was_removed_has_ended(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("POST", "/attach", UPGRADED + frame(1, b"out"))
    fake_docker.says("POST", "/wait", GONE, status=404)
    with attach(engine) as stream:
        assert written(drain(stream))[Stream.STDOUT] == b"out"


@pytest.mark.parametrize("open_stream", [attach, read_logs])
def test_an_unknown_container_is_not_found(engine: DockerEngine, open_stream: Callable[[Any], LogStream]) -> None:
    with pytest.raises(ContainerNotFoundError, match="not told"):
        open_stream(engine)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"<stay>", EngineTimeoutError),
        (b"SSH-2.0\r\n\r\n", EngineUnavailableError),
        (b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\ncut<stay>", ContainerError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 17_000, EngineUnavailableError),
        (b"HTTP/1.1 200 ", EngineUnavailableError),
    ],
)
def test_an_answer_that_is_none_is_an_error(
    fake_docker: Any, engine: DockerEngine, answer: bytes, kind: type[ContainerError]
) -> None:
    fake_docker.on("POST", "/attach", answer)
    with pytest.raises(kind):
        engine.attach(C1, timeout=0.3 if answer.endswith(fake_docker.STAY) else CALL)


def test_close_wakes_who_reads(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("POST", "/attach", UPGRADED + frame(1, b"out") + fake_docker.STAY)
    stream = attach(engine)
    assert written(stream.read(CALL))[Stream.STDOUT] == b"out"
    results: list[Sequence[LogChunk]] = []
    reader = Thread(target=lambda: results.append(stream.read(CALL)), daemon=True)
    reader.start()
    stream.close()
    reader.join(CALL)
    assert results == [()]
    stream.close()
    assert stream.fileno() is None
    assert stream.read(0.0) == ()


def test_close_while_the_end_is_looked_for_is_no_error(
    fake_docker: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker.on("POST", "/attach", UPGRADED)
    fake_docker.on("POST", "/wait", fake_docker.STAY)
    stream = attach(engine)
    results: list[Sequence[LogChunk]] = []
    reader = Thread(target=lambda: results.append(stream.read(CALL)), daemon=True)
    reader.start()
    for _ in range(1000):
        if fake_docker.targets("POST")[-1].endswith("/wait"):
            break
        reader.join(0.01)
    stream.close()
    reader.join(CALL)
    assert results == [()]
    stream.close()


def test_the_descriptor_stays_the_same_and_shows_every_connection(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("GET", "/logs?stdout=1&stderr=1&timestamps=1&follow=1", log((1, b"a\n")))
    fake_docker.on("GET", "follow=0", log((1, b"a\n"), (1, b"tail")))
    with follow(fake_docker, engine) as stream:
        descriptor = stream.fileno()
        assert descriptor is not None
        chunks: list[LogChunk] = []
        for _ in range(100):
            if stream.ended:
                break
            assert select.select([descriptor], [], [], CALL)[0]
            chunks += stream.read(0.0)
            assert stream.fileno() == descriptor
    assert written(chunks)[Stream.STDOUT] == b"a\ntail"


def test_a_log_is_skipped_up_to_the_cursor(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("GET", "/logs", log((1, b"one\n"), (2, b"uno\n"), (1, b"two\n"), (2, b"dos")))
    with read_logs(engine, stdout=5, stderr=1) as stream:
        assert written(drain(stream)) == {Stream.STDOUT: b"wo\n", Stream.STDERR: b"no\ndos"}
    with read_logs(engine, stdout=100, stderr=100) as stream:
        assert drain(stream) == []
    fake_docker.on("GET", "/logs", fake_docker.reply(b""))
    with read_logs(engine) as stream:
        assert drain(stream) == []


def test_lines_have_the_daemons_time(fake_docker: Any, engine: DockerEngine) -> None:
    later = STAMP.replace(b":05.", b":06.")
    body = chunk(frame(1, STAMP + b"a\n") + frame(1, STAMP + b"b\n") + frame(1, later + b"c\n"))
    fake_docker.on("GET", "/logs", CHUNKED + body + b"0\r\n\r\n")
    with read_logs(engine) as stream:
        chunks = drain(stream)
    assert [chunk.data for chunk in chunks] == [b"a\nb\n", b"c\n"]
    assert chunks[1].time_ns - chunks[0].time_ns == 10**9
    assert chunks[0].time_ns == 1_767_323_045_000_000_006


def test_a_followed_log_is_read_again_for_what_following_lost(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("GET", "follow=1", log((1, b"a\n"), (2, b"e\n")))
    fake_docker.on("GET", "follow=0", log((1, b"a\n"), (2, b"e\n"), (2, b"e2"), (1, b"tail")))
    with follow(fake_docker, engine, stdout=1) as stream:
        assert written(drain(stream)) == {Stream.STDOUT: b"\ntail", Stream.STDERR: b"e\ne2"}
    with read_logs(engine, follow=True, stdout=1) as stream:  # it has ended: nothing of it is left to follow
        assert written(drain(stream)) == {Stream.STDOUT: b"\ntail", Stream.STDERR: b"e\ne2"}
    assert sum("follow=1" in target for target in fake_docker.targets("GET")) == 1


def test_a_followed_log_of_a_container_that_was_removed_ends(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("GET", "follow=1", log((1, b"a\n")))
    fake_docker.says("GET", "follow=0", GONE, status=404)
    with follow(fake_docker, engine) as stream:
        fake_docker.says("POST", "/wait", GONE, status=404)
        assert written(drain(stream))[Stream.STDOUT] == b"a\n"


def test_a_log_that_is_cut_off_is_a_broken_stream(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("GET", "/logs", log((1, b"a\n"), end=b""))
    with read_logs(engine) as stream, pytest.raises(EngineUnavailableError, match="broke"):
        drain(stream)


def test_a_log_without_timestamps_is_refused(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("GET", "/logs", CHUNKED + chunk(frame(1, b"hello\n")) + b"0\r\n\r\n")
    with read_logs(engine) as stream, pytest.raises(ContainerError, match="does not speak as Docker"):
        drain(stream)


def test_the_daemons_own_trouble_breaks_the_stream(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.on("GET", "/logs", CHUNKED + chunk(frame(3, b"Error grabbing logs")) + b"0\r\n\r\n")
    with read_logs(engine) as stream, pytest.raises(ContainerError, match="Error grabbing logs"):
        drain(stream)
