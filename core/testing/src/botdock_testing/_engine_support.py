"""What the tests of the engine contract share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, Protocol, TypeVar

import attrs
import pytest

from botdock.model import (
    DEFAULT_LIMITS,
    ContainerHandle,
    ContainerRun,
    ContainerStatus,
    ContainerTemplate,
    Engine,
    LogCursor,
    LogStream,
    Stream,
)
from botdock_testing.program import Program

CALL = 30.0
"""Seconds that an engine has for one call."""
DEADLINE = 60.0
"""Seconds after which a test gives up; nothing comes near it unless it is broken."""
STEP = 0.25
"""Seconds of one `read` or `wait` of a loop that has a deadline."""

OWNER = "io.botdock.contract"
"""The selector that all containers of one contract test carry, with a value of its own."""

ANNOTATION = "io.botdock.note"
LONG_TEXT = "a note with spaces, and longer than any selector may be: " + "x" * 200

_SHOWN = 60
"""Bytes that are shown of what differs."""
_Result = TypeVar("_Result")


class Asked(NamedTuple):
    """What a container is made from: the arguments of `Engine.create`."""

    template: ContainerTemplate
    run: ContainerRun


def assert_same(found: bytes, expected: bytes) -> None:
    """Compare, and tell where they begin to differ: pytest's own account of long ones takes minutes."""
    if found != expected:
        pairs = zip(found, expected, strict=False)
        at = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(found), len(expected)))
        raise AssertionError(
            f"{len(found):,} bytes in place of {len(expected):,}; from byte {at:,} on "
            f"{found[at : at + _SHOWN]!r} in place of {expected[at : at + _SHOWN]!r}"
        )


def asked(folder: Path = Path("/nowhere"), /, **fields: Any) -> Asked:
    """Return what a container over one folder is made from; keywords replace fields of template and run."""
    template = ContainerTemplate(
        image="image",
        command=("/bin/sh",),
        program=str(folder),
        program_digest="",
        program_target="/botdock/program",
        code_target="/bot",
        context_target="/botdock/context",
        result_target="/botdock/result",
        limits=DEFAULT_LIMITS,
        interpreters=("sh",),
    )
    run = ContainerRun(name="botdock-1", selectors={}, code=str(folder), context=str(folder), result=str(folder))
    return replaced(Asked(template, run), **fields)


def replaced(asked: Asked, **fields: Any) -> Asked:
    """Return the same with other fields of template and run."""
    ours = {field.name for field in attrs.fields(ContainerRun)}
    return Asked(
        attrs.evolve(asked.template, **{name: value for name, value in fields.items() if name not in ours}),
        attrs.evolve(asked.run, **{name: value for name, value in fields.items() if name in ours}),
    )


class MakeSpec(Protocol):
    """Returns what a container that runs a program is made from; keywords replace fields of template and run."""

    def __call__(self, program: Program = ..., /, **overrides: object) -> Asked:
        """Return it."""
        ...


@attrs.frozen(kw_only=True)
class FinishedRun:
    """A container that has been run to its end.

    Attributes:
        container: What names it.
        status: How it ended.
        stdout: What it wrote there.
        stderr: What it wrote there.
    """

    container: ContainerHandle
    status: ContainerStatus
    stdout: bytes
    stderr: bytes


def run(engine: Engine, spec: Asked) -> FinishedRun:
    """FinishedRun a container as the orchestrator does: create, attach, start, read to the end, wait."""
    container = engine.create(*spec, timeout=CALL)
    with engine.attach(container, timeout=CALL) as stream:
        engine.start(container, timeout=CALL)
        written = drain(stream)
    return FinishedRun(
        container=container,
        status=ended(engine, container),
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


def read_logs(engine: Engine, container: ContainerHandle, *, cursor: LogCursor | None = None) -> Mapping[Stream, bytes]:
    """Read what the engine has of the log now."""
    with engine.read_logs(container, cursor=cursor or LogCursor(), follow=False, timeout=CALL) as stream:
        return drain(stream)


def started(engine: Engine, spec: Asked, *, shows: bytes = b"") -> ContainerHandle:
    """Create and start a container, wait until its stdout begins with `shows`, and return its handle."""
    container = engine.create(*spec, timeout=CALL)
    with engine.attach(container, timeout=CALL) as stream:
        engine.start(container, timeout=CALL)
        read_until(stream, lambda written: written[Stream.STDOUT].startswith(shows))
    return container


def ended(engine: Engine, container: ContainerHandle) -> ContainerStatus:
    """Wait for the end of a container."""
    status = engine.wait(container, timeout=DEADLINE)
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
