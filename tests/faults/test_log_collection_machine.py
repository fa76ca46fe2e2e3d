"""Whatever happens to a stream, an engine or a collector, the log holds what one uncut run would have stored."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from botdock.config import LoggingConfig
from botdock.model import (
    GapReason,
    LogCursor,
    LogGap,
    LogSource,
    LogStream,
    Stream,
)
from botdock.services.log_store import LogWriter, StoredLog
from botdock.services.log_store.layout import data_name, index_name, newest_segment
from botdock.services.logs import LogCollector
from botdock_testing import FakeEngine
from botdock_testing.engine import asked
from botdock_testing.script import Script
from testbed.drills import threaded_machine

DEADLINE = 30.0
CONFIG = LoggingConfig(segment_bytes=4096, sync_interval=0.01, drain_timeout=DEADLINE)
SECRETS = (b"abca", b"bc\n")
SPEC = asked(name="bot")
STREAMS = st.sampled_from(list(Stream))
DATA = st.one_of(
    st.binary(min_size=1, max_size=30),
    st.text("abc\n\0", min_size=1, max_size=30).map(str.encode),
    st.builds(lambda data, times: data * times, st.binary(min_size=1, max_size=9), st.integers(1, 900)),
)


def masked(data: bytes) -> bytes:
    """Say again, in one line, what masking is."""
    pattern = b"|".join(map(re.escape, sorted(SECRETS, key=len, reverse=True)))
    return re.sub(pattern, lambda found: b"*" * len(found[0]), data)


class Model:
    """What one stream should hold: regions of what was written, with gaps between.

    Attributes:
        written: All that the bot wrote.
        begin: Where in it the newest region begins.
        done: What is stored of the regions before.
        gaps: What lies between them; None for what cannot be counted.
        uncounted: How many bytes the latter are.
    """

    def __init__(self) -> None:
        self.written = b""
        self.begin = 0
        self.done = b""
        self.gaps: tuple[int | None, ...] = ()
        self.uncounted = 0
        self._before: tuple[int, bytes, tuple[int | None, ...], int, int] | None = None

    def lose(self, stored: int, forgotten: int, *, known: bool) -> None:
        """Collection goes on at the cursor `stored`, and the engine has forgotten up to `forgotten`."""
        self._undo_what_was_not_found(stored)
        place = stored + self.uncounted
        if forgotten <= place:
            return
        self._before = (self.begin, self.done, self.gaps, self.uncounted, stored)
        self.done += masked(self.written[self.begin :])[: place - self.begin]
        self.begin = forgotten
        self.gaps += (forgotten - place if known else None,)
        self.uncounted += 0 if known else forgotten - place

    def _undo_what_was_not_found(self, stored: int) -> None:
        """Forget the last gap if the one who was to find it did not get so far."""
        if self._before and self._before[-1] == stored:
            self.begin, self.done, self.gaps, self.uncounted, _ = self._before

    @property
    def content(self) -> bytes:
        most_of_one = rb"(?:abc|bc)\Z"  # of a secret, at the end
        last = masked(self.written[self.begin :])
        return self.done + re.sub(most_of_one, lambda found: b"*" * len(found[0]), last)


class CollectionMachine(RuleBasedStateMachine):
    """A bot that writes, streams that break, engines that restart and forget, collectors that die and are followed."""

    @initialize(retain=st.sampled_from([None, None, 100, 9000]), has_fileno=st.booleans())
    def begin(self, retain: int | None, has_fileno: bool) -> None:
        self.folder = TemporaryDirectory()
        self.generation = 0
        self.retain = retain
        self.engine = FakeEngine(Script(forever=True), has_fileno=has_fileno)
        self.container = self.engine.create(*SPEC, timeout=1)
        self.engine.start(self.container, timeout=1)
        self.models = {stream: Model() for stream in Stream}
        self.forgotten = dict.fromkeys(Stream, (0, True))
        self.handed_on: list[int] = []
        self.collector: LogCollector | None = None
        self.take_over()

    @property
    def directory(self) -> Path:
        return Path(self.folder.name) / str(self.generation)

    @property
    def is_up(self) -> bool:
        return getattr(self, "collector", None) is not None

    def reopen(self, cursor: LogCursor) -> LogStream:
        return self.engine.read_logs(self.container, cursor=cursor, follow=True, timeout=1)

    @precondition(lambda self: not self.is_up)
    @rule()
    def take_over(self) -> None:
        writer = LogWriter(self.directory)
        cursor = writer.cursor
        writer.close()
        for stream, (size, known) in self.forgotten.items():
            stored = cursor.stdout if stream is Stream.STDOUT else cursor.stderr
            self.models[stream].lose(stored, size, known=known)
        self.collector = LogCollector(CONFIG, reconnect_timeout=DEADLINE)
        self.collector.start_collection(
            None,
            self.directory,
            source=LogSource(execution_id="01", id="bot", runtime="bash"),
            limit=None,
            retain=self.retain,
            secrets=SECRETS,
            on_segment=self.handed_on.append,
            reopen=self.reopen,
        )

    @rule(stream=STREAMS, data=DATA)
    def write(self, stream: Stream, data: bytes) -> None:
        self.models[stream].written += data
        self.engine.emit(self.container.id, data, stream)

    @rule(pairs=st.lists(st.tuples(STREAMS, st.binary(min_size=1, max_size=2)), min_size=60, max_size=90))
    def write_in_turn(self, pairs: list[tuple[Stream, bytes]]) -> None:
        for stream, data in pairs:
            self.write(stream, data)

    @rule(after=st.integers(0, 500), times=st.integers(1, 3))
    def cut_the_next_streams(self, after: int, times: int) -> None:
        self.engine.break_stream(after, times=times)

    @rule(calls=st.integers(0, 3))
    def restart_the_engine(self, calls: int) -> None:
        self.engine.restart(calls=calls)

    @precondition(lambda self: self.is_up)
    @rule()
    def catch_up(self) -> None:
        """Wait until all is stored that can be known to be the bot's."""
        assert self.collector is not None
        collection = self.collector._collection("01")
        expected = sum(len(model.content) for model in self.models.values())
        seen, deadline = -1, time.monotonic() + DEADLINE
        while collection.writer.whole().bytes < expected - self.held_back():
            seen, ended = collection.wait_progress(seen, 0.05)
            assert not ended, collection.status().error
            assert time.monotonic() < deadline

    @staticmethod
    def held_back() -> int:
        """Return how many bytes may be held back because secrets may begin with them."""
        return 2 * (max(map(len, SECRETS)) - 1)

    @precondition(lambda self: self.is_up)
    @rule()
    def hand_over(self) -> None:
        assert self.collector is not None
        self.collector.close()
        self.collector = None

    @precondition(lambda self: self.is_up)
    @rule(stream=STREAMS, torn=st.binary(max_size=50), half=st.binary(max_size=19))
    def kill(self, stream: Stream, torn: bytes, half: bytes) -> None:
        """Take the files as SIGKILL leaves them: bytes without their record, and a record that is half there."""
        assert self.collector is not None
        collection, following = self.collector._collection("01"), Path(self.folder.name) / str(self.generation + 1)
        with collection._storing, collection.segments.changed:
            assert collection.segments.changed.wait_for(lambda: not collection.segments.compressing, DEADLINE)
            shutil.copytree(self.directory, following)
        self.collector.close()
        self.collector = None
        self.generation += 1
        if (newest := newest_segment(following)) is not None:
            append(following / data_name(stream, newest), torn)
            append(following / index_name(newest), half)

    @precondition(lambda self: not self.is_up and self.retain is None)
    @rule(stream=STREAMS, size=st.integers(0, 3000), known=st.booleans())
    def forget(self, stream: Stream, size: int, known: bool) -> None:
        size = min(size, len(self.models[stream].written))
        if size > self.forgotten[stream][0]:
            self.forgotten[stream] = size, known
            self.engine.lose(self.container.id, stream, size, known=known)

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        with self.folder:
            if self.collector is None:
                self.take_over()
            self.engine.finish(self.container.id)
            try:
                self.check()
            finally:
                assert self.collector is not None
                self.collector.close()

    def check(self) -> None:
        assert self.collector is not None
        assert self.collector.wait_drained("01", DEADLINE), self.collector.get_collection_status("01")
        summary = self.collector.stop_collection("01")
        assert summary.complete, self.collector.get_collection_status("01")
        entries = list(StoredLog(self.directory).entries())
        gaps = [entry for entry in entries if isinstance(entry, LogGap)]
        kept = dict.fromkeys(Stream, b"")
        for entry in entries:
            if not isinstance(entry, LogGap):
                kept[entry.stream] += entry.data
        removed = {gap.stream: gap.size or 0 for gap in gaps if gap.reason is GapReason.REMOVED}
        for stream, model in self.models.items():
            assert kept[stream] == model.content[removed.get(stream, 0) :]
            assert [gap.size for gap in gaps if gap.stream is stream and gap.reason is GapReason.LOST] == list(
                model.gaps
            )
            assert summary.streams[stream]["sha256"] == hashlib.sha256(kept[stream]).hexdigest()
        assert summary.bytes == sum(map(len, kept.values()))
        assert summary.removed_bytes == sum(removed.values())
        assert summary.gaps == sum(len(model.gaps) for model in self.models.values())
        if self.retain is None:
            assert set(self.handed_on) >= set(range(summary.segments - 1))
        else:
            assert summary.bytes <= self.retain + 9 * 900


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


TestLogCollection = CollectionMachine.TestCase
TestLogCollection.settings = threaded_machine(40, 15, steps=25)
