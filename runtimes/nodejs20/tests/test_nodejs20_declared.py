"""What `node .` would run: the script that a package.json names, or the index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from botdock_runtime_nodejs20.check import declared


@pytest.mark.parametrize(
    ("package", "script"),
    [
        (b'{"main": "app.js"}', "app.js"),
        (b'\xef\xbb\xbf{"main": "./lib/app"}', "lib/app.js"),
        (b'{"main": "./lib/"}', "lib/index.js"),
        (b'{"main": "gone.js"}', "index.js"),
        (b'{"main": "data.json"}', "index.js"),
        (b'{"main": "../outside.js"}', "index.js"),
        (b'{"main": "/etc/app.js"}', "index.js"),
        (b'{"main": "a\\u0000b\\ud800.js"}', "index.js"),
        (b'{"main": 3}', "index.js"),
        (b"[]", "index.js"),
        (b"[" * 30_000, "index.js"),
        (b"\xff", "index.js"),
        (None, "index.js"),
    ],
)
def test_it_is_what_package_json_names_and_is_there_or_the_index(
    package: bytes | None, script: str, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    for name in (
        "tree/app.js",
        "tree/lib/app.js",
        "tree/lib/index.js",
        "tree/index.js",
        "tree/data.json",
        "outside.js",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(name))
    if package is not None:
        (tree / "package.json").write_bytes(package)
    assert declared(tree) == script


def test_a_folder_without_either_declares_nothing(tmp_path: Path) -> None:
    assert declared(tmp_path) is None
