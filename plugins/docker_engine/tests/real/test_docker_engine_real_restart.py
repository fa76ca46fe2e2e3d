"""The daemon dies and comes back, while a bot writes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from botdock.errors import ContainerError, EngineUnavailableError
from botdock.model import ContainerStatus, LogCursor, Stream

pytestmark = pytest.mark.docker

CALL = 60.0
SCRIPT = "i=0; while [ $i -lt 120 ]; do echo line $i; i=$((i+1)); sleep 0.05; done; printf tail; exit 5"
WHOLE = b"".join(b"line %d\n" % number for number in range(120)) + b"tail"


@pytest.fixture
def drill_lab(drill_daemon: Any, make_lab: Callable[..., Any], bash_image: str) -> Any:
    return make_lab(bash_image, host=drill_daemon.host)


def test_a_run_outlives_its_daemon_and_loses_nothing(drill_daemon: Any, drill_lab: Any) -> None:
    engine = drill_lab.engine
    container = engine.create(*drill_lab.spec("/bin/sh", "-c", SCRIPT), timeout=CALL)
    ends: list[ContainerStatus | None] = []
    waiter = Thread(target=lambda: ends.append(engine.wait(container, timeout=2 * CALL)), daemon=True)
    with engine.attach(container, timeout=CALL) as stream:
        engine.start(container, timeout=CALL)
        waiter.start()
        written = drill_lab.drain(stream, until=lambda written: b"line 9\n" in written[Stream.STDOUT])
        drill_daemon.kill()
        with pytest.raises(ContainerError):
            drill_lab.drain(stream, into=written)
    drill_daemon.start()
    cursor = LogCursor(stdout=len(written[Stream.STDOUT]), stderr=len(written[Stream.STDERR]))
    with engine.read_logs(container, cursor=cursor, follow=True, timeout=CALL) as stream:
        rest = drill_lab.drain(stream)
    waiter.join(2 * CALL)
    assert written[Stream.STDOUT] + rest[Stream.STDOUT] == WHOLE
    assert [status and status.exit_code for status in ends] == [5]


def test_a_daemon_that_is_away_is_said_to_be(drill_daemon: Any, drill_lab: Any) -> None:
    engine = drill_lab.engine
    container = engine.create(*drill_lab.spec("/bin/sh", "-c", "sleep 600"), timeout=CALL)
    engine.start(container, timeout=CALL)
    drill_daemon.kill()
    try:
        calls: tuple[Callable[[], object], ...] = (
            lambda: engine.inspect(container, timeout=CALL),
            lambda: engine.wait(container, timeout=0.2),
            lambda: engine.attach(container, timeout=CALL),
            lambda: engine.list({}, timeout=CALL),
        )
        for call in calls:
            with pytest.raises(EngineUnavailableError) as caught:
                call()
            assert "systemctl" in (caught.value.hint or "")
    finally:
        drill_daemon.start()
    assert engine.wait(container, timeout=0.0) is None
