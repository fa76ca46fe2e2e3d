"""The images of this engine: each is unpacked once, into a folder named by its digest, and is the root of many bots.

Below one folder lie, of the image with the digest `sha256:<hex>`:

- `<hex>/`: `rootfs/`, its files, and `image.json`, its environment and its size; it is there wholly or not at all;
- `<hex>.lock`: a process that makes or removes it holds its lock alone; one that makes a container of it shares it;
- `<hex>.<random>.draft/`: one that is being made or removed; of a process that was killed, the next one removes it;
- `names/<key>.json`: a name that an image was pulled by, and the digest that it meant then.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock.archive import remove_tree
from botdock.errors import ContainerError, ImageError
from botdock.model import ImageInfo, PullPolicy
from botdock.model.image_reference import ImageReference
from botdock_engine_oci.fetching import ENGINE, INTERVAL, LAYOUT, ROOT, Pull, fetch, resolve
from botdock_engine_oci.rootfs import complete_etc
from botdock_engine_oci.roots import at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdock.model import PullProgress

USED = "image"
"""The file of a container that holds the digest of the image it runs on."""
RECORD = "image.json"
NAMES, DRAFT, LOCK = "names", ".draft", ".lock"
REMOVAL = 600.0
"""Seconds that the files of an image may take to be removed."""
PATIENCE = 30.0
"""Seconds that a container waits for an image that is just being made or removed."""
OTHER = "another process makes it ready"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@attrs.frozen(kw_only=True)
class Image:
    """An image that is there.

    Attributes:
        digest: Of its manifest, or of its list of manifests, as the registry has it.
        root: The folder of its files.
        variables: The environment that it sets.
        size: Bytes of its files.
    """

    digest: str
    root: Path
    variables: Mapping[str, str]
    size: int


class Images:
    """The images of one state folder; safe to use from several threads and processes.

    Args:
        folder: Holds them; made when the first comes.
        containers: Holds a folder for each container.
    """

    def __init__(self, folder: Path, containers: Path) -> None:
        self._folder = folder
        self._containers = containers

    def ensure(
        self, image: str, *, policy: PullPolicy, timeout: float, progress: Callable[[PullProgress], None] | None
    ) -> ImageInfo:
        """Make sure that an image is there, as the policy says.

        Raises:
            ImageError: It is absent, and may not or cannot be pulled.
            EngineTimeoutError: The pull took too long.
        """
        pull = Pull(image=image, end=time.monotonic() + timeout, timeout=timeout, progress=progress)
        if policy is not PullPolicy.ALWAYS and (found := self.find(image)):
            return ImageInfo(reference=image, digest=found.digest, id=found.digest)
        if policy is PullPolicy.NEVER:
            hint = 'Let botdock fetch it: containers.pull = "missing".'
            raise pull.failure("it is not there, and containers.pull forbids to pull it", hint)
        try:
            digest, total = resolve(pull)
            with self._locked(digest, pull):
                if self._read(digest) is None:
                    self._make(pull, digest, total)
                self._name(image, digest)
        except OSError as error:
            raise pull.failure(f"it could not be kept: {error}") from error
        except ValueError as error:
            raise pull.failure(str(error)) from error
        return ImageInfo(reference=image, digest=digest, id=digest, pulled=True)

    def find(self, image: str) -> Image | None:
        """Return the image of a digest, or that of a name when it was pulled last; None where it is absent."""
        if _DIGEST.fullmatch(image):
            return self._read(image)
        named = _document(self._name_path(image)).get("digest")
        return self._read(named) if isinstance(named, str) and _DIGEST.fullmatch(named) else None

    def use(self, image: str, new: Path) -> Image:
        """Return an image for a container, and note in the container's folder that it is used.

        Raises:
            ImageError: It is absent.
            OSError: The disk does not take it.
        """
        found = self.find(image)
        if found is not None:
            patience = Pull(image=image, end=time.monotonic() + PATIENCE, timeout=PATIENCE)
            with self._locked(found.digest, patience, shared=True):
                (new / USED).write_text(found.digest, encoding="ascii")
                found = self._read(found.digest)
        if found is None:
            hint = "It was removed meanwhile; run the bot again."
            raise ImageError(f"{ENGINE}: image {image!r} is not there", image=image, engine=ENGINE, hint=hint)
        return found

    def remove(self, reference: str, digest: str, *, dry_run: bool) -> int | None:
        """Remove a name of an image, and the image with its last name.

        Returns:
            The bytes that go with it; None where a container uses it, or it has other names only.

        Raises:
            ContainerError: It cannot be removed.
        """
        try:
            with self._lock(digest) as held:
                return self._remove(reference, digest, dry_run=dry_run) if held else None
        except OSError as error:
            problem = f"image {reference!r} could not be removed: {error}"
            raise ContainerError(problem, engine=ENGINE, operation="remove_image") from error

    def _remove(self, reference: str, digest: str, *, dry_run: bool) -> int | None:
        found, names = self._read(digest), self._names_of(digest)
        own = self._name_path(reference)
        if found is None:
            return 0
        if (names and own not in names) or self._is_used(digest):
            return None
        if not dry_run:
            own.unlink(missing_ok=True)
        if len(names) > 1:
            return 0
        if not dry_run:
            draft = self._draft(digest)
            self._path(digest).rename(draft)
            remove_tree(draft, timeout=REMOVAL)
        return found.size

    def _make(self, pull: Pull, digest: str, total: int) -> None:
        """Fetch and unpack an image while no other process does; it appears when it is whole."""
        self._sweep(digest)
        draft = self._draft(digest)
        draft.mkdir(mode=0o700)
        try:
            lines = fetch(pull, digest, draft, total)
            remove_tree(draft / LAYOUT, timeout=REMOVAL)
            complete_etc(draft / ROOT)
            variables = dict(line.split("=", 1) for line in lines if "=" in line)
            record = {"digest": digest, "variables": variables, "size": _size(draft / ROOT)}
            with (draft / RECORD).open("w", encoding="utf-8") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self._path(digest))
        except BaseException:
            with suppress(OSError):
                remove_tree(draft, timeout=REMOVAL)
            raise

    def _sweep(self, held: str) -> None:
        """Remove what processes have left that were killed; the lock of one image is held already."""
        for draft in self._folder.glob(f"*{DRAFT}"):
            digest = f"sha256:{draft.name.partition('.')[0]}"
            with suppress(OSError), nullcontext(enter_result=True) if digest == held else self._lock(digest) as is_left:
                if is_left:
                    remove_tree(draft, timeout=REMOVAL)

    @contextmanager
    def _locked(self, digest: str, pull: Pull, *, shared: bool = False) -> Iterator[None]:
        """Hold the lock of an image, once no other process does."""
        while True:
            with self._lock(digest, shared=shared) as held:
                if held:
                    yield
                    return
            pull.report(note=OTHER)
            time.sleep(INTERVAL)

    def _lock(self, digest: str, *, shared: bool = False) -> AbstractContextManager[bool]:
        """Hold the lock of an image if no other does, in this process or another one; say whether it is held."""
        return at_once(Path(f"{self._path(digest)}{LOCK}"), shared=shared)

    def _read(self, digest: str) -> Image | None:
        path = self._path(digest)
        said = _document(path / RECORD)
        variables, size = said.get("variables"), said.get("size")
        if not isinstance(variables, dict) or not isinstance(size, int):
            return None
        return Image(digest=digest, root=path / ROOT, variables=variables, size=size)

    def _name(self, image: str, digest: str) -> None:
        path = self._name_path(image)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
        draft.write_text(json.dumps({"reference": image, "digest": digest}), encoding="utf-8")
        draft.replace(path)

    def _names_of(self, digest: str) -> list[Path]:
        return [path for path in self._folder.glob(f"{NAMES}/*.json") if _document(path).get("digest") == digest]

    def _is_used(self, digest: str) -> bool:
        for path in self._containers.glob(f"*/{USED}"):
            with suppress(OSError):
                if path.read_text("ascii", "replace") == digest:
                    return True
        return False

    def _path(self, digest: str) -> Path:
        return self._folder / digest.removeprefix("sha256:")

    def _draft(self, digest: str) -> Path:
        return self._folder / f"{self._path(digest).name}.{secrets.token_hex(6)}{DRAFT}"

    def _name_path(self, image: str) -> Path:
        with suppress(ValueError):
            image = str(ImageReference.read(image))
        return self._folder / NAMES / f"{hashlib.sha256(image.encode()).hexdigest()[:32]}.json"


def _document(path: Path) -> dict[str, Any]:
    """Return what a file holds; nothing when it is not there, or damaged."""
    with suppress(OSError, ValueError, RecursionError):
        said = json.loads(path.read_bytes())
        if isinstance(said, dict):
            return said
    return {}


def _size(folder: Path) -> int:
    """Return the bytes of all files in a folder; following no link."""
    return sum(Path(place, name).lstat().st_size for place, _, names in os.walk(folder) for name in names)
