"""What the storage holds of a log, to be compared with what lies here."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from botdock.errors import BotdockError, ObjectNotFoundError
from botdock.model import StorageArea
from botdock.services import outbox_folder, read_status
from botdock_cli.store import open_store

if TYPE_CHECKING:
    from botdock.model import ByteReader, ObjectReader, StorageBackend
    from botdock_cli.session import Session


class StoredCopy:
    """The objects of one execution's log in a storage; a context manager.

    What cannot be had now is noted, and never raised: a storage that is away says nothing about a log.

    Args:
        session: Its configuration says how storages are reached.
        storage: The storage that the execution was kept in; None means the configured one.
        execution_id: The run.
        id: The bot.

    Attributes:
        name: Of the storage.
        problem: Why it could not be asked, or not to its end; empty when it could.
        compared: Names of the objects that it gave.
        waiting: Names of those that are not there, while something still waits for the storage.
        unread: Names of those that it did not give.
    """

    def __init__(self, session: Session, *, storage: str | None, execution_id: str, id: str) -> None:  # noqa: A002 - the field's name
        self._config = session.load_config()
        self.name = storage or self._config.storage
        self.problem = ""
        self.compared: set[str] = set()
        self.waiting: set[str] = set()
        self.unread: set[str] = set()
        self._session = session
        self._prefix = f"logs/{id}/{execution_id}/"
        self._backend: StorageBackend | None = None
        self._opened = ExitStack()

    def open_object(self, name: str) -> ByteReader | None:
        """Open the object that holds a file of the log; None when it is not there, or cannot be had now."""
        if self.problem:
            self.unread.add(name)
            return None
        try:
            reader = self._opened.enter_context(self._storage().get(self._prefix + name))
        except ObjectNotFoundError:
            if read_status(outbox_folder(self._config.checked_home(), self.name)).items:
                self.waiting.add(name)
            return None
        except BotdockError as error:
            self.note(name, error)
            return None
        self.compared.add(name)
        return _Guarded(reader, self, name)

    def note(self, name: str, error: BotdockError) -> None:
        """Note that the storage did not give an object, and is not to be asked again."""
        self.problem = self.problem or error.message
        self.compared.discard(name)
        self.unread.add(name)

    def _storage(self) -> StorageBackend:
        if self._backend is None:
            store = self._opened.enter_context(open_store(self._session, area=StorageArea.LOGS, storage=self.name))
            self._backend = store.backend
        return self._backend

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the storage."""
        self._opened.close()


class _Guarded:
    """Reads an object, and ends where the storage fails."""

    def __init__(self, reader: ObjectReader, copy: StoredCopy, name: str) -> None:
        self._reader = reader
        self._copy = copy
        self._name = name

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and empty bytes at the end."""
        try:
            return self._reader.read(size)
        except BotdockError as error:
            self._copy.note(self._name, error)
            return b""

    def close(self) -> None:
        """Let go of the object."""
        self._reader.close()
