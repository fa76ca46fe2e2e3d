"""What griffe, which reads docstrings for the site, is told besides."""

from __future__ import annotations

import re
from typing import Any

import griffe

INTERNAL = {
    "botdock.orchestrator.execution.Execution": (
        "begin",
        "end_soon",
        "ended",
        "finish_by",
        "leave",
        "leave_log",
        "look_soon",
        "obey",
        "starting",
    )
}
"""What is called by other modules of its package alone, of a class that callers have."""


class Examples(griffe.Extension):
    """Lets `Example:`, as Google's own guide has it, be a section as `Examples:` is."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Look at what is read of one module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)


class Internal(griffe.Extension):
    """Leaves out of the site what is `INTERNAL`."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Look at what is read of one class."""
        for name in INTERNAL.get(cls.path, ()):
            cls.del_member(name)
