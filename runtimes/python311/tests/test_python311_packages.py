"""What a `requirements.txt` may list where nothing is to be built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from botdock.errors import CodeError
from botdock_runtime_python311 import python
from botdock_runtime_python311.packages import tidy

PACKAGES = python("3.11", interpreters=("python3",)).packages


def command(tree: Path, text: str, *, image: str = "python:3.11-slim") -> list[str]:
    assert PACKAGES is not None
    (tree / "requirements.txt").write_text(text)
    return list(PACKAGES.command(tree, image, False))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ccxt",
        "pandas[all] >= 2, < 3 ; python_version > '3.8'  # numbers",
        "numpy==2.0 \\\n  --hash=sha256:00",
        "./wheels/own-1.0-py3-none-any.whl",
        "own @ https://example.org/own-1.0-py3-none-any.whl#sha256=00",
        "--index-url https://example.org/simple\n--extra-index-url=https://example.org\n-f https://example.org\n--pre\nccxt",
        "-r more.txt\n-c constraints.txt",
    ],
)
def test_what_comes_as_a_wheel_is_installed(tmp_path: Path, text: str) -> None:
    (tmp_path / "more.txt").write_text("-r requirements.txt\nccxt")
    assert "--only-binary=:all:" in command(tmp_path, text)


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "--editable=.",
        "--edit .",
        ".",
        "./own",
        "../own",
        "/opt/own",
        "lib/own",
        "own-1.0.tar.gz",
        "git+https://example.org/own",
        "own @ git+https://example.org/own@v1.whl",
        "./own ; python_version > '3'",
        "own@file:///opt/own",
        "own @ https://example.org/own-1.0.zip",
        "--no-binary own",
        "--no-bin=own",
        "--only-binary=:none:",
        "-r https://example.org/requirements.txt",
    ],
)
def test_what_would_be_built_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    for text, place in ((f"ccxt\n{line}\n", "requirements.txt, line 2"), ("-rmore.txt", "more.txt, line 1")):
        (tmp_path / "more.txt").write_text(line)
        with pytest.raises(CodeError) as caught:
            command(tmp_path, text)
        assert str(caught.value).startswith(
            f"{place}: {line!r} names no wheel, and would be built\n--build allows that"
        )


def test_what_names_this_machine_is_removed(tmp_path: Path) -> None:
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "own").write_text("#!/home/ada/.venv/bin/python\n")
    (tmp_path / "own.py").touch()
    (info / "direct_url.json").write_text(json.dumps({"url": "file:///home/ada"}))
    (info / "RECORD").write_text(
        'own.py,sha256=1,0\nbin/own,sha256=2,9\nown-1.0.dist-info/direct_url.json,,\n"own.py",,\n'
    )
    tidy(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own-1.0.dist-info", "own.py"]
    assert {path.name: path.read_text() for path in info.iterdir()} == {"RECORD": "own.py,,\nown.py,sha256=1,0\n"}
