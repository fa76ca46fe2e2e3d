"""How much of the machine one execution may use."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

import attrs

from botdock.model._validation import number_problem
from botdock.model.units import Bytes, Unit, format_bytes, parse_bytes, size_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

RANGES: dict[str, tuple[float, float]] = {
    "memory": (6 * MIB, 64 * 1024 * GIB),  # Docker refuses to start a container with less than 6 MiB
    "cpus": (0.01, 4096),
    "pids": (1, 4_194_304),  # the kernel's largest pid_max
    "output": (1, 1024 * GIB),
    "open_files": (16, 1_048_576),
    "file_size": (64 * KIB, 1024 * GIB),
    "tmpfs": (64 * KIB, 1024 * GIB),
    "result": (1, 1 * GIB),
}
"""The sane range of each limit; what lies outside is a mistake of units."""


def _bytes(value: int | str | None) -> int | None:
    """Read a size with its unit; what is not one stays as it is, for `Limits.problems` to tell."""
    with suppress(ValueError):
        return parse_bytes(value) if isinstance(value, str) else value
    return cast("int", value)


@attrs.frozen(kw_only=True)
class Limits:
    """Limits of one execution; None means 'the default of the configuration'.

    Attributes:
        memory: Bytes of memory, or text such as `"512MiB"`, as all bytes here; swap is off, so this is all there is.
        cpus: Processors, as in `0.5`.
        pids: Processes and threads at one time.
        output: Bytes on stdout and stderr together.
        open_files: Open file descriptors of one process.
        file_size: Bytes of the largest file a process may write.
        tmpfs: Bytes of the writable `/tmp`.
        result: Bytes of the result document.
    """

    memory: Bytes | None = attrs.field(default=None, converter=_bytes)
    cpus: float | None = None
    pids: int | None = None
    output: Bytes | None = attrs.field(default=None, converter=_bytes)
    open_files: int | None = None
    file_size: Bytes | None = attrs.field(default=None, converter=_bytes)
    tmpfs: Bytes | None = attrs.field(default=None, converter=_bytes)
    result: Bytes | None = attrs.field(default=None, converter=_bytes)

    def problems(self) -> Iterator[str]:
        """Yield `name: problem` for each limit that is not a number, or lies outside its `RANGES`."""
        for name, value in self.given().items():
            problem = number_problem(value, *RANGES[name])
            if name in SIZES and isinstance(value, str):
                problem = size_problem(value)
            elif problem and name in SIZES and not problem.startswith("must"):
                low, high = map(format_bytes, RANGES[name])
                problem = f"{problem.partition(' must')[0]} bytes must be {low} to {high}"
            elif not problem and name != "cpus" and not isinstance(value, int):
                problem = f"must be a whole number, not {value}"
            if problem:
                yield f"{name}: {problem}"

    def given(self) -> dict[str, float]:
        """Return the limits that are set, by name."""
        return attrs.asdict(self, recurse=False, filter=lambda _, value: value is not None)

    def over(self, defaults: Limits) -> Limits:
        """Return these limits, with what is None taken from `defaults`."""
        return attrs.evolve(defaults, **cast("dict[str, Any]", self.given()))


SIZES = frozenset(
    name
    for name, hint in get_type_hints(Limits, include_extras=True).items()
    if any(Unit.BYTES in get_args(part) for part in get_args(hint))
)
"""Those that count bytes; outside Python they may be written with a unit."""

DEFAULT_LIMITS = Limits(
    memory=512 * MIB,
    cpus=1.0,
    pids=128,
    output=64 * MIB,
    open_files=1024,
    file_size=64 * MIB,
    tmpfs=64 * MIB,
    result=8 * MIB,
)
"""What an execution may use where neither it nor the configuration says otherwise."""
