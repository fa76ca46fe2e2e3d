"""The result file, fetched however little is known of its container."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import (
    ContainerError,
)
from botdock.model import ContainerHandle
from botdock_engine_docker.engine import DockerEngine

CALL = 20.0


def inspected(status: str = "exited", **state: Any) -> dict[str, Any]:
    zero = "0001-01-01T00:00:00Z"
    return {
        "Id": "c1",
        "State": {"Status": status, "ExitCode": 0, "StartedAt": zero, "FinishedAt": zero, "Error": "", **state},
        "Mounts": [],
    }


class TestResult:
    def test_a_successor_finds_it_by_its_mount(self, fake_docker: Any, engine: DockerEngine, tmp_path: Path) -> None:
        (tmp_path / "r").write_bytes(b"12345")
        mounts = [
            {"Type": "bind", "Source": "/code", "RW": False},
            {"Type": "tmpfs", "Source": "", "RW": True},
            {"Type": "bind", "Source": str(tmp_path / "r"), "RW": True},
        ]
        fake_docker.says("GET", "/containers/c1/json", {**inspected(), "Mounts": mounts})
        assert engine.fetch_result(ContainerHandle(id="c1"), limit=3, timeout=CALL) == b"1234"

    def test_a_container_without_one_is_told_from_one_that_wrote_nothing(
        self, fake_docker: Any, engine: DockerEngine
    ) -> None:
        fake_docker.says("GET", "/containers/c1/json", inspected())
        with pytest.raises(ContainerError, match="it has no result file"):
            engine.fetch_result(ContainerHandle(id="c1"), limit=3, timeout=CALL)

    @pytest.mark.parametrize("kind", ["absent", "link", "folder", "fifo"])
    def test_what_is_no_file_of_ours_is_not_read(
        self, fake_docker: Any, engine: DockerEngine, tmp_path: Path, kind: str
    ) -> None:
        result = tmp_path / "result"
        make: dict[str, Callable[[], object]] = {
            "absent": lambda: None,
            "link": lambda: result.symlink_to("/etc/passwd"),
            "folder": result.mkdir,
            "fifo": lambda: os.mkfifo(result),
        }
        make[kind]()
        mount = {"Type": "bind", "Source": str(result), "RW": True}
        fake_docker.says("GET", "/containers/c1/json", {**inspected(), "Mounts": [mount]})
        with pytest.raises(ContainerError, match="cannot read the result file"):
            engine.fetch_result(ContainerHandle(id="c1"), limit=3, timeout=CALL)
