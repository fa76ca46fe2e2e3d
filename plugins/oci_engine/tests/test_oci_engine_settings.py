"""The settings of the engine, and what is wrong with them."""

from __future__ import annotations

import pytest

from botdock.errors import ConfigError
from botdock_engine_oci.settings import OciSettings


@pytest.mark.parametrize(
    "fields",
    [
        {"runtime": "crun"},
        {"runtime": "/usr/local/bin/youki"},
        {"rootfs": "/srv/bots"},
        {"rootfs": "image"},
        {"users": "1000:1"},
    ],
)
def test_what_can_be_set(fields: dict[str, str]) -> None:
    assert OciSettings(**fields)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"runtime": "docker"}, "must be crun or runc"),
        ({"rootfs": "bots"}, "must be 'host', 'image', or the path of a folder"),
        ({"rootfs": "/"}, "must be 'host', 'image', or the path of a folder"),
        ({"users": "0:10"}, "of 1000 to"),
        ({"users": "65000:1000"}, "without 65534"),
        ({"users": "all"}, "must be 'first:count'"),
    ],
)
def test_what_is_wrong_is_told(fields: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        OciSettings(**fields)
