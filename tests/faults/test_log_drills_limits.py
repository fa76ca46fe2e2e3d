"""What is kept of a log that is larger than it may be, and what is hidden in it."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import pytest

from botdock import Config, DockerRunner, Executable, ExecutionResult, Outcome
from botdock.config import LoggingConfig
from botdock.model import LogChunk, LogGap, LogLine, Stream
from botdock.model.logs import GapReason
from botdock.services.log_store import StoredLog
from faults.log_bots import SMALL, Counts, flood_bot, flood_pieces, log_folder, proof, slow_bot, stored_bytes, whole
from testbed.waiting import until

pytestmark = pytest.mark.docker

KIB = 1024
MIB = 1024 * KIB
FLOOD = {"seed": 8, "bytes": 3 * MIB, "binary": True}
SECRET = "canary-secret-of-a-bot"
TELLTALE = """
import os, sys, time

def main(id, config):
    secret = os.environ["API_KEY"]
    for stream in (sys.stdout, sys.stderr):
        print("whole:", secret, "twice:", secret, file=stream)
        for at in range(1, len(secret)):  # the runner reads a piece before it gets the next one
            print("split:", end=" ", file=stream)
            for part in (secret[:at], secret[at:]):
                print(part, end="", file=stream)
                stream.flush()
                time.sleep(0.02)
            print(file=stream)
        print("not whole:", secret[:-1], end="", file=stream)
    return "said it"
