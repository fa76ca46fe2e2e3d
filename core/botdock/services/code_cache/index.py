"""Which bytes an object had when it was last fetched. Only saves time: a tree is verified, whatever is said here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

import attrs
from attrs.validators import instance_of

from botdock.model import ObjectInfo

Identity = tuple[str, ...]
"""What names an object for good: kind, storage, its location, key."""


@attrs.frozen(kw_only=True)
class Known:
    """What an object was.

    Attributes:
        identity: Which object.
        etag: Its etag then.
        size: Its bytes then.
        modified: When it had been written, as text.
        sha256: Digest of its bytes.
    """

    identity: Identity
    etag: str = attrs.field(validator=instance_of(str))
    size: int = attrs.field(validator=instance_of(int))
    modified: str = attrs.field(validator=instance_of(str))
    sha256: str = attrs.field(validator=instance_of(str))

    @classmethod
    def of(cls, identity: Identity, info: ObjectInfo, sha256: str) -> Known:
        """Put together what is known."""
        modified = info.modified.isoformat()
        return cls(identity=identity, etag=info.etag, size=info.size, modified=modified, sha256=sha256)

    def fits(self, info: ObjectInfo) -> bool:
        """Tell whether the object is still what it was."""
        return self == Known.of(self.identity, info, self.sha256)


class Index:
    """The index of one cache: a file per object.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, identity: Identity) -> Known | None:
        """Return what an object was, if that is known."""
        known = _read(self._path(identity))
        return known if known and known.identity == identity else None

    def remember(self, known: Known, replace: Callable[[Path, str], None]) -> None:
        """Note what an object is; `replace` writes a file so that others see the old one or the new one."""
        replace(self._path(known.identity), json.dumps(attrs.asdict(known)))

    def forget(self, digests: AbstractSet[str]) -> None:
        """Remove what leads to trees that are gone, and what cannot be read."""
        for path in list(self._folder.iterdir()):
            known = _read(path)
            if known is None or known.sha256 in digests:
                path.unlink(missing_ok=True)

    def _path(self, identity: Identity) -> Path:
        return self._folder / f"{digest_of(identity)}.json"


def digest_of(identity: Identity) -> str:
    """Return a name for an identity that any file may have."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _read(path: Path) -> Known | None:
    with suppress(FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
        document = json.loads(path.read_bytes())
        return Known(**(document | {"identity": tuple(document["identity"])}))
    return None
