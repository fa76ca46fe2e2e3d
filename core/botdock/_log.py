"""Botdock's own logger: silent until an application wants to hear it, see `botdock.logging`.

Importing loguru costs more than all of `import botdock`, so this happens with the first module that logs, not in
the package's `__init__`. What follows botdock is kept here: loguru has no public way to ask what is on or off.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import loguru

if TYPE_CHECKING:
    from loguru import Record

__all__ = ["about", "carried", "decide", "exempt", "follow", "hidden", "hide", "logger", "reveal", "where"]

CORE = "botdock"

_P = ParamSpec("_P")
_T = TypeVar("_T")
_lock = threading.Lock()
_enabled = False
_followers = {CORE}
"""Packages and modules that are on or off as botdock is."""
_exempt: set[str] = set()
_masks: dict[object, Callable[[Any], Any]] = {}
"""What masks the secrets that are in use, by who uses them."""


def hide(user: object, mask: Callable[[Any], Any]) -> None:
    """Let no record hold what `mask` masks, until `reveal(user)`."""
    _masks[user] = mask


def reveal(user: object) -> None:
    """Forget the mask of a user, who is done."""
    _masks.pop(user, None)


def hidden(value: Any) -> Any:
    """Return a text, or texts in lists and mappings, in which all secrets that are in use are masked."""
    for mask in list(_masks.values()):
        value = mask(value)
    return value


def _hide(record: Record) -> None:
    if _masks:
        record["message"], record["extra"] = hidden(record["message"]), hidden(record["extra"])


logger = loguru.logger.patch(_hide)


def decide(*, enabled: bool) -> None:
    """Switch botdock and all that follow it on or off."""
    global _enabled  # noqa: PLW0603 - as loguru's own switches, one for the process
    with _lock:
        _enabled = enabled
        _switch(sorted(_followers))


def follow(name: str) -> None:
    """Let a package or module be on or off as botdock is, now and later."""
    with _lock:
        if not any(f"{name}.".startswith(f"{known}.") for known in _followers):
            _followers.add(name)
            if not _enabled:  # else it is on, unless the application has silenced it
                _switch([name])


def exempt(name: str) -> None:
    """Let a module speak even where botdock does not."""
    with _lock:
        _exempt.add(name)
        logger.enable(name)


def _switch(names: Iterable[str]) -> None:
    for name in names:
        (logger.enable if _enabled else logger.disable)(name)
    for name in _exempt:
        logger.enable(name)


def about(execution_id: str) -> Any:
    """Return a context in which every record of this thread carries the id of an execution."""
    return logger.contextualize(execution_id=execution_id)


def carried(call: Callable[_P, _T], *, execution_id: str | None = None) -> Callable[_P, _T]:
    """Return `call` with what records carry here, for another thread: threads do not carry it by themselves.

    Args:
        call: What a `threading.Thread` or an executor will run.
        execution_id: Of the execution it concerns, where this thread serves several; None leaves it as it is here.
    """
    context = contextvars.copy_context()

    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if execution_id is None:
            return call(*args, **kwargs)
        with about(execution_id):
            return call(*args, **kwargs)

    def start(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return context.copy().run(run, *args, **kwargs)  # a copy each: two threads cannot be in one context

    return start


def where(error: BaseException) -> str:
    """Return the type of an error and the place that raised it; its text may hold what a bot wrote, or a password."""
    place = ""
    for frame, line in walk_tb(error.__traceback__):
        place = f" at {frame.f_globals.get('__name__', '?')}:{line}"
    return f"{type(error).__name__}{place}"


decide(enabled=False)
