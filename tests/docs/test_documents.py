"""Every shown Python example runs, every shown command exists, every link leads somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from botdock import Config
from botdock.services import read_manifest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
FOLLOWED = {"coming-from.md", "embed-botdock.md", "operate-bots.md", "run-a-strangers-bot.md", "write-a-runtime.md"}
"""Documents whose files are written and run in an empty folder."""
TRIED_ELSEWHERE = FOLLOWED | {
    "back-up.md",
    "bots-with-dependencies.md",
    "kubernetes.md",
    "operate.md",
    "reports.md",
    "start-a-plugin.md",
    "write-an-engine.md",
    "write-a-storage-backend.md",
}
"""Documents whose commands are about files that they show."""
WORD = re.compile(r'"[\w-]+"|[\w-]+\.md')
RUNS = re.compile(r"\b((Docker)?Runner|submit)\(")
PROOF = re.compile(r"`([\w/]+/tests/[\w/]*test_\w+\.py|tests/[\w/]+\.py)((?:::\w+)*)`")


def blocks(document: Path, language: str) -> list[str]:
    return [text for found, text in FENCE.findall(document.read_text()) if found == language]


def runnable() -> list[object]:
    """Return the Python examples that do something when they are run, not those that define a bot or a plugin."""
    return [
        pytest.param(block, id=f"{document.relative_to(ROOT)}-{number}")
        for document in DOCUMENTS
        for number, block in enumerate(blocks(document, "python"))
        if RUNS.search(block) and document.name not in TRIED_ELSEWHERE
    ]


def definitions() -> list[object]:
    return [
        pytest.param(block, id=f"{document.relative_to(ROOT)}-{number}")
        for document in DOCUMENTS
        for number, block in enumerate(blocks(document, "python"))
        if not RUNS.search(block) and document.name not in FOLLOWED - {"write-a-runtime.md"}
    ]


def shown_commands(document: Path, program: str) -> list[str]:
    lines = (line.strip() for block in blocks(document, "console") for line in block.splitlines())
    return [line[2:] for line in lines if line.startswith(f"$ {program} ")]


def showing(program: str) -> list[object]:
    """Return the documents that show commands of a program."""
    return [
        pytest.param(document, id=str(document.relative_to(ROOT)))
        for document in DOCUMENTS
        if shown_commands(document, program) and (program == "make" or document.name not in TRIED_ELSEWHERE)
    ]


@pytest.mark.docker
@pytest.mark.parametrize("example", runnable())
def test_an_example_that_runs_bots_runs(example: str, newcomer: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=ROOT,
        env=newcomer,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", definitions())
def test_an_example_that_defines_something_is_python(example: str) -> None:
    exec(compile(example, "example", "exec"), {"__name__": "example"})


@pytest.mark.docker
@pytest.mark.parametrize("document", showing("botdock"))
def test_the_shown_commands_work_in_their_order(document: Path, newcomer: dict[str, str]) -> None:
    for command in shown_commands(document, "botdock"):
        done = subprocess.run(
            shlex.split(command), cwd=ROOT, env=newcomer, capture_output=True, text=True, timeout=120, check=False
        )
        assert "Traceback" not in done.stderr, command
        assert done.returncode in ({0, 1} if " doctor" in command else {0}), f"{command}: {done.stderr}"


def test_a_document_that_is_not_tried_here_is_tried_by_a_test_of_its_own() -> None:
    others = "".join(path.read_text() for path in ROOT.glob("tests/*/test_*.py") if path != Path(__file__))
    assert [
        name for name in sorted(TRIED_ELSEWHERE) if not {name, f'"{Path(name).stem}"'} & {*WORD.findall(others)}
    ] == []


@pytest.mark.parametrize("document", showing("make"))
def test_the_shown_targets_exist(document: Path) -> None:
    for command in shown_commands(document, "make"):
        assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_tests_that_prove_a_promise_exist() -> None:
    named = {found for document in DOCUMENTS for found in PROOF.findall(document.read_text())}
    assert len(named) > 40
    for path, test in named:
        source = (ROOT / path).read_text()
        assert all(re.search(rf"(def|class) {part}\b", source) for part in test.split("::")[1:]), f"{path}{test}"


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{document.relative_to(ROOT)}-{number}")
        for document in DOCUMENTS
        for number, block in enumerate(blocks(document, "toml"))
    ],
)
def test_a_shown_configuration_manifest_or_project_is_valid(block: str, tmp_path: Path) -> None:
    if tomllib.loads(block).keys() & {"build-system", "project"}:
        return
    if re.search(r"^(name|type) = |^\[entrypoints\]", block, re.MULTILINE):
        (tmp_path / "bot.toml").write_text(block)
        assert read_manifest(tmp_path)
    else:
        (tmp_path / "botdock.toml").write_text(block)
        Config.load(tmp_path / "botdock.toml", environ={})


def test_shown_variables_are_valid() -> None:
    (block,) = (block for block in blocks(ROOT / "docs/how-to/configure.md", "text") if "BOTDOCK_HOME" in block)
    Config.load(environ=dict(line.split("=", 1) for line in block.splitlines()))
