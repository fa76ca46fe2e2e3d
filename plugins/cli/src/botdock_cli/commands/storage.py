"""`botdock storage`, and its verbs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from botdock.errors import EXIT_INFRASTRUCTURE
from botdock.model import validate_key
from botdock.model.units import format_bytes
from botdock_cli.commands import verb
from botdock_cli.layout import columns_of, wrapped
from botdock_cli.options import area_option, complete_files, interruptible, json_option, storage_option
from botdock_cli.output import (
    aligned,
    binary_stdout,
    counted,
    print_json,
    print_text,
    print_whole,
    stream_json,
    stream_text,
    to_stdout,
)
from botdock_cli.report import printable, say
from botdock_cli.session import Session, is_terminal
from botdock_cli.store import (
    as_document,
    check_target,
    fetch_file,
    naming_near_keys,
    open_source,
    open_store,
    replacing,
    store_file,
)
from botdock_cli.values import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from botdock.model import DeleteFailure, ObjectInfo
    from botdock_cli.store import Store

HELP = """An object has a key, such as bots/sma.zip, and lies in one of three areas: code, results, or logs.

\b
Examples:
  botdock storage put sma.zip bots/sma.zip      then: botdock run bots/sma.zip
  botdock storage ls bots/
  botdock storage get sma/analysis.json --area results -o -
  botdock storage rm --prefix logs/sma/ --area logs --yes

\b
Exit codes: 0; 2 for wrong usage, or an object that is not there; 125 when the storage could not do its part."""
_COUNTED = 1000
"""Objects that are counted to say what a prefix would delete."""


@verb("storage", HELP, cls=click.Group, invoke_without_command=True)
def command(_session: Session) -> int | None:
    """Show what there is, where no verb is named."""
    context = click.get_current_context()
    return None if context.invoked_subcommand else print_whole(f"{context.get_help()}\n")


def _verb(name: str, summary: str, text: str) -> Callable[[Callable[..., int]], None]:
    return lambda body: command.add_command(verb(name, text, summary=summary)(body))


def _place(body: Callable[..., int]) -> Callable[..., int]:
    """Add the options that all verbs have; `area` and `storage` are what `open_store` takes."""
    return area_option(storage_option(json_option(body)))


@_verb(
    "ls",
    "List objects: size, time of writing in UTC, and key.",
    """Lists all whose keys begin with PREFIX, sorted by key, each as soon as it is known.

\b
Examples:
  botdock storage ls
  botdock storage ls logs/sma/ --area logs
  botdock storage ls --json | jq -r '.[].key'

\b
Exit codes: 0; 2 for wrong usage; 125 when the storage could not do its part.""",
)
@click.argument("prefix", metavar="[PREFIX]", default="")
@_place
def ls(session: Session, *, prefix: str, as_json: bool, **place: Any) -> int:
    """List objects."""
    with open_store(session, **place) as store:
        objects = store.backend.list(prefix)
        return stream_json(map(as_document, objects)) if as_json else _list_as_text(store, prefix, objects)


def _list_as_text(store: Store, prefix: str, objects: Iterator[ObjectInfo]) -> int:
    first = next(objects, None)
    if first is None:
        say(f"nothing in {store}" + (f" begins with {prefix!r}" if prefix else ""))
        return 0
    return stream_text(_table(chain([first], objects)))


def _table(objects: Iterable[ObjectInfo]) -> Iterator[str]:
    """Yield a table; the key comes last, so that no line has to wait for the longest one."""
    width = columns_of(sys.stdout)
    yield f"{'SIZE':>10}  {'MODIFIED':20}  KEY"
    for info in objects:
        modified = f"{info.modified.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        beside = f"{format_bytes(info.size):>10}  {modified}  "
        yield from wrapped(printable(info.key), width, first=beside, rest=" " * len(beside))


@_verb(
    "stat",
    "Show what is known of an object: size in bytes, time of writing, etag.",
    """\b
Examples:
  botdock storage stat bots/sma.zip
  botdock storage stat sma/analysis.json --area results --json

