"""The settings of this plugin: `[options.local-fs]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from botdock.config import Section, setting
from botdock.config.rules import Rule

if TYPE_CHECKING:
    from botdock import Config

NAME = "local-fs"


def _root_problem(root: str) -> str | None:
    try:
        Path(root).expanduser()
    except RuntimeError:
        return f"{root[:80]!r} begins with a user who does not exist"
    return None


@attrs.frozen(kw_only=True)
class LocalFsSettings(Section):
    """Where objects lie.

    Attributes:
        root: The folder that holds all of them; empty means `storage` in botdock's state folder.
    """

    root: str = setting("", rule=Rule(_root_problem))


def root_of(config: Config) -> Path:
    """Return the folder that holds all objects.

    Raises:
        ConfigError: With every setting that is wrong.
    """
    root = config.options_for(NAME, LocalFsSettings).root
    return Path(root).expanduser().absolute() if root else config.home_dir / "storage"
