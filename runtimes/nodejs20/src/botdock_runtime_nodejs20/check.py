"""Says before a run what is wrong with a Node.js script, as far as reading it can tell."""

from __future__ import annotations

import json
import re
from posixpath import normpath
from typing import TYPE_CHECKING

from botdock import read_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEFINES_MAIN = re.compile(rb"(?m)^(?:async\s+)?function[\s*]+main\b|^(?:const|let|var|class)\s+main\b")
_EXPORTS = re.compile(rb"\bexports?\b|\bthis\b")
"""A script that exports says `export`, `exports`, `module.exports`, or sets a member of `this`, which is the same."""
_MAIN = re.compile(rb"\bmain\b")
_SUFFIXES = (".js", ".mjs", ".cjs")
_ENDINGS = ("", ".js", "/index.js")
"""What Node.js tries after the `main` of a package.json, as far as it is a script."""


def declared(tree: Path) -> str | None:
    """Return what `node .` runs in `tree`: what `main` of its package.json means, or its index."""
    try:
        package = json.loads((read_code(tree, "package.json") or b"{}").decode("utf-8-sig"))
        main = package.get("main") if isinstance(package, dict) else None
    except (ValueError, RecursionError):
        main = None
    names = [normpath(main) + ending for ending in _ENDINGS] if isinstance(main, str) and main else []
    return next((name for name in (*names, "index.js", "index.mjs") if _is_script(tree, name)), None)


def _is_script(tree: Path, name: str) -> bool:
    is_within = not name.startswith(("/", "../"))
    return is_within and name.endswith(_SUFFIXES) and (tree / name).is_file()


def problems(tree: Path, script: str) -> Iterator[str]:
    """Yield what is wrong with `script` in `tree`, in words."""
    source = read_code(tree, script)
    if source is not None and _forgets_main(source):
        yield (
            f"{script} defines a main, which it neither exports nor calls; it needs `export function main(id, config)` "
            "or `module.exports = { main }`"
        )
    package = read_code(tree, "package.json")
    if package is not None and (problem := _package_problem(package)):
        yield f"package.json {problem}"


def _forgets_main(source: bytes) -> bool:
    return bool(_DEFINES_MAIN.search(source)) and not _EXPORTS.search(source) and len(_MAIN.findall(source)) == 1


def _package_problem(content: bytes) -> str | None:
    """Say why Node would refuse a package.json, and with it every script beside it."""
    try:  # numbers stay text: Node knows no longest
        package = json.loads(content.decode("utf-8-sig", "replace"), parse_int=str, parse_float=str)
    except ValueError as error:
        return f"is not JSON: {error}"
    except RecursionError:  # Node reads deeper
        return None
    return None if isinstance(package, dict) else "must hold an object"
