"""`botdock storage rm`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from botdock.errors import EXIT_INFRASTRUCTURE
from botdock.model import validate_key
from botdock.services.storage import DeleteReport
from botdock_cli.output import print_json, print_text
from botdock_cli.report import say
from botdock_cli.request import OptionError
from botdock_cli.store import naming_near_keys, open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdock_cli.session import Session
    from botdock_cli.store import Store

_COUNTED = 1000
"""Objects that are counted to say what a prefix would delete."""


def remove(
    session: Session,
    keys: Sequence[str],
    *,
    prefix: str | None,
    yes: bool,
    area: str,
    storage: str | None,
    as_json: bool,
) -> int:
    """Delete objects, say how many and which could not be, and return what to exit with: 125 for the latter.

    Raises:
        OptionError: Neither keys nor a prefix, or both, or a prefix without `yes`.
        ObjectNotFoundError: One of the keys is not there, so none was deleted; names the nearest ones.
        StorageError: The storage could not do its part.
    """
    _check(keys, prefix)
    with open_store(session, area=area, storage=storage) as store:
        report = _delete(store, keys) if prefix is None else _delete_below(store, prefix, yes=yes)
    for failure in report.failures:
        say(f"{failure.key} was not deleted: {failure.reason}")
    printed = print_json(_as_document(report)) if as_json else print_text([f"{_objects(report.deleted)} deleted"])
    return EXIT_INFRASTRUCTURE if report.failures else printed


def _check(keys: Sequence[str], prefix: str | None) -> None:
    if prefix is None and not keys:
        raise OptionError("KEY", "what is to be deleted?", hint="Name keys, or --prefix P.")
    if prefix is not None and keys:
        raise OptionError("--prefix", "not together with keys", hint="Delete the one, then the other.")
    if prefix == "":
        raise OptionError("--prefix", "is empty, which means everything", hint="Name the first characters of the keys.")
    for key in keys:
        validate_key(key)


def _delete(store: Store, keys: Sequence[str]) -> DeleteReport:
    wanted = list(dict.fromkeys(keys))
    for key in wanted:
        with naming_near_keys(store, key):
            store.backend.stat(key)
    failures = tuple(store.backend.delete(wanted))
    return DeleteReport(deleted=len(wanted) - len(failures), failures=failures)


def _delete_below(store: Store, prefix: str, *, yes: bool) -> DeleteReport:
    if not yes:
        count = sum(1 for _ in islice(store.backend.list(prefix), _COUNTED + 1))
        many = f"more than {_COUNTED} objects" if count > _COUNTED else _objects(count)
        raise OptionError(
            "--prefix",
            f"{many} in {store} would be deleted, whose keys begin with {prefix!r}; none was",
            hint="--yes deletes them.",
        )
    return store.service.delete_files(store.area, prefix)


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _as_document(report: DeleteReport) -> dict[str, object]:
    failures = [{"key": failure.key, "reason": failure.reason} for failure in report.failures]
    return {"deleted": report.deleted, "failures": failures}
