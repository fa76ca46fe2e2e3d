"""Botdock's own log, on stderr: what a user should know, or with `--debug` all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock_cli.report import say

if TYPE_CHECKING:
    from loguru import Message


def show_log(*, everything: bool) -> None:
    """Send the log of botdock and its plugins to stderr: warnings and worse, or everything."""
    from loguru import logger

    from botdock.logging import enable

    enable()
    logger.remove()
    logger.add(_show, level="TRACE" if everything else "WARNING", format="{message}")


def _show(message: Message) -> None:
    record = message.record
    details = ", ".join(f"{name}={value}" for name, value in record["extra"].items())
    level = record["level"].name.lower()
    say(f"{level}: {record['message']}{f' ({details})' if details else ''}")
