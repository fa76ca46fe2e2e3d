"""What a `requirements.txt` may list where nothing is to be built."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdock.errors import CodeError
from botdock_runtime_python311 import packages, python

PACKAGES = python("3.11", interpreters=("python3",)).packages


def command(tree: Path, text: str, *, image: str = "python:3.11-slim") -> list[str]:
    assert PACKAGES is not None
    (tree / "requirements.txt").write_text(text, encoding="utf-8", errors="surrogatepass")
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


_PARTS = st.sampled_from(
    ["-r", "-e", "ccxt", "==1", " ; ", "@", "./x", "own/../", "requirements.txt", ".whl", "#", "\\\n"]
)


@given(text=st.text(max_size=60) | st.lists(_PARTS | st.sampled_from([" ", "\n"]), max_size=30).map("".join))
@example(text="-r own/../requirements.txt")
def test_any_list_of_packages_is_read_without_a_crash(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    tree = tmp_path_factory.getbasetemp() / "any"
    (tree / "own").mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, suppress(CodeError):
        patch.setattr(packages, "_pip", lambda *_: ["pip"])
        assert command(tree, text)[0] == "pip"


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
    packages.tidy(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own-1.0.dist-info", "own.py"]
    assert {path.name: path.read_text() for path in info.iterdir()} == {"RECORD": "own.py,,\nown.py,sha256=1,0\n"}
