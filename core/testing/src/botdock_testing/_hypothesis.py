"""What `import hypothesis` runs where this is installed: botdock's types get their strategies, at first use."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def register() -> None:
    """Teach `from_type` the types of botdock; whatever goes wrong, `import hypothesis` goes on.

    Hypothesis asks a resolver of its own list only once the module that it stands under is imported, so that this costs
    a suite without botdock nothing. That list is not public: where a version has none, botdock's types are imported.
    """
    with suppress(Exception):
        from hypothesis.strategies import register_type_strategy
        from hypothesis.strategies._internal import types

        lookup = getattr(types, "_global_extra_lookup", None)
        if lookup is not None:
            lookup["botdock.model"] = strategy_of
        else:
            for kind, make in _strategies().items():
                register_type_strategy(kind, make())


def strategy_of(kind: Any) -> SearchStrategy[Any] | None:
    """Return the strategy of a type of botdock; None for one that is not known here."""
    if not str(getattr(kind, "__module__", "")).startswith("botdock.model."):
        return None
    make = _strategies().get(kind)
    return None if make is None else make()


def _strategies() -> dict[type, Callable[[], SearchStrategy[Any]]]:
    from botdock.model import Executable, Limits, LogChunk
    from botdock_testing.strategies import executables, limits, log_chunks

    return {Executable: executables, Limits: limits, LogChunk: log_chunks}