\b
Exit codes: 0; 2 for an object that is not there; 125 when the storage could not do its part.""",
)
@click.argument("key", metavar="KEY")
@_place
def stat(session: Session, *, key: str, as_json: bool, **place: Any) -> int:
    """Show what is known of an object."""
    validate_key(key)
    with open_store(session, **place) as store, naming_near_keys(store, key):
        document = as_document(store.backend.stat(key))
    if as_json:
        return print_json(document)
    return print_text(aligned([(name, str(value)) for name, value in document.items()]))


@_verb(
    "get",
    "Copy an object into a file, or to stdout.",
    """The file appears when it is complete, or not at all.

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
  130  interrupted; no file is left""",
)
@click.argument("key", metavar="KEY")
@click.option(
    "--output",
    "-o",
    metavar="FILE|-",
    shell_complete=complete_files,
    help="The file; - is stdout. Else ./<last part of KEY>.",
)
@click.option("--force", "-f", is_flag=True, help="Replace a file that is there.")
@_place
@interruptible
def get(session: Session, *, key: str, output: str | None, force: bool, as_json: bool, **place: Any) -> int:
    """Copy an object into a file, or to stdout."""
    validate_key(key)
    if output == "-":
        if as_json:
            raise OptionError("--json", "stdout is taken by the object itself", hint="Name a file: -o FILE.")
        return _to_stdout(session, key, **place)
    name = key.rpartition("/")[2]
    target = Path(name if output is None else output)
    check_target(target, force=force, name=name)
    with open_store(session, **place) as store, replacing(target) as file:
        size = fetch_file(store, key, file)
    if as_json:
        return print_json({"key": key, "path": str(target), "size": size})
    return print_text([f"{target}: {format_bytes(size)}"])


def _to_stdout(session: Session, key: str, **place: Any) -> int:
    def write() -> None:
        with open_store(session, **place) as store:
            fetch_file(store, key, binary_stdout(), shown=not is_terminal(sys.stdout))
        binary_stdout().flush()

    return to_stdout(write)


@_verb(
    "put",
    "Store a file, or what comes from stdin, as an object.",
    """An object that is there is replaced; readers see the old one or the new one, never a mixture.

\b
Examples:
  botdock storage put sma.zip bots/sma.zip
  pg_dump | botdock storage put - dumps/today.sql --area results

\b
Exit codes:
  0    it is stored
  2    a file that cannot be read, or no key
  125  the storage could not do its part
  130  interrupted; nothing of it is stored""",
)
@click.argument("file", metavar="FILE|-", shell_complete=complete_files)
@click.argument("key", metavar="KEY")
@_place
@interruptible
def put(session: Session, *, file: str, key: str, as_json: bool, **place: Any) -> int:
    """Store an object."""
    validate_key(key)
    with open_source(file) as source, open_store(session, **place) as store:
        info = store_file(store, key, source)
    if as_json:
        return print_json(as_document(info))
    return print_text([f"{info.key}: {format_bytes(info.size)}", f"etag {info.etag}"])


@_verb(
    "rm",
    "Delete objects.",
    """When one of the keys is not there, none is deleted. A prefix that is a folder ends with /.

\b
Examples:
  botdock storage rm bots/sma.zip bots/old.zip
  botdock storage rm --prefix logs/sma/ --area logs           says how many it would delete
  botdock storage rm --prefix logs/sma/ --area logs --yes     deletes them

\b
Exit codes: 0; 2 for wrong usage, or an object that is not there; 125 when some could not be deleted.""",
)
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--prefix", metavar="P", help="Delete all whose keys begin with P; needs --yes.")
@click.option("--yes", "-y", is_flag=True, help="Do what --prefix says.")
@_place
def rm(session: Session, *, keys: Sequence[str], prefix: str | None, yes: bool, as_json: bool, **place: Any) -> int:
    """Delete objects."""
    wanted = list(dict.fromkeys(keys or ()))
    _check(wanted, prefix)
    with open_store(session, **place) as store:
        deleted, failures = _delete(store, wanted) if prefix is None else _delete_below(store, prefix, yes=yes)
    for failure in failures:
        say(f"{failure.key} was not deleted: {failure.reason}")
    refused = [{"key": failure.key, "reason": failure.reason} for failure in failures]
    done = {"deleted": deleted, "failures": refused}
    printed = print_json(done) if as_json else print_text([f"{counted(deleted, 'object')} deleted"])
    return EXIT_INFRASTRUCTURE if failures else printed


def _check(keys: Sequence[str], prefix: str | None) -> None:
    if prefix is None and not keys:
        raise OptionError("KEY", "nothing says what to delete", hint="Name keys, or --prefix P.")
    if prefix is not None and keys:
        raise OptionError("--prefix", "cannot be combined with keys", hint="Delete the one, then the other.")
    if prefix == "":
        raise OptionError("--prefix", "is empty, which means everything", hint="Name the first characters of the keys.")
    for key in keys:
        validate_key(key)


def _delete(store: Store, keys: Sequence[str]) -> tuple[int, Sequence[DeleteFailure]]:
    for key in keys:
        with naming_near_keys(store, key):
            store.backend.stat(key)
    failures = tuple(store.backend.delete(keys))
    return len(keys) - len(failures), failures


def _delete_below(store: Store, prefix: str, *, yes: bool) -> tuple[int, Sequence[DeleteFailure]]:
    if not yes:
        count = sum(1 for _ in islice(store.backend.list(prefix), _COUNTED + 1))
        many = f"more than {_COUNTED} objects" if count > _COUNTED else counted(count, "object")
        raise OptionError(
            "--prefix",
            f"{many} in {store} would be deleted, whose keys begin with {prefix!r}; none was",
            hint="--yes deletes them.",
        )
    report = store.service.delete_files(store.area, prefix)
    return report.deleted, report.failures
