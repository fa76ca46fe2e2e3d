"""The engine contract: logs, results, environment and capabilities."""

from __future__ import annotations

import os
import select
from pathlib import Path
from threading import Timer

import pytest

from botdock.errors import ImageError
from botdock.model import Engine, EngineCapabilities, Feature, LogCursor, LogStream, PullPolicy, PullProgress, Stream
from botdock.model.runtime import ENTRYPOINT_SCRIPT, READY_FIFO
from botdock_testing._engine_support import (
    CALL,
    DEADLINE,
    MakeSpec,
    assert_same,
    bounded,
    drain,
    ended,
    read_logs,
    read_until,
    run,
    started,
)
from botdock_testing.program import Program

WAITING = 'read -r line <"$2/ready"; cat late "$2/late" "$1"'
"""A program that waits; it is given its result and its context."""

OUTPUTS = {
    "nothing": b"",
    "a line": b"hello\n",
    "no newline at the end": b"first\nlast",
    "only newlines": b"\n\n\n",
    "NUL and not UTF-8": bytes(range(256)) * 3 + b"\n\xff\xfe\x00tail",
    "UTF-8": "Grüße, 世界 🚀\n".encode(),
    "a line of 1 MB": b"x" * 1_000_000 + b"\nend\n",
    "many lines": b"".join(
        b"%d\n" % number for number in range(10_000)
    ),  # a pipe takes them at once, on a busy node too
}


