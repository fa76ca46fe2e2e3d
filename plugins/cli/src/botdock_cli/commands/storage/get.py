"""`botdock storage get`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName, interruptible
from botdock_cli.output import abandon_stdout, binary_stdout, print_json, print_text
from botdock_cli.report import EXIT_BROKEN_PIPE
from botdock_cli.session import Session, is_terminal

if TYPE_CHECKING:
    from typing import BinaryIO

    from botdock_cli.store import Store

NAME = "get"
SUMMARY = "Copy an object into a file, or to stdout."
HELP = """The file appears when it is complete, or not at all.

\b
Examples:
  botdock storage get bots/sma.zip                                writes ./sma.zip
  botdock storage get bots/sma.zip -o old.zip --force
  botdock storage get sma/analysis.json --area results -o - | jq

\b
Exit codes:
  0    it is there
  2    no such object, or a file that is there already
  125  the storage, or the disk, could not do its part
  130  interrupted; no file is left"""
_STDOUT = "-"
_CHUNK = 1024 * 1024


@interruptible
def command(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The object.")],
    *,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE|-", help="The file; - is stdout. Else ./<last part of KEY>."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a file that is there.")] = False,
    area: AreaOption = Area.CODE,
    storage: StorageName = None,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Copy an object into a file, or to stdout."""
    from pathlib import Path

    from botdock.model import validate_key
    from botdock.model.units import format_bytes
    from botdock_cli.files import check_target, replacing
    from botdock_cli.request import OptionError
    from botdock_cli.store import open_store

    validate_key(key)
    session = context.ensure_object(Session)
    if output == _STDOUT:
        if json:
            raise OptionError("--json", "stdout is taken by the object itself", hint="Name a file: -o FILE.")
        return _to_stdout(session, key, area=area.value, storage=storage)
    name = key.rpartition("/")[2]
    target = Path(name if output is None else output)
    check_target(target, force=force, name=name)
    with open_store(session, area=area.value, storage=storage) as store, replacing(target) as file:
        size = _copy(store, key, file)
    if json:
        return print_json({"key": key, "path": str(target), "size": size})
    return print_text([f"{target}: {format_bytes(size)}"])


def _to_stdout(session: Session, key: str, *, area: str, storage: str | None) -> int:
    from botdock_cli.store import open_store

    try:
        with open_store(session, area=area, storage=storage) as store:
            _copy(store, key, binary_stdout(), shown=not is_terminal(sys.stdout))
        binary_stdout().flush()
    except BrokenPipeError:
        abandon_stdout()
        return EXIT_BROKEN_PIPE
    return 0


def _copy(store: Store, key: str, sink: BinaryIO, *, shown: bool = True) -> int:
    from botdock.model import Phase
    from botdock_cli.progress import bars_on_terminal, watched
    from botdock_cli.store import naming_near_keys

    with bars_on_terminal(shown=shown) as bars, naming_near_keys(store, key):
        total = store.backend.stat(key).size if bars else 0
        copied = 0
        with store.backend.get(key) as reader:
            source = watched(reader, bars, phase=Phase.FETCH, what=key, total=total)
            while chunk := source.read(_CHUNK):
                sink.write(chunk)
                copied += len(chunk)
    return copied
