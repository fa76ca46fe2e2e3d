"""A storage written against the first seam: its backend is as it was, and its plugin moves as the page shows."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from botdock import Config, PluginManager, StorageBackend, StorageBackendPlugin, hookimpl
from botdock.errors import ConfigError, ObjectNotFoundError, StorageError, StorageKeyError
from botdock.model import ByteReader, DeleteFailure, ObjectInfo, ObjectReader, StorageArea, validate_key
from botdock_testing import StorageContract

TEXT = (Path(__file__).parents[2] / "docs/how-to/move-an-engine.md").read_text()


class ShelfBackend(StorageBackend):
    """As its author wrote it when plugins read their options as a mapping; nothing of it has to change."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._shelf: dict[str, tuple[bytes, datetime]] = {}

    @property
    def location(self) -> str:
        return f"shelf ({self._root})"

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> ObjectReader:
        return cast("ObjectReader", io.BytesIO(self._found(key)[0][offset:][:length]))

    def put(self, key: str, source: ByteReader, *, size: int | None = None) -> ObjectInfo:
        validate_key(key)
        data = b"".join(iter(lambda: source.read(1 << 16), b""))
        if size is not None and len(data) != size:
            raise StorageError(f"{key!r}: {size} bytes were announced, {len(data)} came", key=key)
        self._shelf[key] = data, datetime.now(UTC)
        return self.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        yield from [self.stat(key) for key in sorted(self._shelf) if key.startswith(prefix)]

    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        for key in keys:
            try:
                self._shelf.pop(validate_key(key), None)
            except StorageKeyError as error:
                yield DeleteFailure(key=key, reason=error.message)

    def stat(self, key: str) -> ObjectInfo:
        data, modified = self._found(key)
        return ObjectInfo(key=key, size=len(data), etag=hashlib.sha256(data).hexdigest(), modified=modified)

    def close(self) -> None:
        pass

    def _found(self, key: str) -> tuple[bytes, datetime]:
        try:
            return self._shelf[validate_key(key)]
        except KeyError:
            raise ObjectNotFoundError(key, backend=self.location) from None


@hookimpl
def old_plugin() -> Iterator[StorageBackendPlugin]:
    def open_backend(config: Any, area: StorageArea) -> StorageBackend:
        return ShelfBackend(f"{config.options_for('shelf')['root']}/{area}")

    yield StorageBackendPlugin(name="shelf", factory=open_backend)


def registered(hook: Any) -> PluginManager:
    class Module:
        botdock_storage_backends = staticmethod(hook)

    plugins = PluginManager()
    plugins.register(Module, name="shelf")
    return plugins


@pytest.fixture
def moved() -> PluginManager:
    """The plugin that the page shows, around this backend."""
    shown: dict[str, Any] = {"__name__": "shelf", "ShelfBackend": ShelfBackend}
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exec(next(block for block in blocks if "Shelf" in block), shown)
    return registered(shown["botdock_storage_backends"])


class TestShelf(StorageContract):
    memory = 256 * 1024 * 1024  # it keeps objects in memory
    examples = 5

    @pytest.fixture
    def backend(self, moved: PluginManager) -> StorageBackend:
        config = Config(options={"shelf": {"root": "/srv"}})
        return moved.storage_backend("shelf").factory(config, StorageArea.CODE)


def test_the_moved_plugin_reads_its_section(moved: PluginManager, tmp_path: Path) -> None:
    (tmp_path / "botdock.toml").write_text('[options.shelf]\nroot = "/srv"\n')
    config = Config.load(tmp_path / "botdock.toml", environ={"SHELF_TOKEN": "s3"}, plugins=moved)
    assert moved.storage_backend("shelf").factory(config, StorageArea.LOGS).location == "shelf (/srv/logs)"
    assert config.options["shelf"].token == "s3"
    (tmp_path / "botdock.toml").write_text('[options.shelf]\nrot = "/srv"\n')
    with pytest.raises(ConfigError, match="root"):
        Config.load(tmp_path / "botdock.toml", environ={}, plugins=moved)


def test_a_plugin_that_has_not_moved_is_told(tmp_path: Path) -> None:
    (tmp_path / "botdock.toml").write_text('[options.shelf]\nroot = "/srv"\n')
    with pytest.raises(ConfigError, match=r"options\.shelf"):
        Config.load(tmp_path / "botdock.toml", environ={}, plugins=registered(old_plugin))
