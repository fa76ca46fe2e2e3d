from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.errors import CodeError
from botdock.model import Runtime
from botdock.services.code.script import code_root, detect_runtime, find_script, taken_from_beside

NODE = Runtime(
    name="nodejs20",
    image="node:20-slim",
    interpreters=("node",),
    suffixes=(".js", ".mjs", ".cjs"),
    scripts={"bot": ("main.js", "index.js"), "backtest": ("backtest.js",)},
    files=dict,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "src").mkdir(parents=True)
    (tmp_path / "outside.js").write_text("secret")
    for name in ("index.js", "src/strategy.mjs", "src/util.js", "run", "notes.txt"):
        (tree / name).write_text("x")
    return tree


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (None, "index.js"),
        ("index.js", "index.js"),
        ("index", "index.js"),
        ("src/strategy", "src/strategy.mjs"),
        ("./src//strategy.mjs", "src/strategy.mjs"),
        ("src/../index.js", "index.js"),
        ("run", "run"),
        ("notes.txt", "notes.txt"),
    ],
)
def test_a_script_is_found(tree: Path, script: str | None, found: str) -> None:
    assert find_script(tree, NODE, "bot", script) == found


@pytest.mark.parametrize(
    ("script", "source", "taken"),
    [
        ("main.py", "import os, sys\nimport helper\n", "helper.py"),
        ("main.py", "if True:\n    from helper import rate\r\n", "helper.py"),
        ("main.py", "import helper as h", "helper.py"),
        ("main.py", "import package.part, os", "package/__init__.py"),
        ("main.py", "from package.part import (\n  a\n)", "package/__init__.py"),
        ("main.py", "import helpers\nfrom json import helper\nx = 'import helper'\n# import helper", None),
        ("main.py", "import main", None),
        ("main.js", "const a = require('./util')", "util.js"),
        ("main.mjs", "import { a } from './util.js'", "util.js"),
        ("main.mjs", "await import('./config.json')", "config.json"),
        ("main.js", "const a = require('util'), b = require('./gone')", None),
        ("main.sh", "set -e\nsource ./lib.sh", "lib.sh"),
        ("main.sh", '. "$(dirname "$0")/lib.sh"', "lib.sh"),
        ("main.sh", "echo source lib.sh", None),
        ("main.rb", "import helper", None),
    ],
)
def test_what_a_script_takes_from_beside_it_is_seen(
    tmp_path: Path, script: str, source: str, taken: str | None
) -> None:
    (tmp_path / "package").mkdir()
    for name in ("helper.py", "package/__init__.py", "util.js", "config.json", "lib.sh", "main.py"):
        (tmp_path / name).write_text("x")
    assert taken_from_beside(tmp_path / script, source.encode()) == taken


def test_what_a_language_declares_counts_where_no_script_has_a_usual_name(tmp_path: Path) -> None:
    declaring = attrs.evolve(NODE, declared=lambda _: "app.js")
    other = attrs.evolve(NODE, name="other", suffixes=(".o",), scripts={"bot": ("main.o",)})
    assert detect_runtime(tmp_path, "bot", [declaring, other]) is declaring
    (tmp_path / "app.js").write_text("x")
    assert find_script(tmp_path, declaring, "bot", None) == "app.js"
    (tmp_path / "main.o").write_text("x")
    assert detect_runtime(tmp_path, "bot", [declaring, other]) is other


def test_a_declared_script_that_lies_outside_is_refused(tree: Path) -> None:
    with pytest.raises(CodeError, match="leads out of the code"):
        find_script(tree, attrs.evolve(NODE, scripts={}, declared=lambda _: "../outside.js"), "bot", None)


def test_a_file_comes_before_a_folder_of_its_name(tree: Path) -> None:
    (tree / "main").mkdir()
    (tree / "main.js").write_text("x")
    assert find_script(tree, NODE, "bot", "main") == "main.js"


def test_a_link_within_the_code_is_followed(tree: Path) -> None:
    (tree / "link.js").symlink_to("src/util.js")
    assert find_script(tree, NODE, "bot", "link.js") == "link.js"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("indx.js", r"the code holds no script 'indx.js'\nDid you mean index.js\?"),
        ("zzzz", "There is index.js, src/strategy.mjs, src/util.js."),
        ("src", "'src' is a folder; name a file"),
        (".", "'.' is a folder; name a file"),
        ("/etc/passwd", "is absolute; name it relative to the code"),
        ("../outside.js", "leads out of the code"),
        ("..", "leads out of the code"),
        ("src/../../outside", "leads out of the code"),
        ("", "is not the name of a file"),
        ("a\0b", "is not the name of a file"),
        ("\ud800", "is not the name of a file"),
        ("x" * 10_000, "the code holds no script"),
    ],
)
def test_what_is_no_script_is_refused_with_what_there_is(tree: Path, script: str, says: str) -> None:
    with pytest.raises(CodeError, match=says):
        find_script(tree, NODE, "bot", script)


