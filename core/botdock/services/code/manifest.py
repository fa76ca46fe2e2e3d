"""What a bot's code says of itself: `bot.toml`, read strictly, or `bot-config.yaml`, the manifest of the old runner."""

from __future__ import annotations

import os
import re
import threading
import tomllib
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import attrs

from botdock.errors import CodeError, nearest
from botdock.model import ENTRYPOINTS, Limits
from botdock.model.image_reference import image_problem
from botdock.model.restart import RestartPolicy
from botdock.model.runtime import inside, read_head

MAX_MANIFEST_BYTES = 64 * 1024
"""A manifest is written by hand; one that is larger is something else."""
_MAX_PROBLEM = 500
_one_manifest = threading.Lock()
"""Reading YAML takes some 300 times the memory of its text, so there is one at a time."""
_KNOWN = ("name", "runtime", "type", "entrypoints", "limits", "image", "restart")
_LIMITS = attrs.fields_dict(Limits)
_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
"""Characters that no name holds: C0 and C1 controls, and halves of surrogate pairs."""

_MAX_MARKS = 1000
"""What nests, of each kind, that a manifest may hold."""
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
        restart: When it shall be started again; within `policy.manifest_restart`, where its caller says nothing.
        source: Name of the file that said so.
    """

    name: str | None = None
    runtime: str | None = None
    type: str | None = None
    entrypoints: Mapping[str, str] = attrs.field(factory=dict)
    image: str | None = None
    limits: Limits = attrs.field(factory=Limits)
    restart: RestartPolicy | None = None
    source: str


@attrs.define
class Problems:
    """Collects what is wrong with a manifest, so that its author mends it in one go.

    Attributes:
        path: Of the manifest.
        found: What was noted so far.
    """

    path: Path
    found: list[str] = attrs.field(factory=list)

    def add(self, key: str, problem: str) -> None:
        """Note a problem with a key."""
        self.found.append(f"{key}: {problem}")

    def error(self, *more: str, hint: str | None = None) -> CodeError:
        """Return the error that names all that was noted, and more."""
        lines = (f"{self.path.name}: {problem[:_MAX_PROBLEM]}" for problem in (*self.found, *more))
        return CodeError("\n".join(lines), source=str(self.path), hint=hint)

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

    def restart(self, key: str, value: object) -> RestartPolicy | None:
        """Return a restart policy, or note why what is there is none."""
        text = self.text(key, value)
        try:
            return None if text is None else RestartPolicy.parse(text)
        except ValueError as error:
            self.add(key, str(error))
            return None


def read_manifest(tree: Path) -> Manifest | None:
    """Return the manifest at the top of a tree of code: `bot.toml`, else the older `bot-config.yaml`, else None.

    Raises:
        CodeError: It cannot be read, or is wrong; with every problem as `bot.toml: key.path: problem`.
    """
    for name, (parse, marks) in MANIFESTS.items():
        if os.path.lexists(tree / name):
            problems = Problems(tree / name)
            data = _read(tree, problems, marks)
            with _one_manifest:
                manifest = parse(data, problems)
            if problems.found:
                raise problems.error()
            return manifest
    return None


def _read(tree: Path, problems: Problems, marks: tuple[bytes, ...]) -> bytes:
    path = problems.path
    if not inside(tree, path.name):
        raise problems.error("is a link that leads out of the code")
    try:
        data = read_head(path, MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise problems.error(error.strerror or str(error)) from None
    if data is None or len(data) > MAX_MANIFEST_BYTES:
        raise problems.error(
            "is not a regular file" if data is None else f"is larger than {MAX_MANIFEST_BYTES >> 10} KiB"
        )
    for mark in marks:
        if data.count(mark) > _MAX_MARKS:
            raise problems.error(f"holds more than {_MAX_MARKS} times {mark.decode()!r}, which is too much to read")
    return data


def _parse_toml(data: bytes, problems: Problems) -> Manifest:
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise problems.error("is nested too deeply") from None
    except ValueError as error:
        raise problems.error(f"is not TOML: {error}") from None
    problems.unknown(document, _KNOWN)
    tables: dict[str, dict[str, Any]] = {}
    for key, known in (("entrypoints", ENTRYPOINTS), ("limits", _LIMITS)):
        table = document.get(key, {})
        if isinstance(table, dict):
            problems.unknown(table, known, f"{key}.")
            tables[key] = {name: table[name] for name in known if name in table}
        else:
            problems.add(key, f"must be a table, as in [{key}], not {type(table).__name__}")
    scripts = tables.get("entrypoints", {})
    readers: dict[str, Callable[[str, object], Any]] = {
        **dict.fromkeys(("name", "runtime", "type"), problems.text),
        "image": problems.image,
        "restart": problems.restart,
    }
    manifest = Manifest(
        **{key: read(key, document[key]) for key, read in readers.items() if key in document},
        entrypoints={kind: problems.text(f"entrypoints.{kind}", script) or "" for kind, script in scripts.items()},
        limits=Limits(**tables.get("limits", {})),
        source="bot.toml",
    )
    if tables.get("limits"):
        problems.found += (f"limits.{problem}" for problem in manifest.limits.problems())
    return manifest


def _parse_yaml(data: bytes, problems: Problems) -> Manifest:
    from botdock.services.code.manifest_yaml import parse_yaml  # which few bots need

    return parse_yaml(data, problems)


MANIFESTS: dict[str, tuple[Callable[[bytes, Problems], Manifest], tuple[bytes, ...]]] = {
    "bot.toml": (_parse_toml, (b".",)),
    "bot-config.yaml": (_parse_yaml, (b"[", b"{")),
}
"""The manifests that are read, the first that is there; the second is that of the old runner. Each with the marks that
it may hold 1,000 times: the cost of a dotted key, and of what is open in YAML, grows with the square of them."""
