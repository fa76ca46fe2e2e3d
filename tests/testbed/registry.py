"""A registry of images of our own, on loopback: Debian's `docker-registry`, with its own data."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import os
import subprocess
import tarfile
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import attrs

from botdock_testing.archives import zstd_of
from testbed.console import TestbedError
from testbed.minio import _free_port
from testbed.packages import unpacked_program
from testbed.processes import comes_up, end_child
from testbed.token_server import TokenServer

_ATTEMPTS = 3
"""How often a port is looked for: between finding a free one and using it, another program may take it."""
USER, PASSWORD = "bot", "letmein"
"""Whom a registry with a password lets in."""
_HTPASSWD = "bot:$2b$04$J8LZO7Ei0U.L8DP4vBiwF.xnN4aY9q8UPTpg//lzn8OJWBEi0.nT.\n"
"""Those, as `htpasswd -nbB -C 4` writes them."""
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64"}
"""What images call the processors that the kernel names so."""
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_ZSTD = {
    _MANIFEST: "application/vnd.oci.image.manifest.v1+json",
    _CONFIG: "application/vnd.oci.image.config.v1+json",
    _LAYER: "application/vnd.oci.image.layer.v1.tar+zstd",
}
"""What the same is called in an image whose layers are packed by zstd, which Docker's own form has no name for."""


def ensure_registry() -> Path:
    """Return the path of the program, unpacked if it must be.

    Raises:
        TestbedError: It is not there and cannot be had; saying how to get it.
    """
    return unpacked_program("docker-registry", "docker-registry")


@attrs.frozen(kw_only=True)
class Pushed:
    """An image in a registry.

    Attributes:
        name: Its repository, without the registry.
        tag: Its tag.
        digest: Of its manifest.
        size: Bytes of its layers, packed.
        layers: Their digests.
    """

    name: str
    tag: str
    digest: str
    size: int
    layers: tuple[str, ...]

    def at(self, endpoint: str) -> str:
        """Return its reference, where the registry is reached at that `host:port`."""
        return f"{endpoint}/{self.name}:{self.tag}"


class Registry:
    """A server; its images are those that a test pushes.

    Args:
        folder: Where its configuration, its data and its log lie.
        private: Whether it lets in only `USER` with `PASSWORD`.
        tokens: Who gives the tokens that let in, where it wants one.
    """

    def __init__(self, folder: Path, *, private: bool = False, tokens: TokenServer | None = None) -> None:
        self.folder = folder
        self.private = private
        self._tokens = tokens
        self.log_file = folder / "registry.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens, as `host:port`."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            TestbedError: It did not come up, with the end of its log; or there is no such program.
        """
        program = ensure_registry()
        for _ in range(_ATTEMPTS):
            if self._run(program):
                return
        raise TestbedError(f"the registry did not come up; the end of its log:\n{self.log_file.read_text()[-2000:]}")

    def stop(self) -> None:
        """End it in order, and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            end_child(process)

    def push(
        self,
        name: str,
        *,
        tag: str = "1",
        layers: int = 2,
        layer_bytes: int = 300_000,
        tars: Sequence[bytes] = (),
        variables: Sequence[str] = (),
        zstd: bool = False,
    ) -> Pushed:
        """Add an image: of these tars, else of random bytes, so that no daemon has any layer of it yet."""
        plain = tars or [_noise(layer_bytes) for _ in range(layers)]
        packed = [(tar, zstd_of(tar) if zstd else gzip.compress(tar, 1)) for tar in plain]
        kinds = _ZSTD if zstd else {kind: kind for kind in _ZSTD}
        diffs = {"type": "layers", "diff_ids": [_digest(tar) for tar in plain]}
        document = {"architecture": _ARCHITECTURES.get(os.uname().machine, "amd64"), "os": "linux", "rootfs": diffs}
        config = json.dumps({**document, "config": {"Env": list(variables)} if variables else {}}).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": kinds[_MANIFEST],
                "config": self._blob(name, config, kinds[_CONFIG]),
                "layers": [self._blob(name, data, kinds[_LAYER]) for _, data in packed],
            }
        ).encode()
        self._ask("PUT", f"/v2/{name}/manifests/{tag}", manifest, {"Content-Type": kinds[_MANIFEST]})
        return Pushed(
            name=name,
            tag=tag,
            digest=_digest(manifest),
            size=sum(len(data) for _, data in packed),
            layers=tuple(_digest(data) for _, data in packed),
        )

    def _blob(self, name: str, data: bytes, kind: str) -> dict[str, object]:
        location = self._ask("POST", f"/v2/{name}/blobs/uploads/")
        target = urllib.parse.urlsplit(location)
        query = f"{target.query}&{urllib.parse.urlencode({'digest': _digest(data)})}"
        self._ask("PUT", f"{target.path}?{query}", data, {"Content-Type": "application/octet-stream"})
        return {"mediaType": kind, "size": len(data), "digest": _digest(data)}

    def _ask(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        login = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        if self._tokens is not None:
            name = target.removeprefix("/v2/").partition("/blobs/")[0].partition("/manifests/")[0]
            login = f"Bearer {self._tokens.token(f'repository:{name}:pull,push')}"
        try:
            connection.request(method, target, body, {"Authorization": login, **(headers or {})})
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise TestbedError(f"the registry refuses {method} {target}: {answer.status} {said!r}")
        return answer.headers.get("Location", "")

    def _run(self, program: Path) -> bool:
        self._port = _free_port()
        config = self.folder / "registry.json"  # JSON is YAML too
        config.write_text(json.dumps(self._settings()))
        with self.log_file.open("wb") as log:
            process = subprocess.Popen(
                [str(program), "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")},
            )
        self._process = process
        return comes_up(process, self._answers)

    def _settings(self) -> dict[str, object]:
        settings: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}},
            "http": {"addr": self.endpoint, "relativeurls": True},
        }
        if self.private:
            file = self.folder / "htpasswd"
            file.write_text(_HTPASSWD)
            settings["auth"] = {"htpasswd": {"realm": "bots", "path": str(file)}}
        if self._tokens is not None:
            settings["auth"] = self._tokens.settings()
        return settings

    def _answers(self) -> bool:
        try:
            self._ask("GET", "/v2/")
        except (OSError, http.client.HTTPException, TestbedError):
            return False
        return True


def _noise(size: int) -> bytes:
    """Return a tar of random bytes."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        entry = tarfile.TarInfo("noise")
        entry.size = size
        archive.addfile(entry, io.BytesIO(os.urandom(size)))
    return plain.getvalue()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
