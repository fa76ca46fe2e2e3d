"""Twenty bots at once, and two hundred in drills, each with its own answer; nothing of them is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botdock import DockerRunner, Executable, ExecutionResult, Limits, Outcome
from botdock_engine_oci.cgroups import folders_of
from testbed.drills import count
from testbed.processes import read_or_empty
from testbed.waiting import until

MakeBot = Callable[..., Executable]

AT_ONCE = count(200, 20)
SOURCE = """
def main(id, config):
    print("line of", config["number"])
    return {"number": config["number"]}
"""


def test_many_runs_at_once(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    small = Limits(memory=64 * 1024 * 1024)
    bots = [make_bot(SOURCE, id=f"bot-{n}", config={"number": n}, limits=small, timeout=300.0) for n in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        results = list(threads.map(contained_runner.run, bots))
    assert [problem(number, result) for number, result in enumerate(results) if problem(number, result)] == []
    assert len({result.execution_id for result in results}) == AT_ONCE
    names = {result.container_id for result in results}
    assert len(names) == AT_ONCE
    if contained_runner.config.engine == "oci":
        home = contained_runner.config.home_dir
        assert list((home / "oci").glob("botdock-*")) == []
        assert str(home) not in Path("/proc/self/mountinfo").read_text()
        assert [folder for name in names if name for folder in folders_of(name) if Path(folder).exists()] == []
        until(lambda: not any(name in process for process in processes() for name in names if name))


def processes() -> list[str]:
    """Return the command lines of all processes."""
    return [read_or_empty(path / "cmdline").decode(errors="replace") for path in Path("/proc").glob("[0-9]*")]


def problem(number: int, result: ExecutionResult) -> str:
    """Say what is wrong with the result of bot `number`, or nothing."""
    expected = (Outcome.SUCCEEDED, {"number": number}, f"line of {number}\n")
    found = (result.outcome, result.value, result.output)
    return "" if found == expected else f"{number}: {found} {result.error}"


def test_inside_asyncio(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    async def both() -> list[ExecutionResult]:
        bots = [make_bot(SOURCE, config={"number": number}) for number in range(2)]
        return await asyncio.gather(*(contained_runner.arun(bot) for bot in bots))

    results = asyncio.run(both())
    assert [problem(number, result) for number, result in enumerate(results)] == ["", ""]
