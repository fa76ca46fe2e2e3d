"""Small bots as ordinary authors write them: what works as a plain program works here, or is refused beforehand.

Each file in `cases` holds those of one kind, as data; `case.py` says which keys a case has.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock import Config, DockerRunner
from real_bots.case import check, make_tree, run

HERE = Path(__file__).parent
CASES: dict[str, dict[str, Any]] = {
    f"{path.stem}-{case['name']}": case
    for path in sorted((HERE / "cases").glob("*.toml"))
    for case in tomllib.loads(path.read_text(encoding="utf-8"))["case"]
}

SAMPLED = pytest.mark.sampled(4)


def cases_for(engine: str) -> list[str]:
    return [name for name, case in CASES.items() if engine not in case.get("not_on", [])]


def cases_for_docker() -> list[Any]:
    """Return its cases; what is seen as a process, too, is a matter of the runtime, so a sample of it will do."""
    alone = set(cases_for("docker")) - set(cases_for("process"))
    return [pytest.param(name, marks=() if name in alone else SAMPLED) for name in cases_for("docker")]


@pytest.mark.parametrize("name", cases_for("process"))
def test_a_bot_runs_as_a_process_as_its_author_expects(name: str, tmp_path: Path) -> None:
    with DockerRunner(Config(engine="process", home=str(tmp_path / "home"))) as runner:
        assert problem_of(name, runner, tmp_path) == ""


@pytest.mark.parametrize("name", cases_for_docker())
def test_a_bot_runs_in_docker_as_its_author_expects(name: str, docker_config: Config, tmp_path: Path) -> None:
    with DockerRunner(docker_config) as runner:
        assert problem_of(name, runner, tmp_path) == ""


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.sampled(8)) for name in cases_for("docker")])
def test_a_bot_runs_on_the_programs_of_this_machine_as_its_author_expects(
    name: str, make_oci_config: Callable[..., Config], tmp_path: Path
) -> None:
    with DockerRunner(make_oci_config()) as runner:
        assert problem_of(name, runner, tmp_path) == ""


def problem_of(name: str, runner: DockerRunner, folder: Path) -> str:
    """Run a case, and return what is wrong."""
    case = CASES[name]
    seen = run(runner, make_tree(case, folder, HERE / "inputs"), case)
    problems = [check(seen, wanted) for wanted in case["expect"]]
    return "" if "" in problems else " OR ".join(problems)
