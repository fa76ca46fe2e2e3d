"""`botdock config`: what is in force, and the files it comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdock.config import document
from botdock.config.config import CONFIG_FILE_NAME, CONFIG_VARIABLE
from botdock_cli.toml import to_toml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock_cli.session import Session


def as_document(session: Session) -> dict[str, Any]:
    """Return the effective configuration, secrets masked."""
    return document(session.load_config())


def as_text(session: Session) -> Iterator[str]:
    """Yield the effective configuration as TOML, and first where it comes from."""
    lines = list(to_toml(as_document(session)))
    yield f"# {where(session)}"
    yield from lines


def where(session: Session) -> str:
    """Say in one line which file is used."""
    used = used_file(session)
    return (
        f"from {used}, the environment and the defaults" if used else "from the environment and the defaults; no file"
    )


def paths_as_document(session: Session) -> dict[str, Any]:
    """Return which file is used, and all that could be, the first that exists winning."""
    used = used_file(session)
    listed = [{"source": source, "path": str(path), "exists": path.is_file()} for source, path in candidates(session)]
    return {"path": None if used is None else str(used), "candidates": listed}


def paths_as_text(session: Session) -> Iterator[str]:
    """Yield the file that is used, and where it was looked for."""
    used = used_file(session)
    yield str(used) if used else "no configuration file"
    for source, path in candidates(session):
        mark = "used" if path == used else "there, not used" if path.is_file() else "not there"
        yield f"  {source}: {path} ({mark})"


def used_file(session: Session) -> Path | None:
    """Return the file that `Config.load` reads: one that is named, whether it is there or not, else the first there."""
    for source, path in candidates(session):
        if source in {"--config-file", CONFIG_VARIABLE} or path.is_file():
            return path
    return None


def candidates(session: Session) -> Iterator[tuple[str, Path]]:
    """Yield where the file may be, in the order in which it is looked for."""
    if session.config_file is not None:
        yield "--config-file", Path(session.config_file)
    if named := os.environ.get(CONFIG_VARIABLE):
        yield CONFIG_VARIABLE, Path(named)
    yield "working folder", Path.cwd() / CONFIG_FILE_NAME
    import platformdirs

    yield "config folder", Path(platformdirs.user_config_dir("botdock", appauthor=False)) / CONFIG_FILE_NAME
