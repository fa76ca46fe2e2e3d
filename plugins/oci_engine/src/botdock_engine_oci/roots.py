"""The folders in which root file systems are mounted: made once, and shared by all bots that need the same.

Below one folder lie:

- `<digest>/`: a root, named by what is in it; there wholly or not at all, touched with each use, and never changed;
- `lock`: a process that removes roots holds it alone; one that makes a container shares it;
- `.<random>/`: a root that is being made or removed; of a process that was killed, a later one removes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from botdock.archive import remove_tree
from botdock.model.profile import HOME
from botdock_engine_oci.bundle import ROOT
from botdock_engine_oci.rootfs import OWN, RootFs

LOCK = "lock"
UNUSED_SECONDS = 86_400.0
"""After so long, a root that no container has goes; those that take turns, such as of bots and backtests, stay."""
REMOVAL = 60.0


@attrs.frozen(kw_only=True)
class Root:
    """What is in a root.

    Attributes:
        folders: Its folders, those before others that lie in them.
        links: Its links: where they are, and where they lead.
        files: Its files, and what is in them.
    """

    folders: tuple[str, ...]
    links: Mapping[str, str]
    files: Mapping[str, str]

    @classmethod
    def of(cls, rootfs: RootFs, mounts: Iterable[Mapping[str, Any]]) -> Root:
        """Return the root of a file system, with a place for each of its mounts that is not in another one."""
        folders, files = dict.fromkeys(f"/{name}" for name in OWN), dict(rootfs.files)
        covered: set[str] = set()
        for mount in sorted(mounts, key=lambda mount: str(mount["destination"])):
            place: str = mount["destination"]
            above = _above(place)
            if not covered.isdisjoint(above) or not rootfs.links.keys().isdisjoint(above):
                continue
            covered.add(place)
            is_file = mount["type"] == "bind" and not os.path.isdir(mount["source"])  # noqa: PTH112 - in the path of each start
            folders |= dict.fromkeys(above if is_file else [*above, place])
            if is_file:
                files[place] = ""
        return cls(folders=tuple(sorted(folders)), links=rootfs.links, files=files)

    @property
    def digest(self) -> str:
        """What tells it from any other."""
        document = [self.folders, sorted(self.links.items()), sorted(self.files.items())]
        return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:32]

    def make(self, path: Path) -> None:
        """Make it, on the disk too: it may be used for as long as that lives.

        Raises:
            OSError: It cannot be made.
        """
        for folder in ("", *self.folders):
            place = Path(f"{path}{folder}")
            place.mkdir()
            place.chmod(0o1777 if folder == HOME else 0o755)  # runc gives a tmpfs the mode of its place
        for name, target in self.links.items():
            Path(f"{path}{name}").symlink_to(target)
        for name, text in self.files.items():
            with Path(f"{path}{name}").open("x", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())


@attrs.frozen(kw_only=True)
class Roots:
    """The roots of one state folder; safe to use from several threads and processes.

    Attributes:
        folder: Holds them; made when the first comes.
        containers: Holds a folder for each container.
    """

    folder: Path
    containers: Path

    def use(self, root: Root, new: Path, container: Path) -> str:
        """Return the path of a root, and note in a container's folder that it is used.

        Args:
            root: What is in it.
            new: The folder of the container.
            container: Where that lies when it starts.

        Raises:
            OSError: The disk does not take it.
        """
        path, is_new = self.folder / root.digest, False
        with at_once(self.folder / LOCK, shared=True) as held:
            if not held:  # another process removes roots just now: this container has its own
                root.make(new / ROOT)
                return str(container / ROOT)
            (new / ROOT).symlink_to(path)
            try:
                os.utime(path)
            except FileNotFoundError:
                self._make(root, path)
                is_new = True
        if is_new:
            self.trim()
        return str(path)

    def _make(self, root: Root, path: Path) -> None:
        draft = self._draft()
        root.make(draft)
        try:
            draft.rename(path)
        except OSError:
            remove_tree(draft, timeout=REMOVAL)
            if not path.is_dir():  # else another thread or process has been as quick
                raise

    def trim(self) -> None:
        """Remove what was not used for a day, and is not now; what cannot be removed stays for the next time."""
        with at_once(self.folder / LOCK) as held:
            gone = [path.rename(self._draft()) for path in self._unused()] if held else []
        for path in gone:
            with suppress(OSError):
                remove_tree(path, timeout=REMOVAL)

    def _unused(self) -> list[Path]:
        used = set()
        for note in self.containers.glob(f"*/{ROOT}"):
            with suppress(OSError):  # it is the container's own
                used.add(note.readlink())
        before = time.time() - UNUSED_SECONDS
        found = [path for path in self.folder.iterdir() if path.name != LOCK and path not in used]
        return [path for path in found if path.stat().st_mtime < before]

    def _draft(self) -> Path:
        return self.folder / f".{secrets.token_hex(8)}"


@contextmanager
def at_once(lock: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock of a file if no other does, in this process or another one; say whether it is held.

    Raises:
        OSError: It cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(lock, flags, 0o600)
    except FileNotFoundError:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock, flags, 0o600)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _above(place: str) -> list[str]:
    """Return the folders above a place, the highest first."""
    parts = place.split("/")
    return ["/".join(parts[:end]) for end in range(2, len(parts))]