"""


@pytest.fixture(params=["docker", "process"])
def make_config(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Config]:
    """Return what makes configurations for an engine that bounds a log in its own way."""
    if request.param == "docker":
        made: Callable[..., Config] = request.getfixturevalue("make_docker_config")
        return made
    return partial(Config, engine="process", home=str(tmp_path / "home"))


def test_head_and_tail_are_kept_of_a_log_that_goes_over_its_limit(make_config: Callable[..., Config]) -> None:
    tail = 4 * KIB  # less than a pipe holds: however soon the bot is killed, more than that comes behind the limit
    config = make_config(logging=LoggingConfig(output_tail=tail))
    written = whole(flood_pieces(FLOOD))
    with DockerRunner(config) as runner:
        result = runner.run(flood_bot(FLOOD, limits=attrs.evolve(SMALL, output=MIB)))
        folder = log_folder(config.home_dir, result.execution_id)
    assert result.outcome is Outcome.OUTPUT_LIMIT, (result.outcome, result.error)
    assert result.log.complete
    assert MIB < result.log.bytes <= MIB + tail + 3  # a character that lies where the end begins is kept as a whole
    gaps = check_places(folder, written)
    assert {gap.reason for gap in gaps} == {GapReason.LIMIT}
    assert (result.log.gaps, result.log.gap_bytes) == (len(gaps), sum(gap.size or 0 for gap in gaps))
    check_hashes(folder, result)
    print(f"\na log over its limit: {result.log.bytes} bytes kept, {result.log.gap_bytes} left out and counted")


def test_the_newest_segments_are_kept_of_a_long_running_bot(make_config: Callable[..., Config]) -> None:
    config = make_config()
    written = whole(flood_pieces(FLOOD))
    with DockerRunner(config) as runner:
        limits = attrs.evolve(SMALL, output=512 * KIB)
        result = runner.run(flood_bot(FLOOD, is_long_running=True, limits=limits))
        folder = log_folder(config.home_dir, result.execution_id)
    log = result.log
    assert result.outcome is Outcome.SUCCEEDED, (result.outcome, result.error)
    assert log.complete
    assert 128 * KIB < log.bytes <= 512 * KIB
    assert log.bytes + log.removed_bytes == sum(map(len, written.values()))
    assert log.removed_lines == sum(data.count(b"\n") for data in written.values()) - newlines(stored_bytes(folder))
    gaps = check_places(folder, written)
    assert {gap.reason for gap in gaps} == {GapReason.REMOVED}
    assert sum(gap.size or 0 for gap in gaps) == log.removed_bytes
    check_hashes(folder, result)
    assert not list(folder.glob(f"stdout.{log.removed_segments - 1}*"))
    print(f"\nretention: {log.bytes} bytes kept, {log.removed_bytes} removed in {log.removed_segments} segments")


def test_segments_that_are_closed_are_compressed_and_say_the_same(
    make_docker_config: Callable[..., Config], tmp_path: Path
) -> None:
    config = make_docker_config(logging=LoggingConfig(segment_bytes=256 * KIB))
    written = whole(flood_pieces(FLOOD))
    counts = Counts()
    with DockerRunner(config) as runner:
        execution = runner.start(slow_bot(tmp_path / "code", FLOOD, pause=0.005, stays=True))
        folder = log_folder(config.home_dir, execution.execution_id)
        until(lambda: len(list(folder.glob("stdout.*.gz"))) >= 8, timeout=120)
        until(lambda: stored_bytes(folder) == written, timeout=120)
        execution.stop()
        result = execution.wait(timeout=60)
        assert result is not None
        counts.compare("while some are compressed", written, stored_bytes(folder))
    counts.check_summary("compressed", result, written)
    counts.compare("compressed", written, stored_bytes(folder))
    packed = {int(path.name.split(".")[1]): path for path in folder.glob("stdout.*.gz")}
    assert len(packed) >= 8, sorted(path.name for path in folder.iterdir())
    assert result.log.segments - 1 not in packed, "the newest never is"
    parts = [packed.get(number, folder / f"stdout.{number}") for number in range(result.log.segments)]
    assert b"".join(map(plain, parts)) == written[Stream.STDOUT]
    counts.report("compression", segments=result.log.segments, compressed=len(packed))


def test_a_secret_is_masked_wherever_the_stream_cuts_it(
    make_docker_config: Callable[..., Config], tmp_path: Path
) -> None:
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot/main.py").write_text(TELLTALE)
    bot = Executable(id="telltale", runtime="python311", file_path=str(tmp_path / "bot"), secrets={"API_KEY": SECRET})
    config = make_docker_config(logging=LoggingConfig(segment_bytes=4 * KIB))
    with DockerRunner(config) as runner:
        execution = runner.start(bot)
        shown = b"\n".join(line.data for line in execution.logs(follow=True) if isinstance(line, LogLine))
        result = execution.wait(timeout=60)
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED, result.error
    said = spoken()
    torn = SECRET[:-1].encode()  # at the end, and more than half of one
    hidden = said.removesuffix(torn).replace(SECRET.encode(), b"*" * len(SECRET)) + b"*" * len(torn)
    folder = log_folder(config.home_dir, result.execution_id)
    assert stored_bytes(folder) == dict.fromkeys(Stream, hidden)
    assert result.log.masked == 2 * (said.count(SECRET.encode()) + 1)
    assert result.log.streams["stdout"] == result.log.streams["stderr"] == proof(hidden)
    assert SECRET not in shown.decode() + result.output + repr(result) + by_command(config, result.execution_id)
    assert files_with(config.home_dir, SECRET.encode()) == []
    print(f"\nmasking: {result.log.masked} secrets masked, none left")


def spoken() -> bytes:
    """Return what the telltale writes to each stream."""
    lines = [f"whole: {SECRET} twice: {SECRET}\n", *[f"split: {SECRET}\n"] * (len(SECRET) - 1)]
    return ("".join(lines) + f"not whole: {SECRET[:-1]}").encode()


def by_command(config: Config, execution_id: str) -> str:
    command = [str(Path(sys.executable).with_name("botdock")), "logs", "--raw", execution_id]
    environment = {"BOTDOCK_HOME": str(config.home_dir), "PATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "not whole" in done.stdout
    return done.stdout + done.stderr


def files_with(folder: Path, secret: bytes) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if secret in plain(path)]


def plain(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def newlines(stored: dict[Stream, bytes]) -> int:
    return sum(data.count(b"\n") for data in stored.values())


def check_places(folder: Path, written: dict[Stream, bytes]) -> list[LogGap]:
    """Check that each stored byte is the one that was written at its place, gaps counted; return the gaps."""
    places, gaps = dict.fromkeys(Stream, 0), []
    for entry in StoredLog(folder).entries():
        at = places[entry.stream]
        if isinstance(entry, LogChunk):
            assert written[entry.stream][at : at + len(entry.data)] == entry.data, (entry.stream, at)
            places[entry.stream] += len(entry.data)
        else:
            assert entry.size is not None
            places[entry.stream] += entry.size
            gaps.append(entry)
    return gaps


def check_hashes(folder: Path, result: ExecutionResult) -> None:
    for stream, data in stored_bytes(folder).items():
        counts = result.log.streams[stream.value]
        assert (counts["bytes"], counts["sha256"]) == (len(data), proof(data)["sha256"])
