"""How much of a drill is done: all of it in `make drills`, and a sample in `make test`, another one each time.

`DRILLS=full` asks for all of it, and `DRILLS_SEED=N` for the sample of a session whose header says N.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

FULL = os.environ.get("DRILLS") == "full"
SEED = int(os.environ.setdefault("DRILLS_SEED", str(random.randrange(2**32))))  # workers and programs have the same


def count(full: int, small: int) -> int:
    """Return how often something is done."""
    return full if FULL else small


def lines(share: int) -> Iterator[int]:
    """Yield, without end, the numbers of the lines at which something is tried: each, or by chance one of `share`."""
    chance, number = random.Random(SEED), 0
    while True:
        number += chance.randint(1, count(1, 2 * share - 1))
        yield number


def threaded_machine(full: int, small: int, *, steps: int) -> settings:
    """Return the settings of a state machine with threads of its own: no failure of those shrinks in time."""
    return settings(
        max_examples=count(full, small),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def pytest_configure() -> None:
    """Let a property be tried with fewer examples in a sample, and in no time in particular: machines are busy."""
    settings.register_profile("botdock", deadline=None, max_examples=count(100, 30))
    settings.load_profile("botdock")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, unless all is asked for, what is marked `sampled(share)`: all but one of `share` tests, by chance."""

    def is_left_out(item: pytest.Item) -> bool:
        marker = item.get_closest_marker("sampled")
        return marker is not None and bool(random.Random(f"{SEED} {item.nodeid}").randrange(count(1, *marker.args)))

    left_out = list(filter(is_left_out, items))
    if left_out and len(items) > 1:  # a test that is named is run
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_report_header() -> str:
    """Say how to repeat the session."""
    return f"drills: {'full' if FULL else 'a sample'}, DRILLS_SEED={SEED}"
