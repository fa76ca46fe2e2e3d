"""Images that botdock pulled go when none has used them for long; others never do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from botdock.config.sections import ContainersConfig
from botdock.errors import ContainerError
from botdock.model import PullPolicy
from botdock.services.container import ContainerService
from botdock.services.pulled_images import PulledImages
from botdock_testing._engine_support import asked
from botdock_testing.fake_engine import FakeEngine

OLD, NEW = "bots:1", "bots:2"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(images=["mine:1"], pullable=[OLD, NEW])


@pytest.fixture
def containers(engine: FakeEngine, tmp_path: Path) -> ContainerService:
    """A service that has pulled two images, of which one was not used for a day, and used one of the user's."""
    service = ContainerService(engine, ContainersConfig(), home=tmp_path)
    for image in ("mine:1", OLD):
        service.pull_image(image)
    for path in (tmp_path / "images").glob("*.json"):
        os.utime(path, (path.stat().st_mtime - 86_400,) * 2)
    service.pull_image(NEW)
    return service


def there(engine: FakeEngine) -> set[str]:
    found = set()
    for image in ("mine:1", OLD, NEW):
        try:
            engine.ensure_image(image, policy=PullPolicy.NEVER, timeout=5)
        except ContainerError:
            continue
        found.add(image)
    return found


def names(removed: Any) -> list[str]:
    return [image.reference for image, _ in removed]


def test_what_was_not_used_for_long_goes_and_what_botdock_did_not_pull_never_does(
    containers: ContainerService, engine: FakeEngine
) -> None:
    assert names(containers.remove_images(3600, dry_run=True)) == [OLD]
    assert there(engine) == {"mine:1", OLD, NEW}
    assert names(containers.remove_images(3600)) == [OLD]
    assert there(engine) == {"mine:1", NEW}
    assert names(containers.remove_images(0)) == [NEW]
    assert names(containers.remove_images(0)) == []
    assert there(engine) == {"mine:1"}


def test_what_a_container_uses_stays_and_goes_later(containers: ContainerService, engine: FakeEngine) -> None:
    container = engine.create(*asked(image=OLD), timeout=5)
    assert names(containers.remove_images(3600, dry_run=True)) == names(containers.remove_images(3600)) == []
    engine.remove(container, timeout=5)
    assert names(containers.remove_images(3600)) == [OLD]


def test_what_another_process_pulls_meanwhile_stays(
    containers: ContainerService, engine: FakeEngine, tmp_path: Path
) -> None:
    with PulledImages(tmp_path).turn("fake", OLD):
        assert names(containers.remove_images(3600)) == []
    assert OLD in there(engine)


def test_what_cannot_be_removed_is_told_and_stays_known(containers: ContainerService, engine: FakeEngine) -> None:
    engine.fail("remove_image", ContainerError("read-only"), times=1)
    with pytest.raises(ContainerError, match="read-only"):
        list(containers.remove_images(3600))
    assert names(containers.remove_images(3600)) == [OLD]
