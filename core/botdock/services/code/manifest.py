"""What a bot's code says of itself, and what can be seen when it says nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from botdock.errors import CodeError
from botdock.model import Runtime
from botdock.model.runtime import inside, read_head
from botdock.services.code.manifest_fields import Manifest, ManifestProblemsError
from botdock.services.code.manifest_toml import parse_toml
from botdock.services.code.manifest_yaml import parse_yaml

__all__ = ["MANIFESTS", "MAX_MANIFEST_BYTES", "Manifest", "detect_runtime", "read_manifest"]

MANIFESTS: dict[str, Callable[[bytes], Manifest]] = {"bot.toml": parse_toml, "bot-config.yaml": parse_yaml}
"""The manifests that are read, the first that is there; the second is that of the old runner."""
MAX_MANIFEST_BYTES = 64 * 1024
"""A manifest is written by hand; one that is larger is something else."""
_MAX_PROBLEM = 500
_one_manifest = threading.Lock()
"""Reading YAML takes some 300 times the memory of its text, so there is one at a time."""


def read_manifest(tree: Path) -> Manifest | None:
    """Return the manifest at the top of a tree of code: `bot.toml`, else the older `bot-config.yaml`, else None.

    Raises:
        CodeError: It cannot be read, or is wrong; with every problem as `bot.toml: key.path: problem`.
    """
    for name, parse in MANIFESTS.items():
        data = _read(tree, name)
        if data is not None:
            return _parsed(tree / name, data, parse)
    return None


def detect_runtime(tree: Path, entrypoint: str, runtimes: Iterable[Runtime]) -> Runtime:
    """Return the one runtime that recognises a tree of code.

    Args:
        tree: The code.
        entrypoint: `bot` or `backtest`.
        runtimes: Those that may run it.

    Raises:
        CodeError: None does, or several do.
    """
    candidates = tuple(runtimes)
    found = [runtime for runtime in candidates if runtime.recognises(tree, entrypoint)]
    if len(found) == 1:
        return found[0]
    say = 'Say which with --runtime, or in bot.toml: runtime = "NAME".'
    if found:
        seen = " and ".join(f"{runtime.find_script(tree, entrypoint)} ({runtime.name})" for runtime in found)
        raise CodeError(f"the code can be run by several runtimes: it holds {seen}", source=str(tree), hint=say)
    usual = "; ".join(f"{', '.join(runtime.scripts.get(entrypoint, ()))} ({runtime.name})" for runtime in candidates)
    raise CodeError(
        f"no runtime recognises the code: it holds no script of a usual name for the entrypoint {entrypoint!r}",
        source=str(tree),
        hint=f"Usual names: {usual or 'none, since no runtime is installed'}. {say}",
    )


def _parsed(path: Path, data: bytes, parse: Callable[[bytes], Manifest]) -> Manifest:
    try:
        with _one_manifest:
            return parse(data)
    except ManifestProblemsError as error:
        lines = "\n".join(f"{path.name}: {problem[:_MAX_PROBLEM]}" for problem in error.problems)
        raise CodeError(lines, source=str(path), hint=error.hint) from None


def _read(tree: Path, name: str) -> bytes | None:
    path = tree / name
    if not os.path.lexists(path):
        return None
    if not inside(tree, name):
        raise CodeError(f"{name}: is a link that leads out of the code", source=str(path))
    try:
        data = read_head(path, MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise CodeError(f"{name}: {error.strerror or error}", source=str(path)) from None
    if data is None or len(data) > MAX_MANIFEST_BYTES:
        problem = "is no regular file" if data is None else f"is larger than {MAX_MANIFEST_BYTES // 1024} KiB"
        raise CodeError(f"{name}: {problem}", source=str(path))
    return data
