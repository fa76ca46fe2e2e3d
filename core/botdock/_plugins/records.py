"""What is recorded of each plugin, and the guard that turns its failures into words."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from botdock.config.rules import spelling

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_REASON = 400
_NOT_THE_PLUGIN = frozenset({*sys.stdlib_module_names, "botdock", "pluggy"})


class PluginStage(StrEnum):
    """How far a plugin came; only a loaded one, and what does not clash of a conflicting one, is used."""

    LOADED = "loaded"
    BLOCKED = "blocked"
    """The configuration says not to load it, or not to load anything but others."""
    IMPORT = "import"
    """Its module does not import."""
    VALIDATE = "validate"
    """Its hooks are not botdock's: misspelt, unmarked, or with other parameters."""
    REGISTER = "register"
    """A register hook raised, or yielded something that cannot be used."""
    CONFLICT = "conflict"
    """Another plugin claims one of its names."""


@attrs.frozen(kw_only=True)
class Origin:
    """Where a plugin comes from.

    Attributes:
        name: Of its entry point.
        distribution: What was installed, as its author spells it.
        version: Of the distribution.
        module: Value of the entry point.
    """

    name: str
    distribution: str
    version: str = ""
    module: str = ""

    def answers_to(self, name: str) -> bool:
        """Whether `name` is its distribution or its entry point, however it is spelt (PEP 503)."""
        return spelling(name) in {spelling(self.distribution), spelling(self.name)}

    def __str__(self) -> str:
        """Return the distribution and its version."""
        return f"{self.distribution} {self.version}".strip()


@attrs.frozen(kw_only=True)
class PluginRecord:
    """What became of one plugin; a line of `botdock plugins`.

    Attributes:
        name: Of its entry point.
        distribution: What was installed.
        version: Of the distribution.
        module: Value of the entry point.
        stage: How far it came.
        reason: Why not further, or what is to be known about it; empty when all is well.
        provides: What of it can be used, such as `runtime:bash`.
    """

    name: str
    distribution: str
    version: str = ""
    module: str = ""
    stage: PluginStage = PluginStage.LOADED
    reason: str = ""
    provides: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the plugin itself is broken."""
        return self.stage in {PluginStage.IMPORT, PluginStage.VALIDATE, PluginStage.REGISTER}


class RejectedError(Exception):
    """A plugin is not used; caught by the plugin manager, and never let out."""

    def __init__(self, stage: PluginStage, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage
        self.reason = reason


@contextmanager
def guarded(stage: PluginStage, doing: str = "") -> Iterator[None]:
    """Turn whatever a plugin's code raises into a `RejectedError`.

    Exits and the panics of extension modules, which derive from BaseException, are failures of the plugin as well;
    only the user's Ctrl-C goes through.
    """
    try:
        yield
    except (RejectedError, KeyboardInterrupt):
        raise
    except BaseException as error:
        described = describe(error) + _place(error)
        raise RejectedError(stage, f"{doing} raised {described}" if doing else described) from error


def describe(error: BaseException) -> str:
    """Return the type and message of `error` in one line of bounded length."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - __str__ is the plugin's code, too
        text = "(its message cannot be shown)"
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return described if len(described) <= _LONGEST_REASON else f"{described[:_LONGEST_REASON]}..."


def _place(error: BaseException) -> str:
    """Return the last line of the plugin that `error` came through, or an empty text when it came through none."""
    place = ""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _NOT_THE_PLUGIN:
            place = f" ({frame.f_code.co_filename}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place
