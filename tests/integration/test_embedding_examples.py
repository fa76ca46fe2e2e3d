"""The examples of programs that embed botdock: a web service under many clients, and a grid of backtests."""

from __future__ import annotations

import asyncio
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import attrs
import httpx2
import pytest

from testbed.waiting import until

EMBEDDING = Path(__file__).parents[2] / "examples/embedding"
README = EMBEDDING / "README.md"
CLIENTS = 50
PATIENCE = 60.0
"""Seconds in which anything happens, on any machine."""
ECHO = """
def main(id, config):
    count = 0
    with open(config["pipe"]) as pipe:
        for line in pipe:
            print(line, end="", flush=True)
            count += 1
    return count
"""


@attrs.define
class Reader:
    """One who follows a log, and goes on where the last connection broke."""

    url: str
    seen: list[tuple[str, str]] = attrs.field(factory=list)
    connected: bool = False
    outcome: str = ""

    async def follow(self, client: httpx2.AsyncClient, most: int | None = None) -> None:
        """Read until so many lines have been seen in all, until the end is told, or until the stream ends."""
        headers = {"Last-Event-ID": self.seen[-1][0]} if self.seen else {}
        async with client.stream("GET", self.url, headers=headers) as response:
            self.connected = response.status_code == 200
            event: dict[str, str] = {}
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif "event" in event:
                    self.outcome = json.loads(event["data"])
                elif event:
                    self.seen.append((event["id"], json.loads(event["data"])))
                event = event if line else {}
                if len(self.seen) == most:
                    break
        self.connected = False


@pytest.fixture
def environment(tmp_path: Path, clean_environment: dict[str, str]) -> dict[str, str]:
    return {**clean_environment, "HOME": str(tmp_path), "BOTDOCK_HOME": str(tmp_path / "state")}


