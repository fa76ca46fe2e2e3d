"""The streams of logs cut again and again, by a proxy before the daemon, wherever chance has it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import count as count_from
from itertools import islice
from pathlib import Path

import pytest

from botdock import Config, DockerRunner, Outcome
from botdock.config import ContainersConfig
from faults.log_bots import Counts, flood_pieces, log_folder, slow_bot, stored_bytes, whole
from testbed.drills import SEED, count
from testbed.stream_proxy import StreamProxy

pytestmark = pytest.mark.docker

AT_ONCE = 5
MOST_BATCHES = 20
CUTS = count(100, 15)
SIZE = 1024 * 1024
FULL_ENTRY = 16_384
"""Of an unterminated last line that is longer, Docker 20.10 does not tell whether the bot ended it."""


@pytest.fixture
def proxy(docker_host: str) -> Iterator[StreamProxy]:
    if not docker_host.startswith("unix://"):
        pytest.skip("the proxy stands before a daemon's Unix socket, and this Docker has none")
    with (
        tempfile.TemporaryDirectory(prefix="bd-") as folder,
        closing(StreamProxy(Path(docker_host.removeprefix("unix://")), Path(folder))) as made,
    ):
        yield made


def floods() -> Iterator[Mapping[str, int]]:
    """Yield configurations of the flood whose last lines can be told."""
    for seed in count_from(SEED):
        flood = {"seed": seed, "bytes": SIZE, "longest": 200_000}
        if all(len(data.rpartition(b"\n")[2]) < FULL_ENTRY for data in whole(flood_pieces(flood)).values()):
            yield flood


def test_not_a_byte_is_lost_or_doubled_by_cuts(
    proxy: StreamProxy, make_docker_config: Callable[..., Config], tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    # a log is read from its beginning again, so some cuts come before there is anything new
    proxy.cut(r"/containers/\w+/(attach|logs)", (chance.randint(0, SIZE // 2) for _ in range(CUTS)))
    counts, chosen = Counts(), floods()
    config = make_docker_config(host=proxy.host, containers=ContainersConfig(reconnect_timeout=60.0))
    with DockerRunner(config) as runner:
        for batch in range(MOST_BATCHES):
            run_some(runner, counts, list(islice(chosen, AT_ONCE)), tmp_path / str(batch))
            if proxy.cuts == CUTS:
                break
    assert proxy.cuts == CUTS
    counts.report("streams cut at random places", cuts=proxy.cuts)


def run_some(runner: DockerRunner, counts: Counts, chosen: list[Mapping[str, int]], folder: Path) -> None:
    executions = [runner.start(slow_bot(folder / str(one["seed"]), one, pause=0.005)) for one in chosen]
    for flood, execution in zip(chosen, executions, strict=True):
        result = execution.wait(timeout=180)
        assert result is not None, f"{flood} did not end"
        assert result.outcome is Outcome.SUCCEEDED, (flood, result.outcome, result.error)
        written = whole(flood_pieces(flood))
        stored = stored_bytes(log_folder(runner.config.home_dir, execution.execution_id))
        counts.compare(f"{flood}", written, stored)
        counts.check_summary(f"{flood}", result, written)
