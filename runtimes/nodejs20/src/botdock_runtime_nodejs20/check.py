"""Says before a run what is wrong with a Node.js script, as far as reading it can tell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_EXPORTS = re.compile(rb"export|\bthis\b")
"""Whoever exports says `export`, `exports`, `module.exports`, or sets a member of `this`, which is the same."""


def problems(tree: Path, script: str) -> Iterator[str]:
    """Yield what is wrong with `script` in `tree`, in words."""
    if not _EXPORTS.search((tree / script).read_bytes()):
        yield f"{script} exports nothing; it needs `export function main(id, config)` or `module.exports = {{ main }}`"
    package = tree / "package.json"
    if package.is_file() and (problem := _package_problem(package.read_bytes())):
        yield f"package.json {problem}"


def _package_problem(content: bytes) -> str | None:
    """Say why Node would refuse a package.json, and with it every script beside it."""
    try:
        package = json.loads(content)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    return None if isinstance(package, dict) else "must hold an object"
