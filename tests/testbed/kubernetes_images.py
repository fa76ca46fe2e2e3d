"""The test images for a containerd: one archive as `docker save` writes it, out of what `rootfs` builds."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from testbed.images import IMAGES, PATH
from testbed.rootfs import rootfs_tar

PAUSE = "botdock-test/pause:1"
"""What keeps the namespaces of a pod: the image of bash, which sleeps."""
_ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64"}


def write_archive(file: IO[bytes]) -> None:
    """Write the archive with all images, each of one layer; it is some 400 MB.

    Raises:
        TestbedError: They cannot be built here.
    """
    wanted = [(image.tag, rootfs_tar(image.kind), [image.command]) for image in IMAGES.values()]
    wanted.append((PAUSE, rootfs_tar("bash"), ["sleep", "infinity"]))
    layers: dict[Path, str] = {}
    images = []
    with tarfile.open(fileobj=file, mode="w|") as archive:
        for tag, layer, command in wanted:
            if layer not in layers:
                layers[layer] = _digest_of(layer)
                archive.add(layer, f"{layers[layer]}/layer.tar")
            config = _config(layers[layer], command)
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add(archive, name, config)
            images.append({"Config": name, "RepoTags": [tag], "Layers": [f"{layers[layer]}/layer.tar"]})
        _add(archive, "manifest.json", json.dumps(images).encode())


def _config(digest: str, command: Sequence[str]) -> bytes:
    return json.dumps(
        {
            "architecture": _ARCHITECTURES.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {"Env": [f"PATH={PATH}"], "Cmd": list(command)},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
