"""A picture of how long so many at once take: both axes logarithmic, one line each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

COLOURS = ("#888888", "#1f77b4", "#17becf", "#9edae5", "#d62728", "#ff7f0e", "#ffbb78", "#2ca02c")
WIDTH, HEIGHT, LEFT, RIGHT, EDGE = 760, 420, 60, 240, 40


def draw(title: str, lines: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Return an SVG of lines of points: how many at once, and seconds."""
    numbers = sorted({number for points in lines.values() for number, _ in points})
    seconds = [value for points in lines.values() for _, value in points]
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    span = math.log10(numbers[-1] / numbers[0]) or 1.0

    def across(number: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(number / numbers[0]) / span

    def down(value: float) -> float:
        return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (math.log10(value) - low) / max(high - low, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        "<style>text { font: 12px sans-serif }</style>",
        f'<title>{escape(title)}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20">{escape(title)}</text>',
    ]
    for power in range(low, high + 1):
        y = down(10.0**power)
        parts.append(f'<path d="M{LEFT} {y:.0f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{10.0**power:g} s</text>')
    parts += [
        f'<text x="{across(number):.0f}" y="{HEIGHT - 20}" text-anchor="middle">{number}</text>' for number in numbers
    ]
    for index, (name, points) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = "L".join(f"{across(number):.1f} {down(value):.1f}" for number, value in points)
        y = EDGE + 10 + 20 * index
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<path d="M{WIDTH - RIGHT + 16} {y}h20" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 42}" y="{y + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
