"""The files of one area, by the keys of the objects that they are."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from botdock.errors import StorageError, nearest
from botdock_storage_local_fs._folders import BlockedError, refuse_alias, sync

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdock_storage_local_fs._drafts import Draft
    from botdock_storage_local_fs._folders import Folders

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ATTEMPTS = 100
"""How often a folder is made anew that a delete keeps removing; each takes losing a race of microseconds."""
_LOOKED_AT = 1000
"""Names that a search for the one that was meant looks at."""


class Files:
    """Opens, places and removes files by key. What is no object raises FileNotFoundError or BlockedError."""

    def __init__(self, folders: Folders, area: str) -> None:
        self._folders = folders
        self._area = area
        self._placing = threading.Lock()

    def look(self, key: str) -> os.stat_result:
        """Return what is known of a file."""
        folders, name = self._split(key)
        with self._folders.open(folders) as folder:
            return self._regular(folder, name)

    def open(self, key: str) -> tuple[int, int]:
        """Return a descriptor of a file, and its size in bytes."""
        folders, name = self._split(key)
        with self._folders.open(folders) as folder:
            found = self._regular(folder, name)
            return os.open(name, _READ, dir_fd=folder), found.st_size

    def remove(self, key: str) -> None:
        """Remove a file, and the folders that are empty without it."""
        folders, name = self._split(key)
        with self._folders.open(folders) as folder:
            self._regular(folder, name)
            os.unlink(name, dir_fd=folder)
        self._prune(folders)

    def place(self, draft: Draft, key: str) -> os.stat_result:
        """Give a draft its key, in place of a file that has it; make the folders above it."""
        folders, name = self._split(key)
        try:
            for _ in range(_ATTEMPTS):
                with suppress(FileNotFoundError):  # a delete removed the folder while it was empty
                    return self._place(draft, folders, name)
        except BaseException:
            self._prune(folders)
            raise
        raise StorageError(f"cannot write {key!r} in {self._folders.backend}: its folder keeps vanishing")

    def near(self, key: str) -> list[str]:
        """Return keys beside `key` that may have been meant."""
        folders, name = self._split(key)
        try:
            with self._folders.open(folders) as folder, os.scandir(folder) as found:
                names = [item.name for item, _ in zip(found, range(_LOOKED_AT), strict=False)]
        except (OSError, BlockedError, StorageError):
            return []
        return ["/".join([*folders[1:], other]) for other in nearest(name, names)]

    def _split(self, key: str) -> tuple[list[str], str]:
        *folders, name = key.split("/")
        return [self._area, *folders], name

    def _regular(self, folder: int, name: str) -> os.stat_result:
        found = self._folders.refuse_link(folder, name)
        if stat.S_ISDIR(found.st_mode):
            raise BlockedError(f"{name!r} is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise StorageError(f"{name!r} in {self._folders.backend} is no regular file")
        refuse_alias(folder, name)
        return found

    def _place(self, draft: Draft, folders: Sequence[str], name: str) -> os.stat_result:
        with self._folders.open(folders, make=True) as folder:
            with self._placing:
                self._clear(folder, name)
                os.rename(draft.name, name, src_dir_fd=draft.folder, dst_dir_fd=folder)
            sync(folder)
        return os.fstat(draft.file)

    def _clear(self, folder: int, name: str) -> None:
        try:
            self._regular(folder, name)
        except FileNotFoundError:
            return
        except BlockedError:
            if not _is_folder(folder, name):
                raise
            _remove_if_empty(folder, name)

    def _prune(self, folders: Sequence[str]) -> None:
        for depth in range(len(folders) - 1, 0, -1):
            try:
                with self._folders.open(folders[:depth]) as folder:
                    os.rmdir(folders[depth], dir_fd=folder)
            except (OSError, BlockedError, StorageError):
                return


def _is_folder(folder: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _remove_if_empty(folder: int, name: str) -> None:
    try:
        os.rmdir(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError:
        raise BlockedError(f"a folder of the name {name!r} is in the way") from None
