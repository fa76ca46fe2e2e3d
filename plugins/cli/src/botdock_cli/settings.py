"""`botdock config`: what is in force, and where it comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdock.config import Config, document, to_toml
from botdock.config.config import CONFIG_FILE_NAME, CONFIG_VARIABLE
from botdock.config.environment import read_environment
from botdock.config.loading import find_config_file, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdock_cli.session import Session

KeyPath = tuple[str, ...]


def as_document(session: Session) -> dict[str, Any]:
    """Return the effective configuration, secrets masked.

    Raises:
        ConfigError: With every problem of it.
    """
    return document(session.load_config())


def as_text(session: Session) -> Iterator[str]:
    """Yield the effective configuration as TOML, and first, as comments, what is not the default and who set it."""
    effective = as_document(session)
    yield f"# {where(session)}"
    for path, source in origins(session, effective):
        yield f"# {'.'.join(path)} is set by {source}"
    yield to_toml(effective).rstrip("\n")


def origins(session: Session, effective: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield each setting that file or environment has set, and which of them: `environment BOTDOCK_ENGINE`."""
    used = used_file(session)
    environment, _ = read_environment(Config, os.environ)
    layers = [environment, *([read_file(used)] if used else [])]
    for path in _leaves(effective):
        for layer in layers:
            if layer.holds(path):
                yield path, layer.name(path) if layer is environment else layer.source
                break


def _leaves(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def where(session: Session) -> str:
    """Say in one line which file is used."""
    used = used_file(session)
    return (
        f"from {used}, the environment and the defaults" if used else "from the environment and the defaults; no file"
    )


def used_file(session: Session) -> Path | None:
    """Return the file that is read, or None.

    Raises:
        ConfigError: A file that was named is not there.
    """
    found = find_config_file(session.config_file, os.environ)
    return found and found.absolute()


def paths_as_document(session: Session) -> dict[str, Any]:
    """Return which file is used, and all that could be, the first that is there winning."""
    used = used_file(session)
    listed = [{"source": source, "path": str(path), "exists": path.is_file()} for source, path in _candidates(session)]
    return {"path": None if used is None else str(used), "candidates": listed}


def paths_as_text(session: Session) -> Iterator[str]:
    """Yield the file that is used, and where it was looked for."""
    used = used_file(session)
    yield str(used) if used else "no configuration file"
    for source, path in _candidates(session):
        mark = "used" if path == used else "there, not used" if path.is_file() else "not there"
        yield f"  {source}: {path} ({mark})"


def _candidates(session: Session) -> Iterator[tuple[str, Path]]:
    """Yield where the file may be, in the order in which it is looked for."""
    if session.config_file:
        yield "--config-file", Path(session.config_file).absolute()
    if named := os.environ.get(CONFIG_VARIABLE):
        yield CONFIG_VARIABLE, Path(named).absolute()
    yield "working folder", Path.cwd() / CONFIG_FILE_NAME
    import platformdirs

    yield "config folder", Path(platformdirs.user_config_dir("botdock", appauthor=False)) / CONFIG_FILE_NAME
