"""A supervisor that restarts real bots: what follows, what is told, and what is left."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from botdock import Executable
from botdock.config import Config, NotifyConfig, SupervisorConfig, document, to_toml
from botdock.executions import ExecutionRecord, Executions
from botdock.supervisor import Supervisor, submit
from botdock.supervisor._seat import HAND_OVER, ring
from testbed.waiting import until

PATIENCE = 120.0
SECRET = "s3cr3t-s3cr3t"


class Place:
    """A state folder with a supervisor over the process engine, a command and a webhook that are told."""

    def __init__(self, folder: Path, backoff: float) -> None:
        self.folder = folder
        self.posted: list[dict[str, Any]] = []
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        config = Config(
            engine="process",
            home=str(folder / "home"),
            supervisor=SupervisorConfig(backoff=backoff),
            notify=NotifyConfig(
                command=("/bin/sh", "-c", "cat >> told.jsonl; echo >> told.jsonl"),
                webhook=f"http://127.0.0.1:{self._server.server_port}/",
                interval=0.0,
            ),
        )
        self.config_file = folder / "mine.toml"
        self.config_file.write_text(to_toml(document(config, show_secrets=True)))
        self._supervisor = Supervisor(self.config_file)
        self._thread = threading.Thread(target=self._supervisor.run)
        self._thread.start()
        self.executions = Executions(config.home_dir)

    def bot(self, text: str) -> str:
        """Write the code of a bot, which any later start runs."""
        (self.folder / "bot").mkdir(exist_ok=True)
        (self.folder / "bot" / "main.sh").write_text(text)
        return str(self.folder / "bot")

    def start(self, code: str, restart: str) -> str:
        executable = Executable(id="sma", file_path=code, restart=restart, secrets={"KEY": SECRET})
        return submit(executable, config_file=self.config_file, spawn=False).execution_id

    def row(self) -> list[ExecutionRecord]:
        """Return all executions, the oldest first."""
        return list(reversed(self.executions.list()))

    def joined(self) -> None:
        """Wait until the supervisor has ended."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self._supervisor.hand_over()
        self.joined()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def place(quick_folder: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(quick_folder, getattr(request, "param", 0.05))
    yield made
    made.close()


def all_over(place: Place, count: int) -> Callable[[], bool]:
    return lambda: [bool(one.outcome) for one in place.row()] == [True] * count and not waiting(place)


def waiting(place: Place) -> list[Path]:
    return list((place.folder / "home" / "requests").glob("*.json"))


def test_a_bot_that_fails_is_restarted_so_often_and_its_operator_is_told(place: Place) -> None:
    first = place.start(place.bot('echo "with $KEY"; echo "$KEY" >&2; exit 3'), "on-failure:3")
    until(all_over(place, 4), timeout=PATIENCE)
    row = place.row()
    assert row[0].execution_id == first
    assert [one.previous for one in row] == ["", *(one.execution_id for one in row[:3])]
    assert [(one.restarts, one.outcome, one.exit_code) for one in row] == [(n, "failed", 3) for n in range(4)]
    for one in row:  # each has a log of its own, and the secret of the first
        assert [line.text for line in place.executions.logs(one.execution_id)][:1] == [f"with {'*' * len(SECRET)}"]
    place.close()
    kinds = ["outcome", "outcome", "outcome", "crash_loop", "outcome"]
    lines = (place.folder / "home" / "told.jsonl").read_text().splitlines()
    assert [one["kind"] for one in place.posted] == [json.loads(line)["kind"] for line in lines if line] == kinds
    assert "it is not restarted: it has been restarted 3 times in a row" in place.posted[-1]["message"]
    for path in place.folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_code_that_was_mended_is_a_new_generation_and_ends_the_crash_loop(place: Place) -> None:
    place.start(place.bot("exit 3"), "on-failure")
    until(lambda: len(place.row()) > 4, timeout=PATIENCE)
    assert any(one.is_crash_loop for one in place.row()[-1:]) or place.row()[-1].outcome
    place.bot("echo mended")
    until(lambda: place.row()[-1].outcome == "succeeded" and not waiting(place), timeout=PATIENCE)
    last = place.row()[-1]
    assert (last.generation, last.restarts, last.in_a_row) == (2, 0, 0)
    assert [one.generation for one in place.row()[:4]] == [1] * 4


@pytest.mark.parametrize("place", [600.0], indirect=True)
def test_a_bot_that_waits_for_its_restart_is_stopped_for_good(place: Place) -> None:
    place.start(place.bot("exit 3"), "always")
    until(lambda: place.row()[-1].state == "restarting", timeout=PATIENCE)
    place.executions.stop("sma", grace=0.1, timeout=PATIENCE)
    until(all_over(place, 2), timeout=PATIENCE)
    assert [one.outcome for one in place.row()] == ["failed", "stopped"]


def test_a_supervisor_whose_requests_are_removed_under_it_goes_on(place: Place) -> None:
    requests = place.folder / "home" / "requests"
    first = place.start(place.bot("sleep 300"), "no")
    until(lambda: place.row()[0].state == "running", timeout=PATIENCE)
    shutil.rmtree(requests)
    until((requests / "supervisor.sock").exists, timeout=PATIENCE)
    assert requests.stat().st_mode & 0o777 == 0o700
    second = place.start(place.bot("echo anew"), "no")
    assert place.executions.wait(second, timeout=PATIENCE).outcome == "succeeded"
    assert place.executions.stop(first, grace=0.1, timeout=PATIENCE).outcome == "stopped"
    ring(place.folder / "home", HAND_OVER)
    place.joined()
