"""The result file of a Python bot: the envelope around what its `main` returned.

`botdock.entrypoints.result` says what stands in an envelope. This file lies beside `wrapper.py`. Any value of any class
may come from a bot.
"""

# ruff: noqa: INP001 - part of a program, not of a package
# ruff: noqa: PTH110, PTH118, PTH123 - pathlib costs each run its import
from __future__ import annotations

import errno
import json
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MAX_CAUSES = 10
"""Errors, each the cause of the one before, of which one may have a hint."""
MAX_MESSAGE = 2000
"""Characters of an error's message that the envelope repeats."""
CANNOT_WRITE = 74
"""What a bot exits with that ended well, but whose result cannot be written at all (EX_IOERR of sysexits.h)."""
MAX_REQUIREMENTS = 64 * 1024
"""Characters of a requirements.txt that are looked at."""


class Result:
    """The result file; `botdock.entrypoints.result` says what stands in it."""

    def __init__(self, context: dict[str, Any]) -> None:
        self.path, self.limit = context["result_file"], context["result_limit"]
        self.is_backtest = context["entrypoint"] == "backtest"
        self.tree = context["code_dir"]
        self.process = os.getpid()
        self.value = b""
        self.facts: dict[str, Any] = {
            "botdock": 2,
            "nonfinite": 0,
            "problem": "",
            "lost": "",
            "signal": 0,
            "error": None,
        }

    def take(self, value: object) -> int:
        """Keep what `main` returned (None is not a value), and return the exit code that it deserves."""
        if value is not None:
            text, self.facts["nonfinite"], problem = to_json(value)
            self.value, self.facts["problem"] = text.encode(), problem[:MAX_MESSAGE]
            if len(self.value) > self.limit:
                self.facts["problem"] = f"longer than the {self.limit} bytes that a result may have"
                self.value = b""
        declared = isinstance(value, dict) and value.get("status") == "error"
        return 1 if declared or (self.is_backtest and self.facts["problem"]) else 0

    def fail(self, error: BaseException, message: object) -> None:
        """Keep what ended the bot."""
        kind, said = type(error).__name__[:MAX_MESSAGE], text_of(message)[:MAX_MESSAGE]
        if isinstance(error, KeyboardInterrupt):
            self.facts["signal"] = signal.SIGINT
        self.facts["error"] = {"type": kind, "message": said, "hint": hint_of(error, self.tree)[:MAX_MESSAGE]}

    def write(self, exit_code: int, signum: int = 0) -> int:
        """Write the envelope, and return what to exit with: another code where the file cannot even be emptied.

        A `signum` is that of the signal for which the bot ends, where the exit code is that of such an end.

        Where there is no room for the value, the envelope says so; where there is none for that, the file is not whole.
        """
        if os.getpid() != self.process:
            return exit_code  # a child that the bot forked has come back here
        if signum and exit_code == 128 + signum:
            self.facts["signal"] = signum
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_TRUNC)
        except OSError:
            return exit_code or CANNOT_WRITE
        try:
            write_all(descriptor, self.envelope(exit_code))
        except OSError as error:
            self.facts["lost"], self.value = error.strerror if self.value else "", b""
            try:
                os.ftruncate(descriptor, 0)
                write_all(descriptor, self.envelope(exit_code))
            except OSError:
                pass  # the runner sees that it is damaged
        finally:
            os.close(descriptor)
        return exit_code

    def envelope(self, exit_code: int) -> bytes:
        header = json.dumps(dict(self.facts, exit_code=exit_code, value_bytes=len(self.value)))
        return header.encode() + b"\n" + self.value


def hint_of(error: BaseException, tree: str) -> str:
    """Say what mends an error of which this place is the cause: there is no module, network or folder to write to."""
    try:
        return next(filter(None, (missing(each, tree) or denied(each) for each in causes_of(error))), "")
    except Exception:  # noqa: BLE001 - the error may be of any class, with any attributes
        return ""


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what has led to it."""
    each: object = error
    for _ in range(MAX_CAUSES):
        if not isinstance(each, BaseException):
            return
        yield each
        each = each.__cause__ or each.__context__ or getattr(each, "reason", None)  # the last is urllib's


def denied(error: BaseException) -> str:
    """Say what a bot may use that has written where it cannot, or called where nothing is."""
    said = str(error) if type(error).__name__ == "OperationalError" else ""  # which is sqlite3's
    if getattr(error, "errno", None) == errno.EROFS or "readonly database" in said or "unable to open database" in said:
        return "only $TMPDIR and $HOME can be written to; what is to be kept is returned or printed"
    if isinstance(error, OSError) and (type(error).__name__ == "gaierror" or error.errno == errno.ENETUNREACH):
        return "this run has no network; --network names one that policy.networks allows" if is_alone() else ""
    return ""


def is_alone() -> bool:
    """Whether there is no way to any other machine: the table of routes has nothing but its head."""
    try:
        with open("/proc/net/route", encoding="ascii") as file:
            return len(file.readlines()) <= 1
    except OSError:
        return False


def missing(error: BaseException, tree: str) -> str:
    """Say that a module is not there, of a bot that lists packages and has not brought it."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if not isinstance(name, str):
        return ""
    module = name.partition(".")[0]
    brought = os.path.join(tree, "vendor", module)
    if os.path.exists(brought) or os.path.exists(brought + ".py") or not lists_packages(tree + "/requirements.txt"):
        return ""
    brings = "`botdock pack --vendor` brings it into the archive"
    return f"there is no module {module!r}; if it is of a package that requirements.txt lists, {brings}"


def lists_packages(requirements: str) -> bool:
    try:
        with open(requirements, encoding="utf-8", errors="replace") as file:
            lines = file.read(MAX_REQUIREMENTS).split("\n")
    except OSError:
        return False
    return any(line.strip() and not line.strip().startswith("#") for line in lines)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it to the beginning of a file."""
    at = 0
    while at < len(data):
        at += os.pwrite(descriptor, data[at:], at)


def to_json(value: object) -> tuple[str, int, str]:
    """Return a value as JSON, how many of its numbers became null, and what of it has no form in JSON."""
    try:
        try:
            return encode(value), 0, ""
        except (TypeError, ValueError):
            plain = closer_look()
            copied = plain.copy(value)
            return "" if copied is None and plain.problem else encode(copied), plain.nonfinite, plain.problem
    except RecursionError:
        return "", 0, "not JSON: it is nested too deep, or holds itself"
    except Exception as error:  # noqa: BLE001 - the value may be of any class, with any methods
        return "", 0, f"not JSON: {type(error).__name__}: {text_of(error)[:MAX_MESSAGE]}"


def closer_look() -> Any:
    """Return what copies a value into what JSON knows; most bots do not need it."""
    sys.path.insert(0, __file__.rpartition("/")[0])
    try:
        from _botdock_forms import Plain  # type: ignore[import-not-found]  # it lies beside this file

        return Plain()
    finally:
        del sys.path[0]


def encode(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a bot's class may fail at this, too
        return "(it has no text)"
