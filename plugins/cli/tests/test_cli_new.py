"""`botdock new`: what is written is a bundled plugin under another name; what cannot be is said before anything is."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from botdock_cli.commands.new import KINDS
from botdock_cli.scaffold import TEMPLATES, bounds_of, files_of

ROOT = Path(__file__).parents[3]
MEMBERS = {
    "runtime": "runtimes/perl",
    "storage": "storage_backends/sqlite",
    "engine": "plugins/process_engine",
    "sink": "plugins/loguru_logging",
    "exporter": "plugins/prometheus_metrics",
}
PLUGINS = tuple(MEMBERS)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def project_of(folder: Path) -> Any:
    return tomllib.loads((folder / "pyproject.toml").read_text())


@pytest.mark.parametrize("kind", PLUGINS)
def test_a_template_is_the_member_itself(kind: str) -> None:
    member, template = ROOT / MEMBERS[kind], TEMPLATES / kind
    assert (template / "pyproject.toml").samefile(member / "pyproject.toml")
    assert (template / "package").samefile(next((member / "src").iterdir()))
    assert "Contract" in (template / "contract").read_text()


@pytest.mark.parametrize("kind", PLUGINS)
def test_a_plugin_is_a_whole_distribution_under_its_own_name(cli: Callable[..., Any], here: Path, kind: str) -> None:
    shown = cli("new", kind, "acme-x", "--json")
    assert shown.code == 0, shown.err
    written = json.loads(shown.out)
    folder = here / written["folder"]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == written["files"]
    project = project_of(folder)["project"]
    package = project["name"].replace("-", "_")
    member = project_of(ROOT / MEMBERS[kind])["project"]["name"]
    assert project["name"] == folder.name == f"{member.rpartition('-')[0]}-acme-x"
    assert project["entry-points"] == {"botdock": {"acme-x": f"{package}.plugin"}}
    bounds = bounds_of(version("botdock"))
    assert f"botdock{bounds}" in project["dependencies"]
    assert project["optional-dependencies"]["test"] == [f"botdock-testing{bounds}", "pytest>=8.3"]
    assert {"README.md", f"src/{package}/py.typed", f"tests/test_{package}.py"} <= set(written["files"])
    assert not project.keys() & {"license", "license-files", "authors"}, "they are the author's to choose"


@pytest.mark.parametrize("kind", PLUGINS)
def test_nothing_of_the_members_own_name_is_left(kind: str) -> None:
    name = project_of(ROOT / MEMBERS[kind])["project"]["name"]
    for path, text in files_of(kind, "acme").items():
        if path == "README.md":
            continue
        assert name not in text
        assert name.replace("-", "_") not in text
        if path.endswith(".py"):
            ast.parse(text)


def test_a_bot_is_a_folder_that_runs(cli: Callable[..., Any], here: Path) -> None:
    shown = cli("new", "bot", "sma")
    assert shown.code == 0
    assert "  botdock run .\n" in shown.out
    assert "hello-python" not in "".join(path.read_text() for path in (here / "sma").iterdir())
    assert tomllib.loads((here / "sma" / "bot.toml").read_text())["name"] == "sma"


def test_the_next_steps_are_said(cli: Callable[..., Any], here: Path) -> None:
    shown = cli("new", "runtime", "lua", "-o", "there")
    steps = shown.out.partition("next:\n")[2].splitlines()
    assert steps == [
        "  cd there",
        "  python -m pip install -e '.[test]'",
        "  python -m pytest",
        "  botdock plugins",
        "  botdock run example",
    ]
    assert "`src/botdock_runtime_lua/runtime.py`" in (here / "there" / "README.md").read_text()


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("runtime", "Perl_X", "'perl-x' would do"),
        ("runtime", "9x", "begin with a letter\n"),
        ("sink", "", "is not lower-case"),
        ("sink", "../up", "'up' would do"),
        ("runtime", "bash", "the runtime 'bash' is there already, of botdock-runtime-bash"),
        ("runtime", "bash5", "the runtime 'bash5' is there already, of botdock-runtime-bash"),
        ("engine", "process", "the engine 'process' is there already, of botdock-engine-process"),
        ("language", "lua", "is not one of"),
    ],
)
def test_a_name_that_cannot_be_is_said_with_one_that_can(
    cli: Callable[..., Any], here: Path, kind: str, name: str, said: str
) -> None:
    shown = cli("new", kind, name)
    assert shown.code == 2
    assert said in shown.err
    assert list(here.iterdir()) == []


def test_what_is_there_is_left_alone(cli: Callable[..., Any], here: Path) -> None:
    (here / "sma").write_text("mine")
    (here / "gone").symlink_to("nowhere")
    for arguments in (["sma"], ["other", "-o", "gone"]):
        shown = cli("new", "bot", *arguments)
        assert shown.code == 2
        assert "is there already\n  Name another folder: -o DIR" in shown.err
    shown = cli("new", "bot", "x", "-o", "absent/x")
    assert (shown.code, shown.err) == (2, "botdock: absent is not a folder\n  Make it first, or name another: -o DIR\n")
    assert (here / "sma").read_text() == "mine"
    assert sorted(path.name for path in here.iterdir()) == ["gone", "sma"]


def test_what_fails_half_way_leaves_nothing(
    cli: Callable[..., Any], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "rename", full)
    shown = cli("new", "bot", "sma")
    assert shown.code == 125
    assert "No space left" in shown.err
    assert "Traceback" not in shown.err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("release", "bounds"), [("0.1.0", ">=0.1,<0.2"), ("0.9.3", ">=0.9,<0.10"), ("2.4.1", ">=2.4,<3")]
)
def test_a_plugin_needs_the_versions_that_have_its_interface(release: str, bounds: str) -> None:
    assert bounds_of(release) == bounds


def test_every_kind_is_taught() -> None:
    from botdock_cli.commands.new import HELP

    assert all(f"\n  {kind}" in HELP for kind in KINDS)
