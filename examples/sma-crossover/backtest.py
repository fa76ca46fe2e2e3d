"""Backtest of a moving-average crossover: long while the fast average is above the slow one, else out of the market."""

import csv
import itertools
import math
import statistics
from pathlib import Path

TRADING_DAYS = 252


def main(id, config):
    fast, slow = int(config.get("fast", 10)), int(config.get("slow", 40))
    if not 0 < fast < slow:
        raise ValueError(f"fast ({fast}) must be positive and below slow ({slow})")
    days, closes = read_prices(Path(__file__).with_name("prices.csv"))
    fast_line, slow_line = moving_average(closes, fast), moving_average(closes, slow)
    positions = [int(a is not None and b is not None and a > b) for a, b in zip(fast_line, slow_line, strict=True)]
    equity = equity_curve(closes, positions, cost=float(config.get("cost", 0.0005)))
    trades = list(find_trades(days, closes, positions))
    metrics = measure(equity, trades)
    print(f"{id}: {len(days)} days, {metrics['trades']} trades, total return {metrics['total_return']:.2%}")
    return {
        "status": "success",
        "metrics": metrics,
        "plots": [
            {
                "title": "Close and averages",
                "x": days,
                "series": {"close": closes, "fast": fast_line, "slow": slow_line},
            },
            {"title": "Equity", "x": days, "series": {"equity": equity}},
        ],
        "tables": [{"title": "Trades", "columns": ["entry", "exit", "return"], "rows": trades}],
    }


def read_prices(path):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["date"] for row in rows], [float(row["close"]) for row in rows]


def moving_average(values, length):
    """Return the average of the last `length` values at each point; None where there are not that many yet."""
    averages, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - length] if index >= length else 0.0)
        averages.append(round(total / length, 4) if index >= length - 1 else None)
    return averages


def equity_curve(closes, positions, cost):
    """Return the value of 1.0 at each day; a position decided at one close earns the move to the next."""
    equity = [1.0]
    for index in range(1, len(closes)):
        held, before = positions[index - 1], positions[index - 2] if index > 1 else 0
        change = held * (closes[index] / closes[index - 1] - 1) - cost * abs(held - before)
        equity.append(round(equity[-1] * (1 + change), 6))
    return equity


def find_trades(days, closes, positions):
    entry = None
    for index, held in enumerate(positions):
        if held and entry is None:
            entry = index
        elif not held and entry is not None:
            yield [days[entry], days[index], round(closes[index] / closes[entry] - 1, 6)]
            entry = None
    if entry is not None:
        yield [days[entry], days[-1], round(closes[-1] / closes[entry] - 1, 6)]


def measure(equity, trades):
    changes = [after / before - 1 for before, after in itertools.pairwise(equity)]
    deviation = statistics.pstdev(changes)
    peak, drawdown = equity[0], 0.0
    for value in equity:
        peak = max(peak, value)
        drawdown = max(drawdown, 1 - value / peak)
    return {
        "total_return": round(equity[-1] / equity[0] - 1, 6),
        "sharpe": round(statistics.fmean(changes) / deviation * math.sqrt(TRADING_DAYS), 4) if deviation else 0.0,
        "max_drawdown": round(drawdown, 6),
        "trades": len(trades),
        "win_rate": round(sum(trade[2] > 0 for trade in trades) / len(trades), 4) if trades else 0.0,
    }
