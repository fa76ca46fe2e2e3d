"""`botdock pack --put`: the archive goes to the storage, and to a file only where that is asked for too."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from botdock.archive import ArchiveFormat
from botdock.errors import ArchiveError
from botdock.model import StorageArea, validate_key
from botdock_cli.interrupts import interruptible
from botdock_cli.output import print_json, print_text
from botdock_cli.packing import as_document, as_text, pack_folder
from botdock_cli.store import open_store
from botdock_cli.storing import store_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdock_cli.packing import Packed
    from botdock_cli.session import Session


@interruptible
def publish(
    session: Session,
    folder: str,
    key: str,
    *,
    output: str | None,
    format: str | None,  # noqa: A002 - the option's name
    force: bool,
    storage: str | None,
    as_json: bool,
) -> int:
    """Pack `folder` and store the archive as code, and return what to exit with.

    Raises:
        CodeError: It is no folder.
        TargetError: `output` may not be written.
        ArchiveError: The folder holds what no archive may.
        StorageKeyError: Not a key.
        StorageError: The storage could not do its part.
    """
    validate_key(key)
    with (
        open_store(session, area=StorageArea.CODE, storage=storage) as store,
        _packed(folder, key, output, format, force=force) as packed,
        packed.path.open("rb") as source,
    ):
        info = store_file(store, key, source)
    if as_json:
        return print_json(as_document(packed) | {"path": output, "key": key, "etag": info.etag})
    return print_text(as_text(packed, name=key if output is None else f"{output}, stored as {key}"))


@contextmanager
def _packed(folder: str, key: str, output: str | None, format: str | None, *, force: bool) -> Iterator[Packed]:  # noqa: A002 - the same
    if output is not None:
        yield pack_folder(folder, output=output, format=format, force=force)
        return
    with tempfile.TemporaryDirectory(prefix="botdock-pack-") as place:
        target = str(Path(place, key.rpartition("/")[2]))
        try:
            packed = pack_folder(folder, output=target, format=format, force=force)
        except ArchiveError as error:
            if error.limit != "format":  # the key says none, which is no mistake: code is known by its first bytes
                raise
            packed = pack_folder(folder, output=target, format=ArchiveFormat.ZIP, force=force)
        yield packed