class LogTests:
    """Every byte, once, in order."""

    @pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
    def test_attach_delivers_exactly_what_was_written(
        self, engine: Engine, capabilities: EngineCapabilities, make_spec: MakeSpec, output: bytes
    ) -> None:
        other = output[::-1] if capabilities.separate_streams else b""
        ran = run(engine, make_spec(Program(stdout=output, stderr=other)))
        assert_same(ran.stdout, output)
        assert_same(ran.stderr, other)

    def test_streams_that_come_as_one_hold_what_was_written_to_either(
        self, engine: Engine, capabilities: EngineCapabilities, make_spec: MakeSpec
    ) -> None:
        needs(not capabilities.separate_streams, "one stream for both")
        ran = run(engine, make_spec(Program(stdout=b"one\n", stderr=b"uno\n")))
        assert sorted(ran.stdout.splitlines()) == [b"one", b"uno"]
        assert ran.stderr == b""

    def test_what_is_written_right_before_the_end_is_not_lost(
        self, engine: Engine, capabilities: EngineCapabilities, make_spec: MakeSpec
    ) -> None:
        other = b"oops" if capabilities.separate_streams else b""
        for _ in range(10):
            ran = run(engine, make_spec(Program(stdout=b"1\n2\nlast words", stderr=other, exit_code=1)))
            assert (ran.stdout, ran.stderr) == (b"1\n2\nlast words", other)

    @pytest.mark.parametrize(("stdout", "stderr"), [(0, 0), (1, 0), (6, 3), (18, 9), (17, 9)])
    def test_read_logs_continues_from_a_cursor(
        self, engine: Engine, capabilities: EngineCapabilities, make_spec: MakeSpec, stdout: int, stderr: int
    ) -> None:
        needs(capabilities.resumable_logs, "resumable logs")
        needs(capabilities.separate_streams or stderr == 0, "second stream")
        other = b"uno\ndos\nt" if capabilities.separate_streams else b""
        spec = make_spec(Program(stdout=b"one\ntwo\nthree\nfour", stderr=other))
        container = run(engine, spec).container
        rest = read_logs(engine, container, cursor=LogCursor(stdout=stdout, stderr=stderr))
        assert rest[Stream.STDOUT] == b"one\ntwo\nthree\nfour"[stdout:]
        assert rest[Stream.STDERR] == other[stderr:]

    @pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
    def test_read_logs_has_every_byte(
        self, engine: Engine, capabilities: EngineCapabilities, make_spec: MakeSpec, output: bytes
    ) -> None:
        needs(capabilities.exact_bytes, "exact bytes")
        container = run(engine, make_spec(Program(stdout=output))).container
        assert_same(read_logs(engine, container)[Stream.STDOUT], output)

    def test_read_logs_of_a_running_container_returns_what_is_there(self, engine: Engine, make_spec: MakeSpec) -> None:
        container = started(engine, make_spec(Program(stdout=b"ready\n", forever=True)), shows=b"ready\n")
        written = bounded(lambda: read_logs(engine, container))
        assert written[Stream.STDOUT] == b"ready\n"

    def test_read_logs_follows_to_the_end(self, engine: Engine, make_spec: MakeSpec) -> None:
        program = Program(stdout=b"ready\n", forever=True, farewell=b"bye\n")
        container = started(engine, make_spec(program), shows=b"ready\n")
        cursor = LogCursor(stdout=3)
        with engine.read_logs(container, cursor=cursor, follow=True, timeout=CALL) as stream:
            read_until(stream, lambda written: written[Stream.STDOUT] == b"dy\n")
            engine.stop(container, grace=20.0, timeout=CALL)
            assert drain(stream)[Stream.STDOUT] == b"bye\n"

    def test_a_stream_that_has_ended_returns_nothing(self, engine: Engine, make_spec: MakeSpec) -> None:
        container = run(engine, make_spec(Program(stdout=b"hi\n"))).container
        with engine.read_logs(container, cursor=LogCursor(), follow=True, timeout=CALL) as stream:
            drain(stream)
            assert stream.ended
            assert list(bounded(lambda: stream.read(DEADLINE))) == []

    def test_read_waits_no_longer_than_it_may(self, engine: Engine, make_spec: MakeSpec) -> None:
        with lingering(engine, make_spec) as stream:
            assert list(bounded(lambda: stream.read(0.05))) == []
            assert list(bounded(lambda: stream.read(0.0))) == []
            assert not stream.ended

    def test_close_wakes_a_thread_that_reads(self, engine: Engine, make_spec: MakeSpec) -> None:
        stream = lingering(engine, make_spec)
        timer = Timer(0.05, stream.close)
        timer.start()
        assert list(bounded(lambda: stream.read(10 * DEADLINE))) == []
        timer.join(DEADLINE)

    def test_close_may_be_called_twice(self, engine: Engine, make_spec: MakeSpec) -> None:
        stream = lingering(engine, make_spec)
        stream.close()
        stream.close()

    def test_the_descriptor_is_readable_when_there_is_something(self, engine: Engine, make_spec: MakeSpec) -> None:
        container = engine.create(*make_spec(Program(stdout=b"ready\n", forever=True)), timeout=CALL)
        with engine.attach(container, timeout=CALL) as stream:
            engine.start(container, timeout=CALL)
            wait_readable(stream)
            read_until(stream, lambda written: written[Stream.STDOUT] == b"ready\n")
            engine.stop(container, grace=0.0, timeout=CALL)
            while not stream.ended:
                wait_readable(stream)
                stream.read(0.0)


