"""The settings of this plugin: `[options.local-fs]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from botdock.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdock import Config

NAME = "local-fs"
_KNOWN = ("root",)


def root_of(config: Config) -> Path:
    """Return the folder that holds all objects: `root`, else `storage` in botdock's home.

    Raises:
        ConfigError: With every setting that is wrong.
    """
    options = config.options_for(NAME)
    if problems := list(_problems(options)):
        raise ConfigError(problems)
    root = options.get("root")
    return Path(root).expanduser().absolute() if root else config.home_dir / "storage"


def _problems(options: Mapping[str, object]) -> Iterator[str]:
    for key in sorted(set(options) - set(_KNOWN)):
        near = nearest(key, _KNOWN)
        yield f"options.{NAME}.{key}: unknown key; " + (f"did you mean {near[0]}?" if near else "known: root")
    root = options.get("root", "")
    if not isinstance(root, str) or "\0" in root:
        yield f"options.{NAME}.root: must be the path of a folder, as text, not {type(root).__name__}"
        return
    try:
        Path(root).expanduser()
    except RuntimeError:
        yield f"options.{NAME}.root: {root[:80]!r} begins with a user who does not exist"
