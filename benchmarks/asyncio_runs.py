"""What a hundred runs at once do to the event loop they are awaited in: how late a timer of 1 ms is, against none."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

from botdock import Config, DockerRunner, Executable

AT_ONCE = 100
INTERVAL = 0.001
IDLE_SECONDS = 2.0


async def measure(late: list[float]) -> None:
    """Note how late each timer is, in milliseconds, until it is cancelled."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(INTERVAL)
        late.append((time.perf_counter() - started - INTERVAL) * 1000)


def report(name: str, late: list[float]) -> None:
    late.sort()
    p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
    print(f"{name:12} {len(late):6} timers, late by p50 {p50:6.2f}  p99 {p99:6.2f}  max {late[-1]:6.2f} ms")


async def compare(runner: DockerRunner, bot: Executable) -> None:
    """Measure a loop that does nothing else, then one in which runs are awaited."""

    async def runs() -> None:
        results = await asyncio.gather(*(runner.arun(bot) for _ in range(AT_ONCE)))
        assert all(result.succeeded for result in results)

    for name, work in (("idle", asyncio.sleep(IDLE_SECONDS)), (f"{AT_ONCE} runs", runs())):
        late: list[float] = []
        timer = asyncio.create_task(measure(late))
        started = time.perf_counter()
        await work
        seconds = time.perf_counter() - started
        timer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await timer
        report(name, late)
    print(f"{AT_ONCE} runs took {seconds:.1f} s")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "bot"
        code.mkdir()
        (code / "main.sh").write_text("true\n")
        with DockerRunner(Config(engine="process", home=f"{folder}/home")) as runner:
            asyncio.run(compare(runner, Executable(id="bot", runtime="bash", file_path=str(code))))


if __name__ == "__main__":
    main()
