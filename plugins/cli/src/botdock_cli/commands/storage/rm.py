"""`botdock storage rm`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from botdock_cli.options import Area, AreaOption, ConfigFile, Json, StorageName
from botdock_cli.output import print_json, print_text
from botdock_cli.report import say
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdock.model import DeleteFailure
    from botdock_cli.store import Store

NAME = "rm"
SUMMARY = "Delete objects."
HELP = """When one of the keys is not there, none is deleted. A prefix that is a folder ends with /.

\b
Examples:
  botdock storage rm bots/sma.zip bots/old.zip
  botdock storage rm --prefix logs/sma/ --area logs           says how many it would delete
  botdock storage rm --prefix logs/sma/ --area logs --yes     deletes them

\b
Exit codes: 0; 2 for wrong usage, or an object that is not there; 125 when some could not be deleted."""
_COUNTED = 1000
"""Objects that are counted to say what a prefix would delete."""


def command(
    context: typer.Context,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="The objects.")] = None,
    *,
    prefix: Annotated[
        str | None, typer.Option("--prefix", metavar="P", help="Delete all whose keys begin with P; needs --yes.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do what --prefix says.")] = False,
    area: AreaOption = Area.CODE,
    storage: StorageName = None,
    json: Json = False,
    config_file: ConfigFile = None,  # noqa: ARG001 - its callback keeps it
) -> int:
    """Delete objects."""
    from botdock.errors import EXIT_INFRASTRUCTURE
    from botdock_cli.store import open_store

    wanted = list(dict.fromkeys(keys or ()))
    _check(wanted, prefix)
    with open_store(context.ensure_object(Session), area=area.value, storage=storage) as store:
        deleted, failures = _delete(store, wanted) if prefix is None else _delete_below(store, prefix, yes=yes)
    for failure in failures:
        say(f"{failure.key} was not deleted: {failure.reason}")
    refused = [{"key": failure.key, "reason": failure.reason} for failure in failures]
    done = {"deleted": deleted, "failures": refused}
    printed = print_json(done) if json else print_text([f"{_objects(deleted)} deleted"])
    return EXIT_INFRASTRUCTURE if failures else printed


def _check(keys: Sequence[str], prefix: str | None) -> None:
    from botdock.model import validate_key
    from botdock_cli.request import OptionError

    if prefix is None and not keys:
        raise OptionError("KEY", "what is to be deleted?", hint="Name keys, or --prefix P.")
    if prefix is not None and keys:
        raise OptionError("--prefix", "not together with keys", hint="Delete the one, then the other.")
    if prefix == "":
        raise OptionError("--prefix", "is empty, which means everything", hint="Name the first characters of the keys.")
    for key in keys:
        validate_key(key)


def _delete(store: Store, keys: Sequence[str]) -> tuple[int, Sequence[DeleteFailure]]:
    from botdock_cli.store import naming_near_keys

    for key in keys:
        with naming_near_keys(store, key):
            store.backend.stat(key)
    failures = tuple(store.backend.delete(keys))
    return len(keys) - len(failures), failures


def _delete_below(store: Store, prefix: str, *, yes: bool) -> tuple[int, Sequence[DeleteFailure]]:
    from botdock_cli.request import OptionError

    if not yes:
        count = sum(1 for _ in islice(store.backend.list(prefix), _COUNTED + 1))
        many = f"more than {_COUNTED} objects" if count > _COUNTED else _objects(count)
        raise OptionError(
            "--prefix",
            f"{many} in {store} would be deleted, whose keys begin with {prefix!r}; none was",
            hint="--yes deletes them.",
        )
    report = store.service.delete_files(store.area, prefix)
    return report.deleted, report.failures


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"