@pytest.mark.parametrize("target", ["../outside.js", "/etc/passwd", "/nowhere"])
@pytest.mark.parametrize("name", ["link.js", "main.js"])
def test_a_link_out_of_the_code_is_refused(tree: Path, target: str, name: str) -> None:
    (tree / name).symlink_to(target)
    with pytest.raises(CodeError, match="is a link that leads out of the code"):
        find_script(tree, NODE, "bot", name)


def test_a_usual_name_that_leads_out_is_refused_too(tree: Path) -> None:
    (tree / "main.js").symlink_to("../outside.js")
    with pytest.raises(CodeError, match="is a link that leads out of the code"):
        find_script(tree, NODE, "bot", None)


def test_a_folder_that_leads_out_is_refused(tree: Path) -> None:
    (tree / "up").symlink_to("..")
    with pytest.raises(CodeError, match="is a link that leads out of the code"):
        find_script(tree, NODE, "bot", "up/outside.js")


def test_a_fifo_is_no_script(tree: Path) -> None:
    os.mkfifo(tree / "fifo.js")
    with pytest.raises(CodeError, match="is not a regular file"):
        find_script(tree, NODE, "bot", "fifo.js")


def test_without_a_usual_name_the_usual_ones_and_those_there_are_named(tree: Path) -> None:
    with pytest.raises(CodeError) as caught:
        find_script(tree, NODE, "backtest", None)
    assert str(caught.value) == (
        "the code holds no script for the entrypoint 'backtest'; nodejs20 looks for backtest.js\n"
        "There is index.js, src/strategy.mjs, src/util.js. Name one with --script, or in [entrypoints] of bot.toml."
    )


def test_an_empty_tree_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(CodeError, match=r"no file that ends with \.js or \.mjs or \.cjs"):
        find_script(tmp_path, NODE, "bot", "main.js")


@given(script=st.text(max_size=50) | st.lists(st.sampled_from(["..", ".", "src", "up", "/", "index.js"])).map("/".join))
def test_any_text_names_a_file_of_the_tree_or_is_refused(tmp_path_factory: pytest.TempPathFactory, script: str) -> None:
    tree = tmp_path_factory.getbasetemp() / "any" / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    (tree / "index.js").write_text("x")
    (tree.parent / "index.js").write_text("x")
    if not (tree / "up").is_symlink():
        (tree / "up").symlink_to("..")
    try:
        found = find_script(tree, NODE, "bot", script)
    except CodeError:
        return
    assert found in {"index.js", "up/tree/index.js"}


@pytest.mark.parametrize("script", [None, "index.js"])
def test_of_several_versions_of_a_language_its_name_says_which_runs_code_that_names_none(
    tree: Path, script: str | None
) -> None:
    usual = attrs.evolve(NODE, language="nodejs", aliases=("nodejs",))
    newer = attrs.evolve(NODE, language="nodejs", name="nodejs22")
    assert detect_runtime(tree, "bot", [newer, usual], script) is usual
    assert detect_runtime(tree, "bot", [newer], script) is newer
    with pytest.raises(CodeError, match=r"several runtimes: .* \(nodejs20\) and .* \(other\)"):
        detect_runtime(tree, "bot", [newer, usual, attrs.evolve(NODE, name="other")], script)


@pytest.mark.parametrize(
    ("names", "script", "root"),
    [
        (["bot-main/main.py", "bot-main/lib/a.py"], None, "bot-main"),
        (["bot/main.py", "__MACOSX/bot/._main.py", ".DS_Store"], None, "bot"),
        (["mybot/__init__.py", "mybot/main.py"], "mybot/main.py", ""),
        (["main.py", "lib/a.py"], None, ""),
        (["main.py"], None, ""),
    ],
)
def test_an_archive_with_one_top_folder_means_that_folder(
    tmp_path: Path, names: list[str], script: str | None, root: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert code_root(tmp_path, script) == tmp_path / root
