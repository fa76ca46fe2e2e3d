"""The engine on a real Docker, beyond what the contract asks of every engine."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import ContainerError, ImageError
from botdock.model import LogCursor, LogStream, PullPolicy, Stream
from botdock_engine_docker import capabilities, streams
from testbed.drills import count

pytestmark = pytest.mark.docker

CALL = 60.0
RUNS = count(20, 6)


def test_quick_runs_lose_no_byte_of_their_unterminated_ends(bash_lab: Any) -> None:
    script = "i=0; while [ $i -lt 50 ]; do echo line $i; echo err $i >&2; i=$((i+1)); done; printf tail; printf end >&2"
    for _ in range(RUNS):
        ran = bash_lab.shell(script)
        assert ran.stdout == b"".join(b"line %d\n" % number for number in range(50)) + b"tail"
        assert ran.stderr == b"".join(b"err %d\n" % number for number in range(50)) + b"end"


@pytest.mark.parametrize("size", [16_383, 16_384, 16_385, 20_000, 32_768, 49_152])
def test_the_kept_log_of_long_lines_is_exact(python_lab: Any, size: int) -> None:
    program = f"import sys; o = sys.stdout.buffer; o.write(b'\\xff' * {size} + b'\\n' + b'x' * {size} + b'\\n\\ntail')"
    container = python_lab.python(program).container
    for follow in (False, True):
        with python_lab.engine.read_logs(container, cursor=LogCursor(), follow=follow, timeout=CALL) as stream:
            written = python_lab.drain(stream)
        assert written[Stream.STDOUT] == b"\xff" * size + b"\n" + b"x" * size + b"\n\ntail", follow


def test_followed_logs_have_their_last_line(bash_lab: Any) -> None:
    for _ in range(RUNS):
        container = bash_lab.engine.create(*bash_lab.spec("/bin/sh", "-c", "echo a; printf tail"), timeout=CALL)
        bash_lab.engine.start(container, timeout=CALL)
        with bash_lab.engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=CALL) as stream:
            assert bash_lab.drain(stream)[Stream.STDOUT] == b"a\ntail"


def test_one_loop_serves_many_streams(bash_lab: Any) -> None:
    ids = [
        bash_lab.engine.create(*bash_lab.spec("/bin/sh", "-c", f"echo {number}; sleep 0.2; printf end"), timeout=CALL)
        for number in range(5)
    ]
    streams: dict[LogStream, bytes] = {bash_lab.engine.attach(one, timeout=CALL): b"" for one in ids}
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.fileno() or -1, selectors.EVENT_READ, stream)
        for one in ids:
            bash_lab.engine.start(one, timeout=CALL)
        while selector.get_map():
            ready = selector.select(CALL)
            assert ready, "nothing came"
            for key, _ in ready:
                streams[key.data] += b"".join(chunk.data for chunk in key.data.read(0.0))
                if key.data.ended:
                    selector.unregister(key.fileobj)
                    key.data.close()
    assert sorted(streams.values()) == [b"%d\nend" % number for number in range(5)]


@pytest.mark.parametrize(
    ("pause", "settle"), [("0.05", 10.0), ("0.5", 0.2)], ids=["it ends soon after", "it goes on for longer"]
)
def test_a_stream_that_is_cut_is_seen_and_continued_where_it_stood(
    bash_lab: Any, monkeypatch: pytest.MonkeyPatch, pause: str, settle: float
) -> None:
    monkeypatch.setattr(streams, "SETTLE", settle)
    script = f"for i in 1 2 3 4 5 6; do echo line $i; sleep {pause}; done; sleep 1.5; printf tail"
    container = bash_lab.engine.create(*bash_lab.spec("/bin/sh", "-c", script), timeout=CALL)
    with bash_lab.engine.attach(container, timeout=CALL) as stream:
        bash_lab.engine.start(container, timeout=CALL)
        written = bash_lab.drain(stream, until=lambda written: b"line 2\n" in written[Stream.STDOUT])
        stream._wire.interrupt()
        with pytest.raises(ContainerError, match="while the container went on"):
            bash_lab.drain(stream, into=written)
    monkeypatch.undo()
    cursor = LogCursor(stdout=len(written[Stream.STDOUT]))
    with bash_lab.engine.read_logs(container, cursor=cursor, follow=True, timeout=CALL) as stream:
        rest = bash_lab.drain(stream)
    whole = b"".join(b"line %d\n" % number for number in range(1, 7)) + b"tail"
    assert written[Stream.STDOUT] + rest[Stream.STDOUT] == whole


def test_a_grace_under_a_second_is_kept(bash_lab: Any) -> None:
    script = "trap 'echo asked' TERM; echo ready; while :; do sleep 600 & wait $!; done"
    container = bash_lab.engine.create(*bash_lab.spec("/bin/sh", "-c", script), timeout=CALL)
    with bash_lab.engine.attach(container, timeout=CALL) as stream:
        bash_lab.engine.start(container, timeout=CALL)
        bash_lab.drain(stream, until=lambda written: written[Stream.STDOUT] == b"ready\n")
        bash_lab.engine.stop(container, grace=0.3, timeout=CALL)
        assert bash_lab.drain(stream)[Stream.STDOUT] == b"asked\n"
    assert bash_lab.engine.inspect(container, timeout=CALL).exit_code == 137


def test_orphans_are_reaped(bash_lab: Any) -> None:
    script = "( sh -c 'sleep 0.1 & exit 0' ); sleep 0.5; grep -l '^State:.Z' /proc/[0-9]*/status; echo done"
    assert bash_lab.shell(script).stdout == b"done\n"


def test_the_digest_of_an_image_is_told(bash_lab: Any, bash_image: str) -> None:
    info = bash_lab.engine.ensure_image(bash_image, policy=PullPolicy.NEVER, timeout=CALL)
    assert info.digest.startswith("sha256:")


def test_an_image_that_is_nowhere_is_an_error_of_the_image(bash_lab: Any) -> None:
    with pytest.raises(ImageError, match=r"botdock\.invalid/none"):
        bash_lab.engine.ensure_image("botdock.invalid/none:1", policy=PullPolicy.MISSING, timeout=CALL)


@pytest.mark.parametrize(
    ("fields", "words", "hint"),
    [
        ({"network": "no-such-network"}, "no-such-network", "docker network ls"),
        ({"code": "/no/such/tree"}, "/no/such/tree", ""),
    ],
)
def test_what_does_not_start_says_why(bash_lab: Any, fields: dict[str, Any], words: str, hint: str) -> None:
    with pytest.raises(ContainerError, match=words) as caught:
        bash_lab.shell("true", **fields)
    assert hint in (caught.value.hint or "")


def test_an_unknown_oci_runtime_says_which_setting(
    make_engine: Callable[..., Any], docker_host: str, bash_lab: Any
) -> None:
    engine = make_engine(docker_host, runtime="no-such-runtime")
    spec = bash_lab.spec("/bin/sh", "-c", "true")
    with pytest.raises(ContainerError, match="no-such-runtime") as caught:
        engine.start(engine.create(*spec, timeout=CALL), timeout=CALL)
    assert "docker.runtime" in (caught.value.hint or "")


def test_a_successor_fetches_the_result(
    bash_lab: Any, make_engine: Callable[..., Any], docker_host: str, tmp_path: Path
) -> None:
    ran = bash_lab.shell("echo 42 > /botdock/result")
    assert make_engine(docker_host).fetch_result(ran.container, limit=10, timeout=CALL) == b"42\n"


def test_the_removal_of_a_container_that_does_not_run_is_told(bash_lab: Any) -> None:
    asked = bash_lab.spec("/bin/true")
    with closing(bash_lab.engine.events(asked.run.selectors, timeout=CALL)) as events:
        container = bash_lab.engine.create(*asked, timeout=CALL)  # one that never runs does not die, either
        bash_lab.engine.remove(container, timeout=CALL)
        deadline, told = time.monotonic() + CALL, list[str]()
        while not told and time.monotonic() < deadline:
            told += events.read(1.0)
    assert told == [container.id]


def test_doctor_finds_the_daemon(docker_config: Any) -> None:
    found = {check.name: check for check in capabilities.checks(docker_config)}
    assert found["docker.engine"].detail.startswith("Docker ")
    assert "docker.shared_disk" not in found
