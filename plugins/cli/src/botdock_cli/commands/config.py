"""`botdock config`: what is in force, and where it comes from; and `config trust`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from botdock_cli.commands import verb
from botdock_cli.options import complete_files, json_option
from botdock_cli.output import print_json, print_text, print_value
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from botdock.config import ConfigFiles

HELP = """Arguments win over the environment (BOTDOCK_<SECTION>__<KEY>), which wins over the files, which win over
the defaults. What is printed is TOML: a botdock.toml to start from. The first lines say which files are read, and why
the botdock.toml of this folder is not: other users could write it. One that you have not trusted can only tighten.

\b
Exit codes: 0; 2 when the configuration is wrong, with every problem of it."""


@verb("config", HELP, cls=click.Group, invoke_without_command=True)
@click.option("--path", is_flag=True, help="Show the file that is used, and where it was looked for.")
@json_option
def command(session: Session, *, path: bool, as_json: bool) -> int | None:
    """Show the configuration, where no verb is named."""
    if click.get_current_context().invoked_subcommand is not None:
        return None
    if path:
        return print_json(paths_as_document(session)) if as_json else print_text(paths_as_text(session))
    return print_value(as_document(session)) if as_json else print_text(as_text(session), folds=False)


_TRUST = """A botdock.toml of the working folder came with that folder, so it can only tighten what holds without it,
until you have trusted it. What you trust is this file in this wording: after a change, trust it again.

\b
Exit codes: 0; 2 when it cannot be read, or when other users could write it."""


@verb("trust", _TRUST, summary="Let a botdock.toml of a folder set everything, as it reads now.")
@click.argument("file", metavar="[FILE]", default="botdock.toml", shell_complete=complete_files)
@click.option("--revoke", is_flag=True, help="Trust it no longer, as it reads now or read before.")
@json_option
def _trust(_session: Session, *, file: str, revoke: bool, as_json: bool) -> int:
    """Trust a file."""
    from botdock.config import trust_file

    path = Path(file).absolute()
    trust_file(path, revoke=revoke)
    if as_json:
        return print_json({"schema": 1, "file": str(path), "trusted": not revoke})
    return print_text([f"{path}: {'no longer trusted' if revoke else 'trusted as it reads now'}"])


command.add_command(_trust)


def as_document(session: Session) -> dict[str, Any]:
    """Return the effective configuration, secrets masked.

    Raises:
        ConfigError: With every problem of it.
    """
    from botdock.config import document

    config = session.config
    return document(attrs.evolve(config, options=session.plugins.sections.complete(config.options)))


def setting_names(session: Session) -> list[str]:
    """Return what `--set` can set, as it is typed there. Raises as `as_document` does."""
    return [".".join(path) for path in _leaves(as_document(session))]


def as_text(session: Session) -> Iterator[str]:
    """Yield the effective configuration as TOML, and first, as comments, what is not the default and who set it."""
    effective = as_document(session)
    from botdock.config import to_toml

    yield f"# {where(session)}"
    for path, source in origins(session, effective):
        yield f"# {'.'.join(path)} is set by {source}"
    yield from to_toml(effective).rstrip("\n").split("\n")


def origins(session: Session, effective: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each setting that a file or the environment has set, and which of them: `environment BOTDOCK_ENGINE`."""
    origin = origin_of(session)
    for path in _leaves(effective):
        if source := origin(path):
            yield path, source


def origin_of(session: Session, overrides: Mapping[str, Any] | None = None) -> Callable[[tuple[str, ...]], str]:
    """Return what tells who has set a setting: `--set`, `environment BOTDOCK_ENGINE`, a file; empty for its default.

    Args:
        session: This call.
        overrides: What its options change in the configuration.
    """
    from botdock.config import Config, Layer, read_environment, read_file, read_operator_files

    sections = session.plugins.sections
    environment, _ = read_environment(Config, os.environ, sections)
    core = [field.name for field in attrs.fields(Config)]
    arguments = sections.canonical(Layer(data=dict(overrides or {}), source="an option, or --set"), core)[0]
    read = [sections.canonical(read_file(path), core)[0] for path in reversed(config_files(session).used)]
    operators = [one.layer for one in reversed(read_operator_files(os.environ))]
    layers = [arguments, environment, *read, *operators]

    def tell(path: tuple[str, ...]) -> str:
        layer = next((layer for layer in layers if layer.holds(path)), None)
        if layer is None or layer is arguments:
            return layer.source if layer else ""
        return layer.name(path) if layer is environment else str(Path(layer.source).absolute())

    return tell


def _leaves(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def where(session: Session) -> str:
    """Say in one line which files are used, which is not and why, and the operators' files that bind."""
    from botdock.config import operator_files

    files = config_files(session)
    used = "".join(f"{path.absolute()}, " for path in reversed(files.used))
    ignored = f"; {files.folder} is not read: {files.ignored}" if files.ignored else ""
    bounds = "".join(f"; bounded by {path}" for path in operator_files(os.environ))
    return f"from {used}the environment and the defaults{'' if used else '; no file'}{ignored}{bounds}"


def config_files(session: Session) -> ConfigFiles:
    """Return which files are read, and which is not and why.

    Raises:
        ConfigError: A file that was named is not there.
    """
    from botdock.config import find_config_files

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
    from botdock.config import is_trusted

    untrusted = files.folder and path.samefile(files.folder) and not is_trusted(path, path.read_bytes())
    return "used, can only tighten: not trusted" if untrusted else "used"


def _candidates(session: Session) -> Iterator[tuple[str, Path, str]]:
    """Yield where a file may be, the one that wins first, and why one is ignored that is there."""
    from botdock.config import CONFIG_FILE_NAME, CONFIG_VARIABLE, platform_folder

    if session.config_file:
        yield "--config-file", Path(session.config_file).absolute(), ""
    if named := os.environ.get(CONFIG_VARIABLE):
        yield CONFIG_VARIABLE, Path(named).absolute(), ""
    yield "working folder", Path.cwd() / CONFIG_FILE_NAME, config_files(session).ignored
    yield "config folder", platform_folder("config") / CONFIG_FILE_NAME, ""
