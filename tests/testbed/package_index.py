"""A package index on loopback, with wheels and packages for npm that are made by hand."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class PackageIndex:
    """A folder of distributions, served as pip expects it (PEP 503), and as npm does.

    Attributes:
        folder: Where they lie.
        url: What `npm_config_registry` has to be, and with `/simple` `PIP_INDEX_URL`.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def add_npm(self, name: str, source: str, *, version: str = "1.0.0") -> None:
        """Add a package for npm of one file."""
        described = {"name": name, "version": version, "main": "index.js"}
        tarball = io.BytesIO()
        with tarfile.open(fileobj=tarball, mode="w:gz") as archive:
            for entry, text in (("package/package.json", json.dumps(described)), ("package/index.js", source)):
                info = tarfile.TarInfo(entry)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        (self.folder / f"{name}-{version}.tgz").write_bytes(tarball.getvalue())
        dist = {
            "tarball": f"{self.url}/{name}-{version}.tgz",
            "shasum": hashlib.sha1(tarball.getvalue(), usedforsecurity=False).hexdigest(),
        }
        document = {
            "name": name,
            "dist-tags": {"latest": version},
            "versions": {version: {**described, "dist": dist}},
        }
        (self.folder / name).write_text(json.dumps(document))

    def add_wheel(
        self,
        name: str,
        files: Mapping[str, str],
        *,
        version: str = "1.0",
        tag: str = "py3-none-any",
        requires: Sequence[str] = (),
        entry_points: str = "",
    ) -> Path:
        """Add a wheel of these files, and return its path."""
        path = self.folder / "simple" / name / f"{name}-{version}-{tag}.whl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wheel(path, name, version, files, requires=requires, entry_points=entry_points)
        return path


def write_wheel(
    path: Path,
    name: str,
    version: str,
    files: Mapping[str, str],
    *,
    requires: Sequence[str] = (),
    entry_points: str = "",
) -> None:
    """Write a wheel, of which `path` says what it fits."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    python, abi, platform = path.stem.split("-")[2:]
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {python}-{abi}-{platform}\n",
        **({f"{info}/entry_points.txt": entry_points} if entry_points else {}),
    }
    record = "".join(f"{entry},,\n" for entry in (*contents, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in {**contents, f"{info}/RECORD": record}.items():
            archive.writestr(entry, text)


class _Requests(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Silence(BaseHTTPRequestHandler):
    """Answers no request."""

    def __init__(self, asked: threading.Event, gone: threading.Event, *args: Any) -> None:
        self._asked, self._gone = asked, gone
        super().__init__(*args)

    def do_GET(self) -> None:
        """Wait for the end of the connection."""
        self._asked.set()
        self.rfile.read(1)
        self._gone.set()


@contextmanager
def silent_index() -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """Give the address of an index that never answers, and what is set once it is asked and once the client is gone."""
    asked, gone = threading.Event(), threading.Event()
    with _served(partial(_Silence, asked, gone)) as url:
        yield url, asked, gone


@contextmanager
def package_index(folder: Path) -> Iterator[PackageIndex]:
    """Serve `folder` while the body runs."""
    (folder / "simple").mkdir(parents=True)
    with _served(partial(_Requests, directory=str(folder))) as url:
        yield PackageIndex(folder, url)


@contextmanager
def _served(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
