"""What follows an execution that has ended: nothing, or another one, made exactly once whatever dies meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from botdock._log import logger
from botdock.executions._files import EXECUTIONS, REQUESTS, RUN, forget_request, read_end, remove_folder
from botdock.executions._queue import change_request, submit
from botdock.executions._requests import Request, Restart, read_request
from botdock.executions._stops import request_stop
from botdock.model import new_execution_id

Follow = Callable[[Request, Mapping[str, Any]], Restart | None]
"""Decides about the successor of an execution that has ended.

It is given the request, without code that came as bytes, and `outcome.json`; it returns the successor's place in the
row, or None for no successor. It may be asked again about the same end, should the supervisor die over it.
"""
_UNBOUNDED = 2**62


def settle(home: Path, execution_id: str, end: Mapping[str, Any] | None, follow: Follow) -> None:
    """Make the successor of an execution that has ended, if there is to be one; forget its request.

    Its id is written down before it is made, so there is one, however often a supervisor dies over this.

    Args:
        home: The state folder.
        execution_id: The one that has ended.
        end: Its `outcome.json`; None when it was removed, or cannot be read, and then nothing follows.
        follow: Decides.

    Raises:
        BotdockError: The disk took no more; the request is still there.
        OSError: The same.
    """
    try:
        request = read_request(home, execution_id, code=False)
    except ValueError as error:
        logger.bind(error=str(error)).warning("nothing can follow it")
        request = None
    restart = follow(request, end) if request is not None and end is not None else None
    if restart is not None:
        request = change_request(home, execution_id, _with_successor)
    if request is not None and request.successor:  # of this try, or of one that came to nothing
        _make(home, request, restart)
        _stop_if_asked(home, request)
    forget_request(home, execution_id)


def _stop_if_asked(home: Path, request: Request) -> None:
    """Pass a stop on that came while the successor was being made, should its sender have waited for that in vain."""
    now, directory = read_request(home, request.execution_id, code=False), home / EXECUTIONS / request.successor
    if now is not None and now.stopped and directory.is_dir():
        request_stop(directory, None)


def _with_successor(request: Request) -> Request:
    decided = request.stopped or request.successor
    return request if decided else attrs.evolve(request, successor=new_execution_id())


def _make(home: Path, request: Request, restart: Restart | None) -> None:
    directory = home / EXECUTIONS / request.successor
    asked_for = (home / REQUESTS / f"{request.successor}.json").exists()
    if asked_for or (directory / RUN).exists() or read_end(directory):
        return  # the one that died had made it
    if directory.exists():
        remove_folder(directory)
    if request.stopped or restart is None:  # meanwhile
        return
    whole = read_request(home, request.execution_id)
    assert whole is not None  # noqa: S101 - only this process removes it
    successor = attrs.evolve(whole, execution_id=request.successor, restart=restart, successor="")
    submit(home, successor, most=_UNBOUNDED)
