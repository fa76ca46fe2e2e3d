"""`botdock new`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from botdock_cli.commands import verb
from botdock_cli.options import complete_files, interruptible, json_option
from botdock_cli.output import print_json, print_text
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KINDS = ("runtime", "storage", "engine", "sink", "exporter", "bot")

HELP = """A plugin is written as a whole distribution: pyproject.toml, typed source, the contract test that the bundled
ones pass, and a README. It works before anything is changed: it is a bundled plugin under another name. A bot is a
folder that `botdock run` takes.

\b
KIND, and what it starts from:
  runtime   Perl: the script itself, started by a shell script
  storage   one SQLite file
  engine    plain processes beside a shim that outlives the runner
  sink      loguru
  exporter  Prometheus, as an endpoint or a file
  bot       a main(id, config) in Python

\b
Examples:
  botdock new runtime lua
  botdock new storage tape -o ../tape
  botdock new bot sma

\b
Exit codes:
  0    it is there
  2    a name that cannot be or is taken, a folder that is there already
  130  interrupted; nothing half written is left"""


@verb("new", HELP)
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS))
@click.argument("name")
@click.option(
    "--output",
    "-o",
    metavar="DIR",
    shell_complete=complete_files,
    help="The folder to make. Else one here, called after the distribution or the bot.",
)
@json_option
@interruptible
def command(session: Session, *, kind: str, name: str, output: str | None, as_json: bool) -> int:  # noqa: ARG001 - no configuration is read
    """Write a new plugin or bot."""
    from botdock_cli.scaffold import files_of, folder_name, next_steps

    _check_name(kind, name)
    folder = Path(output or folder_name(kind, name))
    files = files_of(kind, name)
    _write(folder, files)
    steps = next_steps(kind, name)
    if as_json:
        return print_json({"kind": kind, "name": name, "folder": str(folder), "files": sorted(files), "next": steps})
    return print_text(_as_text(folder, files, [f"cd {folder}", *steps]))


def _check_name(kind: str, name: str) -> None:
    from botdock_cli.scaffold import NAME

    if not NAME.fullmatch(name):
        near = "-".join("".join(char if char.isalnum() else " " for char in name.lower()).split())
        spelt = f"; {near!r} would do" if NAME.fullmatch(near) else ""
        raise click.BadParameter(
            f"{name!r} is not lower-case letters and digits, with single dashes between them, that begin with a letter"
            + spelt,
            param_hint="'NAME'",
        )
    if owner := _owner(kind, name):
        raise click.BadParameter(
            f"the {kind} {name!r} is there already, of {owner}; choose another", param_hint="'NAME'"
        )


def _owner(kind: str, name: str) -> str:
    """Return the distribution whose plugin has this name, or an alias of it, already; empty for none."""
    from botdock.plugin_manager import PluginManager

    manager = PluginManager.load()
    names = {name, *(one for one, runtime in manager.runtimes().items() if kind == "runtime" and runtime.knows(name))}
    provided = {f"{kind}:{one}" for one in names}
    return next((one.distribution for one in manager.records if not provided.isdisjoint(one.provides)), "")


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write all files, or nothing.

    Raises:
        TargetError: There is something of that name, or its parent is not a folder, or not to be written.
    """
    import tempfile

    from botdock_cli.store import TargetError, check_folder

    if os.path.lexists(folder):
        raise TargetError(f"{folder} is there already", hint="Name another folder: -o DIR")
    check_folder(folder.parent, hint="Make it first, or name another: -o DIR")
    with tempfile.TemporaryDirectory(prefix=".botdock-new-", dir=folder.absolute().parent) as place:
        draft = Path(place, "draft")
        for name, text in files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_text(text, encoding="utf-8")
        draft.rename(folder.absolute())


def _as_text(folder: Path, files: Mapping[str, str], steps: list[str]) -> Iterator[str]:
    yield f"{folder}:"
    yield from (f"  {name}" for name in sorted(files))
    yield ""
    yield "next:"
    yield from (f"  {step}" for step in steps)
