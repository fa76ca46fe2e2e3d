"""`botdock config`: what is in force, and where it comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock.config import (
    CONFIG_FILE_NAME,
    CONFIG_VARIABLE,
    Config,
    ConfigFiles,
    document,
    find_config_files,
    is_trusted,
    platform_folder,
    read_environment,
    read_file,
    to_toml,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdock_cli.session import Session

KeyPath = tuple[str, ...]


def as_document(session: Session) -> dict[str, Any]:
    """Return the effective configuration, secrets masked.

    Raises:
        ConfigError: With every problem of it.
    """
    config = session.load_config()
    return document(attrs.evolve(config, options=session.plugins.sections.complete(config.options)))


def as_text(session: Session) -> Iterator[str]:
    """Yield the effective configuration as TOML, and first, as comments, what is not the default and who set it."""
    effective = as_document(session)
    yield f"# {where(session)}"
    for path, source in origins(session, effective):
        yield f"# {'.'.join(path)} is set by {source}"
    yield from to_toml(effective).rstrip("\n").split("\n")


def origins(session: Session, effective: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield each setting that a file or the environment has set, and which of them: `environment BOTDOCK_ENGINE`."""
    sections = session.plugins.sections
    environment, _ = read_environment(Config, os.environ, sections)
    core = [field.name for field in attrs.fields(Config)]
    read = [sections.canonical(read_file(path), core)[0] for path in reversed(config_files(session).used)]
    layers = [environment, *read]
    for path in _leaves(effective):
        for layer in layers:
            if layer.holds(path):
                yield path, layer.name(path) if layer is environment else str(Path(layer.source).absolute())
                break


def _leaves(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def where(session: Session) -> str:
    """Say in one line which files are used, and which is not and why."""
    files = config_files(session)
    used = "".join(f"{path.absolute()}, " for path in reversed(files.used))
    ignored = f"; {files.folder} is not read: {files.ignored}" if files.ignored else ""
    return f"from {used}the environment and the defaults{'' if used else '; no file'}{ignored}"


def config_files(session: Session) -> ConfigFiles:
    """Return which files are read, and which is not and why.

    Raises:
        ConfigError: A file that was named is not there.
    """
    return find_config_files(session.config_file, os.environ)


def paths_as_document(session: Session) -> dict[str, Any]:
    """Return which file wins, and all that could be, with whether each is used and why not."""
    used = [str(path.absolute()) for path in reversed(config_files(session).used)]
    listed = [
        {"source": source, "path": str(path), "exists": path.is_file(), "used": str(path) in used, "ignored": ignored}
        for source, path, ignored in _candidates(session)
    ]
    return {"path": used[0] if used else None, "candidates": listed}


def paths_as_text(session: Session) -> Iterator[str]:
    """Yield the file that wins, and where it was looked for."""
    files = config_files(session)
    used = [path.absolute() for path in reversed(files.used)]
    yield str(used[0]) if used else "no configuration file"
    for source, path, ignored in _candidates(session):
        there = f"not read: {ignored}" if ignored else "there, not used"
        mark = _used(path, files) if path in used else there if path.is_file() else "not there"
        yield f"  {source}: {path} ({mark})"


def _used(path: Path, files: ConfigFiles) -> str:
    untrusted = files.folder and path.samefile(files.folder) and not is_trusted(path, path.read_bytes())
    return "used, can only tighten: not trusted" if untrusted else "used"


def _candidates(session: Session) -> Iterator[tuple[str, Path, str]]:
    """Yield where a file may be, the one that wins first, and why one is ignored that is there."""
    if session.config_file:
        yield "--config-file", Path(session.config_file).absolute(), ""
    if named := os.environ.get(CONFIG_VARIABLE):
        yield CONFIG_VARIABLE, Path(named).absolute(), ""
    yield "working folder", Path.cwd() / CONFIG_FILE_NAME, config_files(session).ignored
    yield "config folder", platform_folder("config") / CONFIG_FILE_NAME, ""
