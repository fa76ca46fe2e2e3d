"""The section that says what waits for runs: the names of runtimes stand in it as its settings do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from botdock.config import Config, document, to_toml
from botdock.errors import ConfigError


def loaded(**pool: Any) -> Config:
    return Config.load(environ={}, overrides={"pool": pool})


def test_a_runtime_stands_beside_the_settings() -> None:
    pool = loaded(python311=4, bash=2, learn=3, max_memory="1GiB", max_age="10m").pool
    assert pool.sizes == {"python311": 4, "bash": 2}
    assert (pool.learn, pool.max_memory, pool.max_age) == (3, 1024**3, 600.0)


def test_what_is_shown_reads_as_what_was_said() -> None:
    config = loaded(python311=4)
    assert "[pool.sizes]\npython311 = 4" in to_toml(document(config))
    assert Config.load(environ={}, overrides=document(config)).pool == config.pool


def test_nothing_waits_unless_it_is_asked_for() -> None:
    assert Config.load(environ={}).pool.sizes == {}


@pytest.mark.parametrize(
    ("pool", "problem"),
    [
        ({"python311": -1}, "pool.sizes: python311: -1 must be 0 to"),
        ({"python311": "many"}, "pool.sizes.python311: must be a whole number"),
        ({"learn": -1}, "pool.learn: -1 must be 0 to"),
        ({"sizes": 4}, "pool.sizes: must be a table"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(pool: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        loaded(**pool)
