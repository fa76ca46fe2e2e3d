"""The fields of a manifest, and how the problems with them are collected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import attrs

from botdock.errors import nearest
from botdock.model import Limits
from botdock.model.image_reference import image_problem

_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
"""Characters that no name holds: C0 and C1 controls, and halves of surrogate pairs."""

_MAX_MARKS = 1000
_MAX_TEXT = 1024
_MAX_PROBLEMS = 20
"""Unknown keys of one table that are named."""


@attrs.frozen(kw_only=True)
class Manifest:
    """What a bot's code says of itself: a stranger's word. All of it is optional; what the caller says comes first.

    Attributes:
        name: What its author calls it.
        runtime: Name or alias of its runtime.
        type: Its author's word for its kind; a label, nothing more.
        entrypoints: Script of each entrypoint, relative to the tree.
        image: The image to run in; only one that the policy allows.
        limits: What a run of it shall use at most; they can only tighten what holds without them.
        source: Name of the file that said so.
    """

    name: str | None = None
    runtime: str | None = None
    type: str | None = None
    entrypoints: Mapping[str, str] = attrs.field(factory=dict)
    image: str | None = None
    limits: Limits = attrs.field(factory=Limits)
    source: str


class ManifestProblemsError(Exception):
    """A manifest is wrong; carries each problem, and how to mend them if that is known."""

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)
        self.hint = hint


def check_marks(data: bytes, *marks: bytes) -> None:
    """Refuse a manifest that holds so many of what nests that reading it is expensive.

    Raises:
        ManifestProblemsError: It holds more than `_MAX_MARKS` of one of them.
    """
    for mark in marks:
        if data.count(mark) > _MAX_MARKS:
            raise ManifestProblemsError(
                [f"holds more than {_MAX_MARKS} times {mark.decode()!r}, which is too much to read"]
            )


class Problems:
    """Collects what is wrong, so that an author mends it in one go."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, key: str, problem: str) -> None:
        """Note a problem with a key."""
        self._found.append(f"{key}: {problem}")

    def unknown(self, given: Iterable[str], known: Iterable[str], path: str = "") -> None:
        """Note each key that means nothing, with the one it may have been meant to be."""
        names = sorted(known)
        for key in islice(sorted(set(given) - set(names)), _MAX_PROBLEMS):
            near = nearest(key, names)
            meant = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
            self.add(f"{path}{key[:60]}", f"unknown key; {meant}")

    def text(self, key: str, value: object) -> str | None:
        """Return a text, or note what is there in its place."""
        if value is None:
            return None
        if not isinstance(value, str):
            self.add(key, f"must be text, not {type(value).__name__}")
        elif not value or _CONTROLS.search(value):
            self.add(key, "must not be empty or hold control characters")
        elif len(value) > _MAX_TEXT:
            self.add(key, f"must not be longer than {_MAX_TEXT} characters")
        else:
            return value
        return None

    def image(self, key: str, value: object) -> str | None:
        """Return the name of an image, or note why what is there is none."""
        text = self.text(key, value)
        if text is not None and (problem := image_problem(text)):
            self.add(key, problem)
        return text

    def raise_any(self) -> None:
        """Raise what was noted.

        Raises:
            ManifestProblemsError: If there is something.
        """
        if self._found:
            raise ManifestProblemsError(self._found)