@contextmanager
def service(tmp_path: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service until it has stopped, as it is told to in the block."""
    said = tmp_path / "service.log"
    command = [sys.executable, str(EMBEDDING / "service.py"), str(tmp_path / "bots"), "--engine", "process"]
    with said.open("wb") as log:
        process = subprocess.Popen([*command, "--port", "0"], cwd=tmp_path, env=environment, stderr=log, stdout=log)
    try:
        until(lambda: b"running on" in said.read_bytes() or process.poll() is not None, timeout=PATIENCE)
        yield process
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
        print(said.read_text())
    assert "Application shutdown complete" in said.read_text()
    assert "Traceback" not in said.read_text()


def address(tmp_path: Path) -> str:
    found = re.search(r"running on (http://\S+)", (tmp_path / "service.log").read_text())
    assert found
    return found[1]


class Feed:
    """What the bot reads: lines that are there whether it reads now or later."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.lines: list[str] = []
        self._file = os.open(path, os.O_RDWR)

    def write(self, count: int) -> None:
        for _ in range(count):
            self.lines.append(f"line {len(self.lines)}")
            os.write(self._file, f"{self.lines[-1]}\n".encode())

    def close(self) -> None:
        os.close(self._file)


def client(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, timeout=PATIENCE, limits=httpx2.Limits(max_connections=None))


async def start(there: httpx2.AsyncClient, pipe: Path) -> str:
    started = await there.post("/executions", json={"bot": "echo", "config": {"pipe": str(pipe)}})
    assert started.status_code == 201, started.text
    return str(started.json()["execution_id"])


async def come_and_go(url: str, feed: Feed) -> list[Reader]:
    """Start a bot, and follow its log by many clients that leave after some lines each, while it goes on writing."""
    async with client(url) as there:
        execution_id = await start(there, feed.path)
        readers = [Reader(f"/executions/{execution_id}/log") for _ in range(CLIENTS)]
        feed.write(6)

        async def read(reader: Reader, steps: int) -> None:
            while len(reader.seen) < 12:
                await reader.follow(there, min(len(reader.seen) + steps, 12))
                if len(reader.seen) >= 6 and len(feed.lines) == 6:
                    feed.write(6)

        await asyncio.gather(*(read(reader, 4 + number % 5) for number, reader in enumerate(readers)))
    return readers


async def wait_for_its_stop(url: str, readers: list[Reader], stop: Callable[[], None]) -> None:
    """Have all clients follow, then stop the service: all streams end, and none of them says that the bot has."""
    async with client(url) as there:
        following = asyncio.gather(*(reader.follow(there) for reader in readers))
        await asyncio.to_thread(until, lambda: all(reader.connected for reader in readers), timeout=PATIENCE)
        stop()
        await following
    assert {reader.outcome for reader in readers} == {""}


async def read_to_the_end(url: str, readers: list[Reader], feed: Feed) -> None:
    """Follow what the service has taken over, to its end; ask for the result, for past ones, and for a stop."""
    async with client(url) as there:
        following = asyncio.gather(*(reader.follow(there) for reader in readers))
        feed.write(3)
        first = readers[0]
        await asyncio.to_thread(until, lambda: len(first.seen) == len(feed.lines), timeout=PATIENCE)
        feed.close()
        await following
        ended = (await there.get(first.url.removesuffix("/log"))).json()
        assert (ended["outcome"], ended["value"]) == ("succeeded", len(feed.lines))
        other = await start(there, feed.path)
        assert (await there.delete(f"/executions/{other}")).status_code == 202
        stopped = Reader(f"/executions/{other}/log")
        await stopped.follow(there)
        assert stopped.outcome == "stopped"
        past = (await there.get("/executions", params={"limit": 5})).json()
        assert [(record["execution_id"], record["outcome"]) for record in past] == [
            (other, "stopped"),
            (ended["execution_id"], "succeeded"),
        ]
        late = Reader(first.url)
        await late.follow(there)
        assert (late.seen, late.outcome) == (first.seen, "succeeded")
        assert (await there.get("/executions/nothing/log")).status_code == 404
        assert (await there.get(first.url, headers={"Last-Event-ID": "nowhere"})).status_code == 400
        assert (await there.post("/executions", json={"bot": "../echo"})).status_code == 400
        await ask_as_shown(there)


async def ask_as_shown(there: httpx2.AsyncClient) -> None:
    shown = re.findall(r"^\$ curl localhost:8000(\S+)(?: --json '(.*)')?$", README.read_text(), re.MULTILINE)
    (begin, order), *questions = shown
    started = await there.post(begin, json=json.loads(order))
    answers = [await there.get(path.replace("ID", started.json()["execution_id"])) for path, _ in questions]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert "hello Ada" in answers[0].text


def test_clients_of_the_service_read_each_line_once_over_its_restart(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    shutil.copytree(EMBEDDING.parent / "hello-python", tmp_path / "bots/hello-python")
    (tmp_path / "bots/echo").mkdir()
    (tmp_path / "bots/echo/main.py").write_text(ECHO)
    feed = Feed(tmp_path / "feed")
    with service(tmp_path, environment) as process:
        url = address(tmp_path)
        readers = asyncio.run(come_and_go(url, feed))
        asyncio.run(wait_for_its_stop(url, readers, process.terminate))
    feed.write(3)  # the bot goes on
    with service(tmp_path, environment) as process:
        asyncio.run(read_to_the_end(address(tmp_path), readers, feed))
        process.terminate()
    assert [[text for _, text in reader.seen] for reader in readers] == [feed.lines] * CLIENTS
    assert {reader.outcome for reader in readers} == {"succeeded"}


@pytest.mark.node
def test_one_bot_is_run_and_another_watched(tmp_path: Path, environment: dict[str, str]) -> None:
    done = run("run_bot.py", tmp_path, environment)
    assert done.stdout.splitlines()[0] == "succeeded 0 {'greeting': 'hello Ada'}"
    assert done.stdout.splitlines()[-1] == "stopped"


def run(name: str, tmp_path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EMBEDDING / name), "process"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=4 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_grid_is_backtested_and_drawn(tmp_path: Path, environment: dict[str, str]) -> None:
    done = run("grid.py", tmp_path, environment)
    backtest = runpy.run_path(str(EMBEDDING.parent / "sma-crossover/backtest.py"))["main"]
    grid = [(fast, slow) for fast in (5, 10, 15, 20) for slow in (30, 40, 50, 60, 80)]
    expected = {pair: backtest("bot", {"fast": pair[0], "slow": pair[1]})["metrics"]["sharpe"] for pair in grid}
    fast, slow = max(grid, key=expected.__getitem__)
    assert f"best of 20: fast {fast}, slow {slow}, with a Sharpe ratio of {expected[fast, slow]:.2f}" in done.stdout
    assert "20 of 20" in done.stderr
    picture = ElementTree.parse(tmp_path / "grid.svg").getroot()
    told = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert told[:20] == [f"{sharpe:.2f}" for sharpe in expected.values()]
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}rect"))) == 20
