"""Botdock's own logger: silent until an application wants to hear it, see `botdock.logging`.

Importing loguru costs more than all of `import botdock`, so this happens with the first module that logs, not in
the package's `__init__`.

loguru switches packages and modules on and off by their names; the latest word on a name, or on one above it, holds.
Here is written down which words are ours, so that those of the application are told from them and stay.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
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
_ours: dict[str, bool] = {}
"""What was said here last of each name: whether it is enabled."""
_kept: dict[str, bool] = {}
"""What the application said of each name, and what `exempt` did."""
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
    """Switch botdock and all that follow it on or off, but for what the application has decided on by itself."""
    with _lock:
        _say(CORE, enabled=enabled)
        for name in sorted(set(_ours) - {CORE}):
            if _is_free(name):
                _say(name, enabled=enabled)


def follow(name: str) -> None:
    """Let a package or module be on or off as botdock is, now and later; unless the application has decided on it."""
    with _lock:
        if not any(_covers(known, name) for known in [*_ours, *_words()]):
            _say(name, enabled=_is_enabled(CORE))


def exempt(name: str) -> None:
    """Let a module speak even where botdock does not, unless the application has silenced it or its package."""
    with _lock:
        if _is_free(name):
            _exempt.add(name)
            _kept[name] = True
            logger.enable(name)


def about(execution_id: str) -> Any:
    """Return a context in which every record of this thread carries the id of an execution."""
    return logger.contextualize(execution_id=execution_id)


def carried(call: Callable[_P, _T], *, execution_id: str | None = None) -> Callable[_P, _T]:
    """Return `call` with what records carry here, for another thread: threads do not inherit it by themselves.

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


def _say(name: str, *, enabled: bool) -> None:
    """Switch a name, and let the application's own words on what lies below it stand."""
    _remember()
    _ours[name] = enabled
    (logger.enable if enabled else logger.disable)(name)
    for below in sorted(below for below in _kept if _is_below(below, name)):
        (logger.enable if _kept[below] else logger.disable)(below)


def _remember() -> None:
    """Take note of the application's own words: loguru forgets one that says the same as one on a name above it."""
    for name, said in list(_kept.items()):
        if _is_enabled(name) is said:
            continue
        if name in _exempt:
            _kept[name] = not said
        else:
            del _kept[name]  # the application has said otherwise, perhaps of a name above it
    _kept.update({name: said for name, said in _words().items() if _ours.get(name) is not said})


def _words() -> dict[str, bool]:
    """Return what was said of each name, by anybody; the most special names come first, as loguru looks at them."""
    return {name.removesuffix("."): said for name, said in _all_words().items() if name}


def _all_words() -> dict[str, bool]:
    """Return what loguru keeps: names with a dot at their end, and an empty one for everything."""
    core = getattr(logger, "_core", None)  # there is no public way to ask; without it, nobody said anything
    return dict(getattr(core, "activation_list", ()))


def _decisive(name: str) -> str | None:
    return next((known for known in _words() if _covers(known, name)), None)


def _is_free(name: str) -> bool:
    """Whether what holds for a name now is our word, or nobody's."""
    decisive = _decisive(name)
    return decisive is None or _ours.get(decisive) is _words()[decisive]


def _is_enabled(name: str) -> bool:
    return next((said for prefix, said in _all_words().items() if f"{name}.".startswith(prefix)), True)


def _covers(name: str, other: str) -> bool:
    return f"{other}.".startswith(f"{name}.")


def _is_below(name: str, other: str) -> bool:
    return name != other and _covers(other, name)


if CORE not in _words():
    decide(enabled=False)
