"""What holds for the repository as a whole, and no single member's tests can see."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from pages import PUBLIC

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    path.parent
    for kind in ("core/testing", "runtimes/*", "storage_backends/*", "plugins/*")
    for path in ROOT.glob(f"{kind}/pyproject.toml")
)
LIBRARIES = {"botdock-reports"}
"""Members that plug nothing in, and are imported."""

MAX_LINES = 300
DRILLED = re.compile(r"testbed(\.| import )drills|pytest\.mark\.sampled")
WRITTEN = {".py", ".sh", ".js", ".mjs", ".cjs", ".toml", ".md"}
"""Endings of the files that people write; data is as long as it is."""

PUT_OFF = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|raise NotImple" r"mentedError")
BARE_MARK = re.compile(r"#\s*(noqa|type: ignore|pragma: no cover)(:\s*[A-Z0-9, ]+)?(\[[a-z, -]+\])?\s*$")


def files(*suffixes: str) -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.suffix in suffixes and path.is_file() and not any(part.startswith(".") for part in parts[:-1]):
            yield path


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in files(*WRITTEN)}
    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_every_drill_is_run_in_full_by_make_drills() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ndrills:")[2].partition("\n\n")[0]
    folders = tuple(word for word in recipe.split() if (ROOT / word).is_dir())
    drills = [name_of(path) for path in files(".py") if re.search(DRILLED, path.read_text())]
    elsewhere = [name for name in drills if not name.startswith((*folders, "tests/testbed", "tests/docs"))]
    assert folders
    assert elsewhere == ["conftest.py"]


def test_every_page_has_its_place_in_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    written = [str(path.relative_to(ROOT / "docs")) for path in files(".md") if path.is_relative_to(ROOT / "docs")]
    assert [page for page in written if f" {page}\n" not in nav] == [], "write its path below `nav` of mkdocs.yml"


def test_nothing_is_put_off() -> None:
    assert [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in files(".py", ".mjs", ".cjs", ".js", ".sh")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if PUT_OFF.search(line)
    ] == []


def test_a_check_that_is_switched_off_says_why() -> None:
    assert [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in files(".py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if BARE_MARK.search(line)
    ] == []


def order(name: str) -> tuple[int, list[str | int]]:
    """Sort as isort and ruff do: constants, classes, the rest; numbers by value."""
    kind = 0 if name.isupper() else 1 if name[:1].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_are_exact_and_sorted(package: str) -> None:
    module = import_module(package)
    names: list[str] = module.__all__
    assert names == sorted(set(names), key=order)
    assert [name for name in names if not hasattr(module, name)] == []
    assert not hasattr(module, "__path__") or set(dir_of(module)) <= set(names)  # a module of one file uses others'


def dir_of(module: ModuleType) -> Iterator[str]:
    """Yield the public names that `module` took from botdock, whether it says so or not."""
    for name, value in vars(module).items():
        home = getattr(value, "__module__", "")
        if not name.startswith("_") and not isinstance(value, ModuleType) and str(home).startswith("botdock"):
            yield name


@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_a_member_stands_on_its_own(member: Path) -> None:
    project = tomllib.loads((member / "pyproject.toml").read_text())
    name = project["project"]["name"]
    package = member / "src" / name.replace("-", "_")
    assert (package / "py.typed").is_file()
    assert len((member / "README.md").read_text().splitlines()) > 5
    assert list(member.glob("tests/test_*.py"))
    assert "uv" not in project.get("tool", {}), "sources belong to the root alone: a copy of the member has none"
    plugged = project["project"].get("entry-points", {}).keys() | project["project"].get("scripts", {}).keys()
    assert bool(plugged) == (name not in LIBRARIES)
    assert name in (ROOT / "pyproject.toml").read_text()


def test_all_distributions_have_one_version_and_move_by_one_command(tmp_path: Path) -> None:
    def versions(root: Path) -> set[str]:
        return {tomllib.loads(path.read_text())["project"]["version"] for path in root.rglob("pyproject.toml")}

    for path in (ROOT / "Makefile", ROOT / "pyproject.toml", *(member / "pyproject.toml" for member in MEMBERS)):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    assert len(versions(tmp_path)) == 1
    assert subprocess.run(["make", "-s", "version", "V=1.2"], cwd=tmp_path, capture_output=True, check=False).returncode
    assert len(versions(tmp_path)) == 1
    subprocess.run(["make", "-s", "version", "V=10.20.30"], cwd=tmp_path, check=True)
    assert versions(tmp_path) == {"10.20.30"}


@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_a_member_imports_only_what_botdock_makes_public(member: Path) -> None:
    private = re.compile(r"^\s*(from|import) botdock(\.\w+)*(\._(?!log\b)\w+)", re.MULTILINE)
    found = {
        name_of(path): match.group().strip()
        for path in member.rglob("src/**/*.py")
        for match in private.finditer(path.read_text())
    }
    assert found == {}


def test_the_command_line_imports_public_modules_only() -> None:
    public = {*PUBLIC, "botdock.model.limits", "botdock.model.units"}
    imported = re.compile(r"^ *(?:from|import) (botdock(?:\.\w+)*) ?(?:import (\w+))?", re.MULTILINE)
    found = {
        f"{name_of(path)}: {module}"
        for path in (ROOT / "plugins/cli/src").rglob("*.py")
        for module, name in imported.findall(path.read_text())
        if module not in public - {"botdock.orchestrator", "botdock.entrypoints"} or name.startswith("_")
    }
    assert found == set()


def test_what_is_pinned_is_sorted_and_names_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines == sorted(lines)
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line)] == []
