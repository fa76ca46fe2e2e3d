"""Which images botdock has pulled, when each was last used, and whose turn it is to pull one.

All processes of a state folder share it, below `images/`:

- `<key>.json` is one image that was pulled: by the engine, its reference and its id. Its time is that of the last use.
- `<key>.lock` belongs to a reference: a process that pulls it, or removes it, holds its lock, which the kernel frees
  when the process dies. It holds how the last pull ended, for those that waited meanwhile.

An image that was there before, because the user pulled or built it, is never listed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from botdock._locks import locked_at_once
from botdock._log import logger
from botdock._whole_files import publish
from botdock.errors import EngineTimeoutError, ImageError
from botdock.model.container import ImageInfo
from botdock.model.image_reference import ImageReference

FOLDER = "images"
_NAMES = ("engine", "reference", "id", "digest")


@attrs.frozen(kw_only=True)
class PulledImage:
    """An image that botdock has pulled.

    Attributes:
        engine: Name of the engine that has it, such as `docker`.
        reference: What was asked for. Removing by it is right: a tag that the user gave the same image keeps it.
        id: What names exactly this image to the engine; empty where it has no ids. Where the reference has moved on
            since, this one is left over, and can be removed by its id.
        digest: Of its content, `sha256:...`.
        pulled_at: Seconds since 1970.
        used_at: Seconds since 1970 when an execution last made sure of it; its pull counts.
    """

    engine: str
    reference: str
    id: str
    digest: str
    pulled_at: float
    used_at: float


class PulledImages:
    """The images that botdock has pulled for one state folder; safe to use from several threads and processes.

    Args:
        home: The state folder.

    Example:
        >>> import tempfile
        >>> images = PulledImages(Path(tempfile.mkdtemp()))
        >>> images.add("docker", ImageInfo(reference="bash:5", id="sha256:1d", digest="sha256:d1"))
        >>> [image.reference for image in images.all("docker")]
        ['bash:5']
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def all(self, engine: str = "") -> list[PulledImage]:
        """Return the images of an engine, by default of all; what was not used for longest comes first."""
        found = [image for path in self._folder.glob("*.json") if (image := _read(path)) is not None]
        return sorted((one for one in found if engine in {"", one.engine}), key=lambda image: image.used_at)

    def add(self, engine: str, image: ImageInfo) -> None:
        """Note that an image was pulled just now; a disk that does not take it is only logged."""
        names = dict(zip(_NAMES, (engine, image.reference, image.id, image.digest), strict=True))
        path = self._path(engine, image.reference, image.id)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            publish(path, json.dumps({**names, "pulled_at": time.time()}).encode())
        except OSError as error:
            logger.bind(image=image.reference, error=str(error)).warning("a pulled image could not be noted")

    def use(self, engine: str, image: ImageInfo) -> None:
        """Note that an image is used now; nothing happens where botdock did not pull it."""
        with suppress(OSError):
            os.utime(self._path(engine, image.reference, image.id))

    def forget(self, image: PulledImage) -> None:
        """List an image no longer: it was removed, or the engine does not have it any more.

        Raises:
            OSError: The disk does not take it.
        """
        self._path(image.engine, image.reference, image.id).unlink(missing_ok=True)

    def remove_unused(
        self, engine: str, unused: float, remove: Callable[[PulledImage], int | None], *, forget: bool
    ) -> Iterator[tuple[PulledImage, int]]:
        """Have images removed that were not used for long, and yield each that went.

        Args:
            engine: Name of the engine.
            unused: Seconds since the last use.
            remove: Removes an image, and returns how many bytes went with it; None where it stays.
            forget: Whether what went is listed no longer.
        """
        until = time.time() - unused
        for image in self.all(engine):
            with self.turn(engine, image.reference) as turn:  # no other process pulls it meanwhile
                if turn is None or image not in self.all(engine) or image.used_at > until:
                    continue
                if (size := remove(image)) is None:
                    continue
                if forget:
                    self.forget(image)
            yield image, size

    @contextmanager
    def turn(self, engine: str, reference: str) -> Iterator[Turn | None]:
        """Hold the right to pull or remove an image; None when another process or thread holds it.

        Raises:
            OSError: The state folder takes no lock.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._lock(engine, reference)
        with locked_at_once(path) as held:
            yield Turn(path) if held else None

    def ended(self, engine: str, reference: str) -> int:
        """Return how many pulls of an image have ended: after a wait, a higher number says that one did meanwhile."""
        return Turn(self._lock(engine, reference)).number

    def _path(self, engine: str, reference: str, identity: str) -> Path:
        return self._folder / f"{_key(engine, _full(reference), identity)}.json"

    def _lock(self, engine: str, reference: str) -> Path:
        return self._folder / f"{_key(engine, _full(reference))}.lock"


class Turn:
    """How the last pull of an image ended, as the file of its lock says; written by the holder of the lock alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = _document(path)

    @property
    def number(self) -> int:
        """How many have ended; 0 for none, and where the file cannot be read."""
        number = self._last.get("number")
        return number if isinstance(number, int) else 0

    def failure(self, engine: str, image: str) -> ImageError | EngineTimeoutError | None:
        """Return why the last one failed; None when it did not."""
        problem, hint = self._last.get("problem"), self._last.get("hint")
        if not isinstance(problem, str):
            return None
        hint = hint if isinstance(hint, str) else None
        if self._last.get("timeout"):
            return EngineTimeoutError(problem, engine=engine, operation="ensure_image", hint=hint)
        return ImageError(problem, image=image, engine=engine, hint=hint, transient=bool(self._last.get("transient")))

    def end(self, error: ImageError | EngineTimeoutError | None = None) -> None:
        """Note that a pull has ended, and why it failed, if it did; a disk that does not take it hinders nothing."""
        said: dict[str, Any] = {"number": self.number + 1}
        if error is not None:
            kind = {"timeout": True} if isinstance(error, EngineTimeoutError) else {"transient": error.transient}
            said |= {"problem": error.message, "hint": error.hint, **kind}
        with suppress(OSError):
            self._path.write_text(json.dumps(said))


def _document(path: Path) -> dict[str, Any]:
    """Return what a file holds; nothing when it is gone, or damaged."""
    with suppress(OSError, ValueError, RecursionError):
        said = json.loads(path.read_bytes())
        if isinstance(said, dict):
            return said
    return {}


def _read(path: Path) -> PulledImage | None:
    """Return what a file tells, or None when it is gone, or damaged."""
    said = _document(path)
    names = {name: value for name in _NAMES if isinstance(value := said.get(name), str)}
    pulled = said.get("pulled_at")
    if len(names) < len(_NAMES) or not isinstance(pulled, float):
        return None
    try:
        used = path.stat().st_mtime
    except OSError:
        return None
    return PulledImage(**names, pulled_at=pulled, used_at=used)


def _full(reference: str) -> str:
    """Return a reference as all who mean the same image spell it."""
    try:
        return str(ImageReference.read(reference))
    except ValueError:  # it is an id, or in no form that we know
        return reference


def _key(*names: str) -> str:
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:32]
