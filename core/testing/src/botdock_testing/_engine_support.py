"""What the tests of the engine contract share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Protocol, TypeVar

import attrs
import pytest

from botdock.model import ContainerSpec, ContainerStatus, Engine, LogCursor, LogStream, Stream
from botdock_testing.program import Program

CALL = 30.0
"""Seconds that an engine has for one call."""
DEADLINE = 60.0
"""Seconds after which a test gives up; nothing comes near it unless it is broken."""
STEP = 0.25
"""Seconds of one `read` or `wait` of a loop that has a deadline."""

OWNER = "io.botdock.contract"
"""The label that all containers of one contract test carry, with a value of its own."""

_Result = TypeVar("_Result")


class MakeSpec(Protocol):
    """Returns the spec of a container that runs a program; keywords replace fields of the spec."""

    def __call__(self, program: Program = ..., /, **overrides: object) -> ContainerSpec:
        """Return the spec."""
        ...


@attrs.frozen(kw_only=True)
class Run:
    """A container that has been run to its end.

    Attributes:
        container_id: Its identity.
        status: How it ended.
        stdout: What it wrote there.
        stderr: What it wrote there.
    """

    container_id: str
    status: ContainerStatus
    stdout: bytes
    stderr: bytes


def run(engine: Engine, spec: ContainerSpec) -> Run:
    """Run a container as the orchestrator does: create, attach, start, read to the end, wait."""
    container_id = engine.create(spec, timeout=CALL)
    with engine.attach(container_id, timeout=CALL) as stream:
        engine.start(container_id, timeout=CALL)
        written = drain(stream)
    return Run(
        container_id=container_id,
        status=ended(engine, container_id),
        stdout=written[Stream.STDOUT],
        stderr=written[Stream.STDERR],
    )


def drain(stream: LogStream) -> Mapping[Stream, bytes]:
    """Read a stream to its end."""
    return read_until(stream, lambda _: stream.ended)


def read_until(stream: LogStream, enough: Callable[[Mapping[Stream, bytearray]], bool]) -> Mapping[Stream, bytes]:
    """Read a stream until `enough` says so of what has come; what came is returned, bytes per stream."""
    written = {kind: bytearray() for kind in Stream}
    deadline = time.monotonic() + DEADLINE
    while not enough(written):
        assert not stream.ended, f"the log ended too early, after {written}"
        assert time.monotonic() < deadline, f"the log did not come, after {written}"
        for chunk in stream.read(STEP):
            assert chunk.data, "a chunk holds at least one byte"
            written[chunk.stream] += chunk.data
    return {kind: bytes(data) for kind, data in written.items()}


def read_logs(engine: Engine, container_id: str, *, cursor: LogCursor | None = None) -> Mapping[Stream, bytes]:
    """Read what the engine has of the log now."""
    with engine.read_logs(container_id, cursor=cursor or LogCursor(), follow=False, timeout=CALL) as stream:
        return drain(stream)


def started(engine: Engine, spec: ContainerSpec, *, shows: bytes = b"") -> str:
    """Create and start a container, wait until its stdout begins with `shows`, and return its identity."""
    container_id = engine.create(spec, timeout=CALL)
    with engine.attach(container_id, timeout=CALL) as stream:
        engine.start(container_id, timeout=CALL)
        read_until(stream, lambda written: written[Stream.STDOUT].startswith(shows))
    return container_id


def ended(engine: Engine, container_id: str) -> ContainerStatus:
    """Wait for the end of a container."""
    status = engine.wait(container_id, timeout=DEADLINE)
    assert status is not None, "it did not end"
    return status


def bounded(call: Callable[[], _Result]) -> _Result:
    """Return what `call` returns; fail the test if that takes as long as the deadline."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again below, where the test sees it
            errors.append(error)

    thread = Thread(target=target, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    if errors:
        raise errors[0]
    if not results:
        pytest.fail(f"the call did not return within {DEADLINE:g} s")
    return results[0]
