"""One case: what there is of it on the disk, how it is run, and what must come of it.

| key | what |
|---|---|
| `name`, `why` | its name, and why that must work |
| `files` | the files of its folder by name: a text, `{ link = "…" }`, `{ socket = true }`, or `{ hex = "…" }` |
| `input` | in place of `files`: an archive in `inputs` |
| `code` | what of the folder is run; else all of it |
| `executable` | fields of the `Executable` |
| `not_on` | engines for which the case has no meaning |
| `expect` | tables of which one must hold in full |

The keys of `expect` are those of `CHECKS`. A text that begins with `re:` is a pattern for the whole of a line or text.
Of no case may a process be left.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from botdock import BotdockError, DockerRunner, Executable, ExecutionResult
from botdock.errors import UserError
from botdock.model import LogLine


@attrs.frozen(kw_only=True)
class Seen:
    """What came of a case: a result and what the bot wrote, or an error."""

    result: ExecutionResult | None = None
    lines: tuple[LogLine, ...] = ()
    error: BotdockError | None = None
    left: tuple[str, ...] = ()

    def texts(self, stream: str) -> list[str]:
        """Return the lines of a stream; the pieces of a long one are put together."""
        joined: list[str] = []
        open_line = False
        for line in self.lines:
            if str(line.stream) == stream:
                joined[-1:] = [joined[-1] + line.text] if open_line else [*joined[-1:], line.text]
                open_line = not line.complete
        return joined


def make_tree(case: Mapping[str, Any], folder: Path, inputs: Path) -> Path:
    """Write a case's files below a folder, and return what is run."""
    if "input" in case:
        shutil.copy(inputs / case["input"], folder)
        return folder / str(case["input"])
    tree = folder / str(case["name"])
    tree.mkdir()
    for name, content in case["files"].items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        elif "link" in content:
            path.symlink_to(content["link"])
        elif "hex" in content:
            path.write_bytes(bytes.fromhex(content["hex"]))
        else:
            _make_socket(path)
    return tree.joinpath(str(case.get("code", "")))


def _make_socket(path: Path) -> None:
    """Leave a socket there; its address may be longer than the kernel takes."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def run(runner: DockerRunner, code: Path, case: Mapping[str, Any]) -> Seen:
    """Run a case to its end."""
    mark = secrets.token_hex(16)
    fields = {"id": "probe", "timeout": 60.0, **case.get("executable", {})}
    fields["env"] = {**fields.get("env", {}), "MARK": mark}
    try:
        execution = runner.start(Executable(file_path=code, **fields))
    except BotdockError as error:
        return Seen(error=error)
    result = execution.wait(120)
    assert result is not None, "it still runs"
    lines = tuple(item for item in execution.logs() if isinstance(item, LogLine))
    return Seen(result=result, lines=lines, left=processes_with(mark.encode(), str(result.execution_id).encode()))


def processes_with(*marks: bytes) -> tuple[str, ...]:
    """Return the command of each living process that has one of these in its command or its variables."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if command and any(mark in command + (process / "environ").read_bytes() for mark in marks):
                found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))
    return tuple(found)


def check(seen: Seen, wanted: Mapping[str, Any]) -> str:
    """Say what is not as it should be; an empty text when all is."""
    if seen.error is not None and "refused" not in wanted:
        return f"it is refused: {seen.error} {seen.error.hint or ''}"
    problems = [problem for name, value in wanted.items() if (problem := CHECKS[name](seen, value))]
    problems += [f"left running: {seen.left}"] if seen.left else []
    return "; ".join([*problems, f"error: {seen.result.error}"] if problems and seen.result else problems)


def _result(seen: Seen) -> ExecutionResult:
    assert seen.result is not None
    return seen.result


def _refused(seen: Seen, pattern: str) -> str:
    if not isinstance(seen.error, UserError):
        return f"it is not refused: {seen.error or _result(seen).outcome}"
    return _matches("what is said", pattern, f"{seen.error} {seen.error.hint or ''}")


def _matches(what: str, pattern: str, text: str) -> str:
    return "" if re.search(pattern, text) else f"{what} does not match {pattern!r}: {text!r}"


def _equal(what: str, wanted: object, seen: object) -> str:
    return "" if _fits(wanted, seen) else f"{what} is {_short(seen)}, not {_short(wanted)}"


def _fits(wanted: object, seen: object) -> bool:
    if isinstance(wanted, str) and wanted.startswith("re:"):
        return isinstance(seen, str) and re.fullmatch(wanted[3:], seen, re.DOTALL) is not None
    if isinstance(wanted, dict) and isinstance(seen, dict):
        return wanted.keys() == seen.keys() and all(_fits(value, seen[key]) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(seen, list):
        return len(wanted) == len(seen) and all(map(_fits, wanted, seen))
    return wanted == seen and isinstance(wanted, bool) is isinstance(seen, bool)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:200]} … {text[-80:]}"


def _has(what: str, patterns: list[str], lines: list[str]) -> str:
    missing = [pattern for pattern in patterns if not any(_fits(pattern, line) for line in lines)]
    return f"{what} lacks {missing}: {_short(lines)}" if missing else ""


def _characters(seen: Seen, counts: Mapping[str, int]) -> str:
    text = "".join(line.text for line in seen.lines)
    return _equal("the count of characters", dict(counts), {each: text.count(each) for each in counts})


def _seconds_apart(seen: Seen, least: float) -> str:
    moments = [line.time_ns for line in seen.lines if str(line.stream) == "stdout"]
    apart = (moments[-1] - moments[0]) / 1e9 if moments else 0.0
    return "" if apart >= least else f"its first and last line are {apart:.2f} seconds apart, not {least}"


CHECKS: Mapping[str, Callable[[Seen, Any], str]] = {
    "outcome": lambda seen, wanted: _equal("outcome", wanted, str(_result(seen).outcome)),
    "exit_code": lambda seen, wanted: _equal("exit code", wanted, _result(seen).exit_code),
    "value": lambda seen, wanted: _equal("value", wanted, _result(seen).value),
    "error": lambda seen, wanted: _matches("error", wanted, _result(seen).error),
    "evidence": lambda seen, wanted: (
        "" if re.search(wanted, str(_result(seen).evidence)) else f"evidence lacks {wanted}"
    ),
    "refused": _refused,
    "stdout": lambda seen, wanted: _equal("stdout", wanted, seen.texts("stdout")),
    "stderr": lambda seen, wanted: _equal("stderr", wanted, seen.texts("stderr")),
    "stdout_has": lambda seen, wanted: _has("stdout", wanted, seen.texts("stdout")),
    "stderr_has": lambda seen, wanted: _has("stderr", wanted, seen.texts("stderr")),
    "stdout_lines": lambda seen, wanted: _equal("the number of lines", wanted, len(seen.texts("stdout"))),
    "stdout_last": lambda seen, wanted: _equal("the last line", wanted, (seen.texts("stdout") or [""])[-1]),
    "characters": _characters,
    "seconds_apart": _seconds_apart,
}
