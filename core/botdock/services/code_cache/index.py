"""Which bytes an object had when it was last fetched. Only saves time: a tree is verified, whatever is said here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Any

from botdock._whole_files import publish
from botdock.model import ObjectInfo

Identity = tuple[str, ...]
"""What names an object for good: kind, storage, its location, key."""


class Index:
    """The index of one cache: a file per object.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, identity: Identity, info: ObjectInfo | None) -> str | None:
        """Return the digest of the bytes that an object had; None where that is not known.

        Args:
            identity: The object.
            info: What it is now: one that differs in anything is another. None takes it for what it was.
        """
        known = _read(self._path(identity))
        if known is None or known["identity"] != list(identity):
            return None
        sha256: str = known["sha256"]
        return sha256 if info is None or known == _document(identity, info, sha256) else None

    def remember(self, identity: Identity, info: ObjectInfo, sha256: str, *, draft: Path) -> None:
        """Note what an object is; `draft` is a name that the file may have meanwhile."""
        text = json.dumps(_document(identity, info, sha256))
        publish(self._path(identity), text.encode(), durable=False, draft=draft)

    def forget(self, digests: AbstractSet[str]) -> None:
        """Remove what leads to trees that are gone, and what cannot be read."""
        for path in list(self._folder.iterdir()):
            known = _read(path)
            if known is None or known["sha256"] in digests:
                path.unlink(missing_ok=True)

    def _path(self, identity: Identity) -> Path:
        return self._folder / f"{digest_of(identity)}.json"


def digest_of(identity: Identity) -> str:
    """Return a name for an identity that any file may have."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _document(identity: Identity, info: ObjectInfo, sha256: str) -> dict[str, Any]:
    modified = info.modified.isoformat()
    return {"identity": list(identity), "etag": info.etag, "size": info.size, "modified": modified, "sha256": sha256}


def _read(path: Path) -> dict[str, Any] | None:
    with suppress(FileNotFoundError, ValueError, RecursionError):
        known = json.loads(path.read_bytes())
        if isinstance(known, dict) and isinstance(known.get("identity"), list) and isinstance(known.get("sha256"), str):
            return known
    return None
