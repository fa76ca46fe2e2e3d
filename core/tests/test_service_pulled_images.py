"""Which images botdock has pulled, and when each was used last."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from botdock.errors import ImageError
from botdock.model import ImageInfo
from botdock.services.pulled_images import PulledImages


def info(reference: str, identity: str = "sha256:1d") -> ImageInfo:
    return ImageInfo(reference=reference, id=identity, digest="sha256:d1")


def test_what_was_not_used_for_longest_comes_first(tmp_path: Path) -> None:
    images = PulledImages(tmp_path)
    for age, reference in enumerate(("a", "b", "c")):
        images.add("docker", info(reference))
        for file in (tmp_path / "images").glob("*.json"):
            os.utime(file, (age, age))
    images.add("oci", info("d"))
    images.use("docker", info("a"))
    assert [image.reference for image in images.all("docker")][-1] == "a"
    assert [image.reference for image in images.all("oci")] == ["d"]
    assert len(images.all()) == 4
    used = images.all("oci")[0]
    assert used.used_at == pytest.approx(used.pulled_at, abs=60)


def test_what_a_tag_meant_before_it_moved_is_another_image(tmp_path: Path) -> None:
    images = PulledImages(tmp_path)
    for identity in ("sha256:a", "sha256:b"):
        images.add("docker", info("bots:1", identity))
    assert {image.id for image in images.all()} == {"sha256:a", "sha256:b"}


def test_an_image_is_the_same_however_its_name_is_spelled(tmp_path: Path) -> None:
    images = PulledImages(tmp_path)
    images.add("docker", info("bash"))
    os.utime(next((tmp_path / "images").glob("*.json")), (0, 0))
    images.use("docker", info("docker.io/library/bash:latest"))
    (image,) = images.all()
    assert image.used_at > 0
    with images.turn("docker", "bash"), images.turn("docker", "index.docker.io/bash") as other:
        assert other is None


def test_the_use_of_an_image_that_botdock_did_not_pull_is_not_noted(tmp_path: Path) -> None:
    images = PulledImages(tmp_path)
    images.use("docker", info("the-users"))
    assert images.all() == []
    assert list(tmp_path.iterdir()) == []


def test_what_was_removed_is_forgotten(tmp_path: Path) -> None:
    images = PulledImages(tmp_path)
    images.add("docker", info("bots:1"))
    (image,) = images.all()
    images.forget(image)
    images.forget(image)
    assert images.all() == []


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"engine": 1}', b"\xff"])
def test_a_damaged_file_hides_no_other(tmp_path: Path, damage: bytes) -> None:
    images = PulledImages(tmp_path)
    images.add("docker", info("bots:1"))
    (tmp_path / "images" / "damaged.json").write_bytes(damage)
    assert [image.reference for image in images.all()] == ["bots:1"]


def test_a_disk_that_takes_nothing_keeps_no_image_from_being_used(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("in the way")
    PulledImages(tmp_path).add("docker", info("bots:1"))


@pytest.mark.parametrize("damage", [b"", b"[1]", b'{"number": "x", "problem": 7}'])
def test_a_turn_that_was_damaged_says_that_none_has_ended(tmp_path: Path, damage: bytes) -> None:
    images = PulledImages(tmp_path)
    with images.turn("docker", "bots:1") as turn:
        assert turn is not None
        turn.end(ImageError("denied", image="bots:1"))
    assert images.ended("docker", "bots:1") == 1
    next((tmp_path / "images").glob("*.lock")).write_bytes(damage)
    assert images.ended("docker", "bots:1") == 0
    with images.turn("docker", "bots:1") as turn:
        assert turn is not None
        assert turn.failure("docker", "bots:1") is None
