"""Pulling from a registry: a small one that speaks the distribution protocol, on the daemon's own machine."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import attrs
import docker
import docker.errors
import pytest

from botdock.errors import EngineTimeoutError, ImageError
from botdock.model import PullPolicy, PullProgress, new_execution_id

pytestmark = pytest.mark.docker

CALL = 60.0
LAYER_BYTES = 3_000_000
UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer() -> tuple[bytes, bytes]:
    """Return a layer, plain and packed; it differs each time, so that no daemon has it yet."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        entry = tarfile.TarInfo("noise")
        entry.size = LAYER_BYTES
        archive.addfile(entry, io.BytesIO(os.urandom(LAYER_BYTES)))
    return plain.getvalue(), gzip.compress(plain.getvalue(), 1)


@attrs.define
class Registry:
    """What the server answers: path to content type and bytes."""

    port: int = 0
    answers: dict[str, tuple[str, bytes]] = attrs.field(factory=dict)
    images: list[str] = attrs.field(factory=list)
    hang: bool = False

    def push(self) -> str:
        """Add an image and return its reference."""
        name = f"bots-{new_execution_id().lower()}"
        plain, packed = layer()
        layers = {"type": "layers", "diff_ids": [digest(plain)]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": layers}).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self._blob(name, config, "application/vnd.docker.container.image.v1+json"),
                "layers": [self._blob(name, packed, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
            }
        ).encode()
        for reference in ("1", digest(manifest)):
            self.answers[f"/v2/{name}/manifests/{reference}"] = (MANIFEST, manifest)
        self.images.append(f"127.0.0.1:{self.port}/{name}:1")
        return self.images[-1]

    def damage(self) -> None:
        """Let every blob come changed."""
        self.answers = {
            path: (kind, data[:-9] + b"\0" * 9 if "/blobs/" in path else data)
            for path, (kind, data) in self.answers.items()
        }

    def _blob(self, name: str, data: bytes, kind: str) -> dict[str, Any]:
        self.answers[f"/v2/{name}/blobs/{digest(data)}"] = ("application/octet-stream", data)
        return {"mediaType": kind, "size": len(data), "digest": digest(data)}


@pytest.fixture
def registry(docker_daemon: object, docker_host: str) -> Iterator[Registry]:
    if docker_daemon is None:
        pytest.skip("the daemon is not ours: it may run on a machine that does not reach this one")
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, data = registry.answers.get(self.path, ("application/json", UNKNOWN))
            known = self.path == "/v2/" or self.path in registry.answers
            if registry.hang and "/blobs/" in self.path:
                self.rfile.read(1)  # until the daemon gives up
                return
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", digest(data))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.port = server.server_port
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield registry
    server.shutdown()
    server.server_close()
    thread.join(10)
    client = docker.DockerClient(base_url=docker_host, version="auto")
    for image in registry.images:
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.remove(image, force=True)
    client.close()


def test_a_missing_image_comes_with_its_digest_and_progress(registry: Registry, bash_lab: Any) -> None:
    image, reports = registry.push(), list[PullProgress]()
    info = bash_lab.engine.ensure_image(image, policy=PullPolicy.MISSING, timeout=CALL, progress=reports.append)
    name = image.removeprefix(f"127.0.0.1:{registry.port}/").removesuffix(":1")
    assert info.pulled
    assert info.digest == digest(registry.answers[f"/v2/{name}/manifests/1"][1])
    assert reports[-1].current == reports[-1].total > LAYER_BYTES // 2
    assert not bash_lab.engine.ensure_image(image, policy=PullPolicy.MISSING, timeout=CALL).pulled


@pytest.mark.parametrize("tag", ["", ":1"])
def test_an_image_that_is_pinned_comes_by_its_digest(registry: Registry, bash_lab: Any, tag: str) -> None:
    image = registry.push().removesuffix(":1")
    name = image.removeprefix(f"127.0.0.1:{registry.port}/")
    pinned = digest(registry.answers.pop(f"/v2/{name}/manifests/1")[1])  # no tag leads to it
    for policy in (PullPolicy.MISSING, PullPolicy.NEVER, PullPolicy.ALWAYS):
        info = bash_lab.engine.ensure_image(f"{image}{tag}@{pinned}", policy=policy, timeout=CALL)
        assert info.digest == pinned
    registry.images[-1] = f"{image}@{pinned}"


def test_a_damaged_layer_is_an_error_though_the_answer_began_well(registry: Registry, bash_lab: Any) -> None:
    image = registry.push()
    registry.damage()
    with pytest.raises(ImageError):
        bash_lab.engine.ensure_image(image, policy=PullPolicy.MISSING, timeout=CALL)
    with pytest.raises(ImageError, match="forbids"):
        bash_lab.engine.ensure_image(image, policy=PullPolicy.NEVER, timeout=CALL)


def test_an_image_that_the_registry_does_not_have_is_an_error(registry: Registry, bash_lab: Any) -> None:
    with pytest.raises(ImageError) as caught:
        bash_lab.engine.ensure_image(f"127.0.0.1:{registry.port}/none:1", policy=PullPolicy.ALWAYS, timeout=CALL)
    assert caught.value.hint


def test_a_registry_that_does_not_answer_is_not_waited_for(registry: Registry, bash_lab: Any) -> None:
    image, registry.hang = registry.push(), True
    with pytest.raises(EngineTimeoutError, match="took longer than 2 s"):
        bash_lab.engine.ensure_image(image, policy=PullPolicy.MISSING, timeout=2.0)
