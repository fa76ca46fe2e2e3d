"""Backtest a grid of parameters, so many at a time, with a progress bar, and draw how each did.

    $ python examples/embedding/grid.py

It leaves a picture, `grid.svg`: the Sharpe ratio of each pair of averages.
"""

import argparse
import asyncio
import os
import sys
from itertools import product
from pathlib import Path

from botdock import Config, Executable, Runner
from botdock.model import MapProgress

FAST, SLOW = (5, 10, 15, 20), (30, 40, 50, 60, 80)
CROSSOVER = Path(__file__).parents[1] / "sma-crossover"
CELL, BAR = 70, 30


async def backtest(runner: Runner) -> dict[tuple[int, int], float]:
    """Return the Sharpe ratio of each pair."""
    pairs = list(product(FAST, SLOW))
    bots = [
        Executable(
            id=f"sma-{fast}-{slow}", entrypoint="backtest", file_path=CROSSOVER, config={"fast": fast, "slow": slow}
        )
        for fast, slow in pairs
    ]
    found: dict[tuple[int, int], float] = {}
    async for result in runner.amap(bots, concurrency=os.cpu_count() or 2, progress=show):
        if not result.succeeded:
            raise SystemExit(f"{result.id}: {result.error}")
        found[pairs[len(found)]] = result.value["metrics"]["sharpe"]
    return found


def show(now: MapProgress) -> None:
    filled = BAR * now.done // (now.total or 1)
    end = "\n" if now.done == now.total else ""
    print(f"\r[{'#' * filled:<{BAR}}] {now.done} of {now.total}", end=end, file=sys.stderr, flush=True)


def draw(found: dict[tuple[int, int], float]) -> str:
    """Return a picture of the grid: the better, the greener."""
    low, high = min(found.values()), max(found.values())
    cells = []
    for (fast, slow), sharpe in found.items():
        x, y = CELL * (SLOW.index(slow) + 1), CELL * FAST.index(fast)
        green = round(255 * (sharpe - low) / ((high - low) or 1))
        cells.append(f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="rgb({255 - green},{green},96)"/>')
        cells.append(text(x, y, f"{sharpe:.2f}"))
    names = [text(0, CELL * row, f"fast {fast}") for row, fast in enumerate(FAST)]
    names += [text(CELL * (column + 1), CELL * len(FAST), f"slow {slow}") for column, slow in enumerate(SLOW)]
    size = f'width="{CELL * (len(SLOW) + 1)}" height="{CELL * (len(FAST) + 1)}"'
    style = 'font-family="sans-serif" font-size="14" text-anchor="middle"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', *cells, *names, "</svg>\n"])


def text(x: int, y: int, what: str) -> str:
    return f'<text x="{x + CELL // 2}" y="{y + CELL // 2 + 5}">{what}</text>'


def main() -> None:
    parser = argparse.ArgumentParser(description="Backtest a grid of parameters.")
    parser.add_argument("engine", nargs="?", default="", help="without, the configured one, else Docker")
    asked = parser.parse_args()
    with Runner(Config.load(overrides={"engine": asked.engine})) as runner:
        found = asyncio.run(backtest(runner))
    (fast, slow), sharpe = max(found.items(), key=lambda item: item[1])
    Path("grid.svg").write_text(draw(found))
    print(f"best of {len(found)}: fast {fast}, slow {slow}, with a Sharpe ratio of {sharpe:.2f}; grid.svg shows all")


if __name__ == "__main__":
    main()
