"""The runner killed with SIGKILL, at random moments: its successor makes good what it left."""

from __future__ import annotations

import itertools
import json
import pickle
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock import Config, DockerRunner, Executable
from botdock.config import LoggingConfig
from botdock.model import Stream
from faults.log_bots import FLOOD_FOLDER, SMALL, Counts, flood_pieces, log_folder, stored_bytes, whole
from testbed.drills import SEED, count

KEPT = {"request.json", "events.jsonl", "result.json", "outcome.json", "logs"}
"""What the folder of an execution holds that is over."""
LONGEST_LIFE = 1.2
"""Seconds from a runner's first step to its death."""
LARGEST_LAST_LINE = 16_384
SETTINGS = {"bytes": 200_000, "line": 20, "longest": 40_000, "binary": True}
SLOW = """
import sys
import time

from flood import pieces


def main(id, config):
    for stream, piece in pieces(**config):
        output = getattr(sys, stream).buffer
        output.write(piece)
        output.flush()
        time.sleep(0.06)
    return {"seed": config["seed"]}
"""
"""Writes what the flood example does, within some seconds."""


class Drill:
    """Bots that live for some seconds, under runners that do not.

    Args:
        config: Of the runners.
        folder: For what the drill needs.
        seed: Decides when whom is killed.
    """

    def __init__(self, config: Config, folder: Path, seed: int) -> None:
        self.config = config
        self.folder = folder
        self.chance = random.Random(seed)
        self.kills = 0
        self.bots: dict[str, dict[str, Any]] = {}

    def bot(self) -> Executable:
        number = len(self.bots)
        settings = self._settings()
        folder = self.folder / f"bot-{number}"
        folder.mkdir()
        (folder / "flood.py").write_text((FLOOD_FOLDER / "main.py").read_text())
        (folder / "main.py").write_text(SLOW)
        made = Executable(
            id=f"bot-{number}",
            runtime="python311",
            file_path=str(folder),
            config=settings,
            limits=SMALL,
            timeout=120.0,
            persist_results=number % 2 == 0,
        )
        self.bots[made.id] = settings
        return made

    def _settings(self) -> dict[str, Any]:
        """Return what decides what a bot writes; the last line of no stream is one whose end Docker 20.10 forgets.

        Its log driver `local` drops the newline of a line of over 16,384 bytes, so that of a log that ends with such a
        line it cannot be told from it whether there was one.
        """
        while True:
            settings = {**SETTINGS, "seed": self.chance.randrange(2**32)}
            written = whole(flood_pieces(settings))
            if all(len(data.rpartition(b"\n")[2]) < LARGEST_LAST_LINE for data in written.values()):
                return settings

    def live(self, *executables: Executable, kill: bool) -> None:
        """Let a runner live, for a moment or to the end of all bots."""
        orders = self.folder / "orders"
        orders.write_bytes(pickle.dumps((self.config, executables)))
        program = Path(__file__).with_name("runner_program.py")
        with subprocess.Popen([sys.executable, str(program), str(orders)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            if kill:
                time.sleep(self.chance.uniform(0.0, LONGEST_LIFE))
                process.kill()
                self.kills += 1
            elif process.wait(120):
                pytest.fail("the last runner failed")

    def started(self) -> int:
        """Return how many bots wrote something."""
        logs = self.config.home_dir.glob("executions/*/logs")
        return sum(any(path.stat().st_size for path in folder.glob("index.*")) for folder in logs)

    def judge(self) -> Counts:
        """Count what is wrong with the records of all executions; print the counts, and fail if anything is."""
        counts, unborn, adopted = Counts(), 0, 0
        for folder in sorted((self.config.home_dir / "executions").iterdir()):
            if odd := {path.name for path in folder.iterdir()} - KEPT:
                counts.problems.append(f"{folder.name} still holds {sorted(odd)}")
            outcome = json.loads((folder / "outcome.json").read_text())
            adopted += outcome["evidence"].get("recovered", {}).get("times", 0)
            if outcome["outcome"] == "infrastructure_error" and "before the bot was started" in outcome["error"]:
                unborn += 1
            else:
                self._compare(counts, folder, outcome)
        counts.report(
            f"runners of {self.config.engine} killed", kills=self.kills, takeovers=adopted, never_started=unborn
        )
        return counts

    def _compare(self, counts: Counts, folder: Path, outcome: dict[str, Any]) -> None:
        what, settings = folder.name, self.bots[outcome["id"]]
        written = whole(flood_pieces(settings))
        counts.compare(what, written, stored_bytes(log_folder(self.config.home_dir, folder.name)))
        value = json.loads((folder / "result.json").read_text())["value"]
        known = (outcome["outcome"], outcome["exit_code"], value)
        if known != ("succeeded", 0, {"seed": settings["seed"]}):
            counts.problems.append(f"{what}: {known}, {outcome['error']}")
        log = outcome["log"]
        if not log["complete"] or log["gaps"] or log["bytes"] != sum(map(len, written.values())):
            counts.problems.append(f"{what}: {log}")
        if json.loads((folder / "request.json").read_text())["persist_results"]:
            stored = self._in_storage(outcome["id"], folder.name)
            if stored != written:
                counts.problems.append(
                    f"{what}: the storage has { ({name: len(data) for name, data in stored.items()}) }"
                )

    def _in_storage(self, bot: str, execution_id: str) -> dict[Stream, bytes]:
        (folder,) = self.folder.glob(f"storage/**/{bot}/{execution_id}")
        found = {}
        for stream in Stream:
            parts = (folder / f"{stream}.{number}" for number in itertools.count())
            found[stream] = b"".join(part.read_bytes() for part in itertools.takewhile(Path.exists, parts))
        return found


@pytest.mark.parametrize(
    ("engine", "kills"),
    [
        pytest.param("docker", count(50, 10), marks=pytest.mark.docker),
        ("oci", count(50, 5)),
        ("process", count(15, 8)),
    ],
)
def test_bots_end_as_if_their_runner_had_not_been_killed_again_and_again(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, kills: int
) -> None:
    home = str(tmp_path / "home")
    made = Config(engine=engine, home=home) if engine == "process" else request.getfixturevalue(f"{engine}_config")
    config = attrs.evolve(
        made,
        logging=LoggingConfig(segment_bytes=32 * 1024),
        options={**made.options, "local-fs": {"root": str(tmp_path / "storage")}},
    )
    drill = Drill(config, tmp_path, SEED)
    for life in range(kills):
        drill.live(*([drill.bot()] if life % 5 == 0 else []), kill=True)
    while drill.started() < kills // 8 and drill.kills < 2 * kills:  # on a busy machine, many die too soon
        drill.live(drill.bot(), kill=True)
    drill.live(drill.bot(), kill=False)
    counts = drill.judge()
    assert counts.runs >= kills // 8, "most bots were started before their runner was killed"
    with DockerRunner(config) as runner:
        assert runner.recover() == []
        assert runner.list_managed_containers() == []
    assert list(config.home_dir.glob("runners/*")) == []
