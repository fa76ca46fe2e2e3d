from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from botdock import CheckStatus, Config, StorageBackendPlugin
from botdock.errors import ConfigError
from botdock.model import StorageArea
from botdock_storage_local_fs import checks, plugin


@pytest.fixture
def local_fs() -> StorageBackendPlugin:
    (found,) = plugin.botdock_storage_backends()
    return found


def config(tmp_path: Path, **options: Any) -> Config:
    return Config(home=str(tmp_path / "home"), options={"local-fs": options} if options else {})


def test_objects_lie_in_botdocks_home(local_fs: StorageBackendPlugin, tmp_path: Path) -> None:
    backend = local_fs.factory(config(tmp_path), StorageArea.CODE)
    backend.put("a", io.BytesIO(b"x"))
    assert backend.location == str(tmp_path / "home/storage/code")
    assert (tmp_path / "home/storage/code/a").read_bytes() == b"x"


def test_or_where_the_configuration_says(
    local_fs: StorageBackendPlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_fs.factory(config(tmp_path, root="~/bots"), StorageArea.LOGS).location == str(tmp_path / "bots/logs")


def test_every_wrong_setting_is_named_with_the_right_one(local_fs: StorageBackendPlugin, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        local_fs.factory(config(tmp_path, rooot="/x", zzz=1, root=3), StorageArea.CODE)
    assert caught.value.problems == (
        "options.local-fs.root: must be text, not 3",
        "options.local-fs.rooot: unknown; did you mean root?",
        "options.local-fs.zzz: unknown; there are: root",
    )


def test_discovery_imports_no_backend() -> None:
    program = (
        "import sys; from botdock_storage_local_fs import plugin; list(plugin.botdock_storage_backends());"
        "print(sorted(name for name in sys.modules if name.startswith('botdock_storage_local_fs.')))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "['botdock_storage_local_fs.plugin', 'botdock_storage_local_fs.settings']"


class TestChecks:
    def test_a_root_that_can_be_written(self, local_fs: StorageBackendPlugin, tmp_path: Path) -> None:
        (tmp_path / "home/storage").mkdir(parents=True)
        root, space = local_fs.checks(config(tmp_path))
        assert (root.name, root.status, root.detail) == (
            "local-fs.root",
            CheckStatus.OK,
            str(tmp_path / "home/storage"),
        )
        assert (space.name, space.status) == ("local-fs.space", CheckStatus.OK)

    def test_a_root_that_is_not_there_yet_is_not_made(self, local_fs: StorageBackendPlugin, tmp_path: Path) -> None:
        root, _ = local_fs.checks(config(tmp_path))
        assert root.status is CheckStatus.OK
        assert "the first object makes it" in root.detail
        assert list(tmp_path.iterdir()) == []

    def test_a_root_that_is_a_file(self, local_fs: StorageBackendPlugin, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        root, _ = local_fs.checks(config(tmp_path, root=str(tmp_path / "file")))
        assert root.status is CheckStatus.FAILED
        assert "root =" in root.remedy

    def test_wrong_settings_are_shown_not_raised(self, local_fs: StorageBackendPlugin, tmp_path: Path) -> None:
        (root,) = local_fs.checks(config(tmp_path, rooot="/x"))
        assert root.status is CheckStatus.FAILED
        assert "did you mean root?" in root.detail

    def test_little_space_is_a_warning(
        self, local_fs: StorageBackendPlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage(tmp_path)._replace(free=checks.LOW_SPACE - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        _, space = local_fs.checks(config(tmp_path))
        assert (space.status, bool(space.remedy)) == (CheckStatus.WARNING, True)

    def test_unknown_space_is_a_warning(
        self, local_fs: StorageBackendPlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(_: Path) -> None:
            raise OSError("Function not implemented")

        monkeypatch.setattr(shutil, "disk_usage", unknown)
        _, space = local_fs.checks(config(tmp_path))
        assert (space.status, space.detail) == (CheckStatus.WARNING, "unknown: Function not implemented")