class DeliveryTests:
    """What goes in, and what comes out beside the log."""

    def test_an_untouched_result_is_empty(self, engine: Engine, make_spec: MakeSpec) -> None:
        container = run(engine, make_spec()).container
        assert engine.fetch_result(container, limit=100, timeout=CALL) == b""

    @pytest.mark.parametrize("size", [1, 999, 1000, 1001, 5000])
    def test_a_result_is_fetched_up_to_one_byte_over_the_limit(
        self, engine: Engine, make_spec: MakeSpec, size: int
    ) -> None:
        result = (b"\x00\xffabc" * 1000)[:size]
        container = run(engine, make_spec(Program(result=result))).container
        assert_same(engine.fetch_result(container, limit=1000, timeout=CALL), result[:1001])

    def test_the_environment_is_what_was_given_and_nothing_of_the_hosts(
        self,
        engine: Engine,
        make_spec: MakeSpec,
        basic_environment: frozenset[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("BOTDOCK_CONTRACT_CANARY", "sings-of-the-host")
        given = {"ID": "a b'c\"d$e`f\\g", "EMPTY": "", "UMLAUT": "äöü", "BOT_CONFIG": '{"k": [1, 2]}'}
        ran = run(engine, make_spec(Program(shows_environment=True), environment=given))
        seen = dict(line.split("=", 1) for line in ran.stdout.decode().splitlines())
        assert {name: seen.get(name) for name in given} == given
        assert set(seen) - set(given) <= basic_environment
        assert b"sings-of-the-host" not in ran.stdout

    def test_the_bots_user_has_a_name_and_its_text_is_utf_8(self, engine: Engine, make_spec: MakeSpec) -> None:
        for given, wanted in (({}, "C.UTF-8"), ({"LANG": "C", "USER": "me"}, "C")):
            ran = run(engine, make_spec(Program(shows_environment=True), environment=given))
            seen = dict(line.split("=", 1) for line in ran.stdout.decode().splitlines())
            assert seen["LANG"] == wanted
            assert seen["LOGNAME"]
            assert seen["USER"] == given.get("USER", seen["LOGNAME"])

    def test_a_folder_for_secrets_is_there_and_the_bots_to_fill(
        self, engine: Engine, make_spec: MakeSpec, capabilities: EngineCapabilities
    ) -> None:
        if not capabilities.private_filesystem:
            pytest.skip("the bot sees the files of this machine, where its secrets are written for it")
        place = "/run/secrets"
        ran = run(engine, make_spec(Program(fills=place, stdout=b"filled"), secrets_target=place))
        assert (ran.status.exit_code, ran.stdout) == (0, b"filled")

    def test_what_waits_on_a_fifo_sees_what_is_written_after_its_start(
        self, engine: Engine, make_spec: MakeSpec
    ) -> None:
        spec = make_spec()
        needs(engine.prepare(spec.template, 1, timeout=CALL), "containers that wait")
        code, context = Path(spec.run.code), Path(spec.run.context)
        Path(spec.template.program, ENTRYPOINT_SCRIPT).write_text(WAITING)
        os.mkfifo(context / READY_FIFO)
        (context / READY_FIFO).chmod(0o644)
        container = engine.create(*spec, timeout=CALL)
        with engine.attach(container, timeout=CALL) as stream:
            engine.start(container, timeout=CALL)
            with bounded(lambda: (context / READY_FIFO).open("wb")):  # the program reads from then on
                (code / "late").write_bytes(b"code ")
                (context / "late").write_bytes(b"context ")
                Path(spec.run.result).write_bytes(b"result")
            assert drain(stream)[Stream.STDOUT] == b"code context result"
        assert ended(engine, container).exit_code == 0

    def test_capabilities_account_for_every_feature(self, capabilities: EngineCapabilities) -> None:
        assert capabilities.engine
        assert set(capabilities.missing) == set(Feature) - capabilities.enforced
        assert all(capabilities.missing.values()), "each missing feature has a reason"

    def test_an_image_that_is_there_is_named(self, engine: Engine, image: str) -> None:
        reports: list[PullProgress] = []
        info = engine.ensure_image(image, policy=PullPolicy.MISSING, timeout=CALL, progress=reports.append)
        assert info.reference == image
        assert {report.image for report in reports} <= {image}

    def test_an_absent_image_that_may_not_be_pulled_is_an_error(self, engine: Engine, absent_image: str | None) -> None:
        needs(absent_image is not None, "images")
        with pytest.raises(ImageError) as caught:
            engine.ensure_image(str(absent_image), policy=PullPolicy.NEVER, timeout=CALL)
        assert caught.value.image == absent_image


def needs(capability: object, name: str) -> None:
    """Skip the test if the engine says that it lacks something."""
    if not capability:
        pytest.skip(f"this engine has no {name}")


def lingering(engine: Engine, make_spec: MakeSpec) -> LogStream:
    """Return the stream of a container that has written all it will and goes on."""
    container = engine.create(*make_spec(Program(stdout=b"ready\n", forever=True)), timeout=CALL)
    stream = engine.attach(container, timeout=CALL)
    engine.start(container, timeout=CALL)
    read_until(stream, lambda written: written[Stream.STDOUT] == b"ready\n")
    return stream


def wait_readable(stream: LogStream) -> None:
    """Wait until the descriptor of a stream says that there is something; without one there is nothing to wait for."""
    if (descriptor := stream.fileno()) is not None:
        assert select.select([descriptor], [], [], DEADLINE)[0], "the descriptor never became readable"
