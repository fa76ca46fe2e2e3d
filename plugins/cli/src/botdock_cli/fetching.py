"""`botdock storage get`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from botdock.model import validate_key
from botdock.model.outcome import Phase
from botdock.model.units import format_bytes
from botdock_cli.files import check_target, replacing
from botdock_cli.interrupts import interruptible
from botdock_cli.output import abandon_stdout, binary_stdout, print_json, print_text
from botdock_cli.progress import bars_on_terminal, watched
from botdock_cli.report import EXIT_BROKEN_PIPE
from botdock_cli.request import OptionError
from botdock_cli.session import is_terminal
from botdock_cli.store import naming_near_keys, open_store

if TYPE_CHECKING:
    from typing import BinaryIO

    from botdock_cli.progress import ProgressBars
    from botdock_cli.session import Session
    from botdock_cli.store import Store

STDOUT = "-"
_CHUNK = 1024 * 1024


@interruptible
def fetch(
    session: Session, key: str, *, area: str, storage: str | None, output: str | None, force: bool, as_json: bool
) -> int:
    """Copy an object into a file, or to stdout, and return what to exit with.

    Raises:
        TargetError: The file may not be written.
        OptionError: JSON and the object are both wanted on stdout.
        ObjectNotFoundError: There is none; names the nearest keys.
        StorageError: The storage could not do its part; no file is left.
    """
    validate_key(key)
    if output == STDOUT:
        if as_json:
            raise OptionError("--json", "stdout is taken by the object itself", hint="Name a file: -o FILE.")
        return _to_stdout(session, key, area=area, storage=storage)
    name = key.rpartition("/")[2]
    target = Path(name if output is None else output)
    check_target(target, force=force, name=name)
    with open_store(session, area=area, storage=storage) as store, replacing(target) as file:
        size = _copy(store, key, file)
    if as_json:
        return print_json({"key": key, "path": str(target), "size": size})
    return print_text([f"{target}: {format_bytes(size)}"])


def _to_stdout(session: Session, key: str, *, area: str, storage: str | None) -> int:
    try:
        with open_store(session, area=area, storage=storage) as store:
            _copy(store, key, binary_stdout(), shown=not is_terminal(sys.stdout))
        binary_stdout().flush()
    except BrokenPipeError:
        abandon_stdout()
        return EXIT_BROKEN_PIPE
    return 0


def _copy(store: Store, key: str, sink: BinaryIO, *, shown: bool = True) -> int:
    with bars_on_terminal(shown=shown) as bars, naming_near_keys(store, key):
        return _copy_watched(store, key, sink, bars)


def _copy_watched(store: Store, key: str, sink: BinaryIO, bars: ProgressBars | None) -> int:
    total = store.backend.stat(key).size if bars else 0
    copied = 0
    with store.backend.get(key) as reader:
        source = watched(reader, bars, phase=Phase.FETCH, what=key, total=total)
        while chunk := source.read(_CHUNK):
            sink.write(chunk)
            copied += len(chunk)
    return copied
