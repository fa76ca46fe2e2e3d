"""Bots that write a known stream and end at once: every byte is there, once, in its order, and proved by its hash."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from botdock import DockerRunner, Executable, Outcome
from botdock.model import Stream
from faults.log_bots import Counts, cat_bot, differing, flood_bot, flood_pieces, log_folder, stored_bytes, whole
from testbed.drills import SEED, count

RUNS = {"docker": count(500, 12), "oci": count(500, 8)}
AT_ONCE = 4
MIB = 1024 * 1024


def test_a_drill_would_see_what_is_missing_and_what_is_doubled() -> None:
    assert differing(b"0123456789", b"0123456789") == (0, 0)
    assert differing(b"0123456789", b"01236789") == (2, 0)
    assert differing(b"0123456789", b"01234545456789") == (0, 4)
    assert differing(b"0123456789", b"0123x56789") == (1, 1)
    assert differing(b"0123456789", b"01234567") == (2, 0)
    written = {Stream.STDOUT: b"a\nb", Stream.STDERR: b""}
    counts = Counts()
    counts.compare("a run", written, {**written, Stream.STDOUT: b"a\n"})
    with pytest.raises(AssertionError, match="stdout has lost 1 bytes"):
        counts.report("a drill")


def shape(seed: int) -> dict[str, Any]:
    """Return what the bot of a seed writes: mostly some KiB, sometimes lines of up to 1 MiB, sometimes nothing."""
    chance = random.Random(seed)
    kind = chance.random()
    if kind < 0.05:
        return {"seed": seed, "bytes": 0}
    if kind < 0.08:
        return {"seed": seed, "bytes": 2 * MIB, "line": 100_000, "longest": MIB, "binary": True}
    return {"seed": seed, "bytes": chance.randint(1, 40_000), "line": chance.choice((0, 1, 40, 5000)), "binary": True}


def bot_of(seed: int, folder: Path) -> Executable:
    """Return the bot of a seed: one in five is Python's, the others do nothing but write and are gone."""
    if seed % 5 == 0:
        return flood_bot(shape(seed), id=f"flood-{seed}")
    return cat_bot(folder / f"cat-{seed}", flood_pieces(shape(seed)), id=f"cat-{seed}")


@pytest.mark.parametrize("engine", [pytest.param("docker", marks=pytest.mark.docker), "oci"])
def test_not_a_byte_is_missing_or_doubled_in_hundreds_of_runs(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    counts = Counts()
    with DockerRunner(request.getfixturevalue(f"{engine}_config")) as runner:

        def run(seed: int) -> None:
            result = runner.run(bot_of(seed, tmp_path))
            written = whole(flood_pieces(shape(seed)))
            what = f"seed {seed}"
            if result.outcome is not Outcome.SUCCEEDED:
                counts.problems.append(f"{what}: {result.outcome}: {result.error}")
            counts.compare(what, written, stored_bytes(log_folder(runner.config.home_dir, result.execution_id)))
            counts.check_summary(what, result, written)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(run, range(SEED, SEED + RUNS[engine])))
        assert runner.list_managed_containers() == []
    assert counts.runs == RUNS[engine]
    counts.report(f"bots of {engine} that end at once")
