"""The images that the tests run: pulled where that works, else imported from what `rootfs` builds."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from contextlib import closing
from types import MappingProxyType
from typing import Any

import attrs
import docker
import requests

from testbed.console import TestbedError, say
from testbed.rootfs import recipe_key, rootfs_tar

RECIPE_LABEL = "io.botdock.testbed.recipe"

SILENCE = 10
"""Seconds that a pull may say nothing: a registry that is not there is not waited for any longer."""
IMPORT_TIMEOUT = 300


@attrs.frozen(kw_only=True)
class TestImage:
    """An image of the testbed.

    Attributes:
        tag: What tests call it.
        upstream: What is pulled.
        kind: What `rootfs` builds.
        command: Default command of the built one.
    """

    __test__ = False

    tag: str
    upstream: str
    kind: str
    command: str


IMAGES: Mapping[str, TestImage] = MappingProxyType(
    {
        "python311": TestImage(
            tag="botdock-test/python:3.11", upstream="python:3.11-slim", kind="python", command="python3"
        ),
        "nodejs20": TestImage(tag="botdock-test/node:20", upstream="node:20-alpine", kind="node", command="node"),
        "bash": TestImage(tag="botdock-test/bash:5", upstream="bash:5.2", kind="bash", command="bash"),
    }
)
"""By the canonical name of the runtime."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SMALL = re.compile(
    r"\./((bin|sbin|lib|lib64)|usr/bin/(sh|dash|env|python3.*)|usr/lib/python3.*|usr/lib64/.*"
    r"|usr/lib/[^/]+-linux-gnu/(ld-|libc\.|libm\.|libz\.|libexpat\.|libdl\.|libpthread\.|libutil\.)[^/]*"
    r"|etc/(passwd|group|nsswitch.conf|hosts))"
)
_SHOWN_DEPTH = 2
"""Folders are kept down to it."""


def ensure_images(host: str) -> dict[str, str]:
    """Make sure that the daemon at `host` has every image; return their tags by runtime.

    Raises:
        TestbedError: One can neither be pulled nor built.
    """
    with closing(docker.APIClient(base_url=host or None, version="auto", timeout=IMPORT_TIMEOUT)) as client:
        missing = [image for image in IMAGES.values() if not _is_there(client, image)]
        if missing and not _pull_all(host, missing):
            for image in missing:
                _import(client, image)
    return {runtime: image.tag for runtime, image in IMAGES.items()}


def small_python(more: Mapping[str, bytes]) -> bytes:
    """Return a tar of little more than a shell and Python, out of the tree that the image of Python is built of.

    Args:
        more: Files to add, by their path, which every user may write.

    Raises:
        TestbedError: The tree cannot be built here.
    """
    small = io.BytesIO()
    with tarfile.open(rootfs_tar("python")) as whole, tarfile.open(fileobj=small, mode="w") as tar:
        for entry in whole:
            if (entry.isdir() and entry.name.count("/") < _SHOWN_DEPTH) or _SMALL.fullmatch(entry.name):
                tar.addfile(entry, whole.extractfile(entry) if entry.isreg() else None)
        for name, data in more.items():
            added = tarfile.TarInfo(name)
            added.size, added.mode = len(data), 0o666
            tar.addfile(added, io.BytesIO(data))
    return small.getvalue()


def _is_there(client: docker.APIClient, image: TestImage) -> bool:
    """Whether it is there, and is either upstream's or of the present recipe."""
    try:
        found: dict[str, Any] = client.inspect_image(image.tag)  # type: ignore[no-untyped-call]  # types-docker
    except docker.errors.ImageNotFound:
        return False
    labels = (found["Config"] or {}).get("Labels") or {}
    return image.upstream in found["RepoTags"] or labels.get(RECIPE_LABEL) == recipe_key()


def _pull_all(host: str, images: list[TestImage]) -> bool:
    say(f"pulling {', '.join(image.upstream for image in images)}")
    with closing(docker.APIClient(base_url=host or None, version="auto", timeout=SILENCE)) as client:
        for image in images:
            problem = _pull(client, image)
            if problem:
                say(f"{image.upstream} cannot be pulled here: {problem.splitlines()[-1][-160:]}")
                say("taking images built from Debian's packages instead")
                return False
    return True


def _pull(client: docker.APIClient, image: TestImage) -> str:
    """Pull and tag an image; return why it could not be, or an empty text."""
    repository, tag = image.upstream.split(":")
    own_repository, own_tag = image.tag.split(":")
    try:
        events = client.pull(repository, tag=tag).splitlines()
        client.tag(image.upstream, repository=own_repository, tag=own_tag)
    except (docker.errors.DockerException, requests.RequestException) as error:
        return str(error)
    return next((line for line in events if '"error"' in line), "")


def _import(client: docker.APIClient, image: TestImage) -> None:
    tar = rootfs_tar(image.kind)
    say(f"importing {image.tag} ({tar.stat().st_size // 2**20} MiB)")
    repository, tag = image.tag.split(":")
    changes = [f"ENV PATH={PATH}", f'CMD ["{image.command}"]', f"LABEL {RECIPE_LABEL}={recipe_key()}"]
    answer = client.import_image(src=str(tar), repository=repository, tag=tag, changes=changes)
    if '"error"' in str(answer):
        raise TestbedError(f"importing {image.tag} failed: {answer}")
