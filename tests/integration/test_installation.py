"""What a newcomer gets: wheels, built without the workspace, installed into a fresh environment."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email import message_from_string
from pathlib import Path

import pytest

from botdock import Config
from testbed.installation import CONSTRAINTS, UV, Installation

ROOT = Path(__file__).parents[2]
THIRD_PARTY = (ROOT / "tests/typing/third_party.py", ROOT / "tests/typing/third_party_tests.py")
STANDARD = {
    "botdock-cli",
    "botdock-engine-docker",
    "botdock-engine-oci",
    "botdock-engine-process",
    "botdock-reports",
    "botdock-runtime-bash",
    "botdock-runtime-nodejs20",
    "botdock-runtime-nodejs22",
    "botdock-runtime-python311",
    "botdock-runtime-python312",
    "botdock-runtime-python313",
    "botdock-storage-local-fs",
}

LICENCES = {"botdock-reports": "Apache-2.0 AND MIT"}
"""Of what carries the work of others."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> list[Path]:
    """The wheel of every distribution, built without the sources of the workspace."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [UV, "build", "--quiet", "--all-packages", "--wheel", "--no-sources", "--out-dir", str(folder), str(ROOT)]
    done = subprocess.run(
        [*command, "--build-constraints", str(CONSTRAINTS)],
        env=clean_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installation(
    wheels: list[Path], tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]
) -> Installation:
    """A fresh environment with `botdock[standard]`.

    The wheels are named one by one: a requirement by name alone would be looked for in the package index as well.
    """
    installed = Installation(tmp_path_factory.mktemp("newcomer") / "venv", clean_environment)
    core = next(wheel for wheel in wheels if wheel.name.startswith("botdock-"))
    members = [str(wheel) for wheel in wheels if distribution(wheel) in STANDARD]
    installed.install(f"botdock[standard] @ {core.as_uri()}", *members)
    return installed


def distribution(wheel: Path) -> str:
    return wheel.name.split("-")[0].replace("_", "-")


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_each_wheel_has_one_package_of_its_own_and_its_types(wheels: list[Path]) -> None:
    assert {distribution(wheel) for wheel in wheels} >= STANDARD
    assert len(wheels) == 1 + len(list(ROOT.glob("*/*/pyproject.toml")))
    for wheel in wheels:
        package = distribution(wheel).replace("-", "_")
        tops = {name.split("/")[0] for name in names(wheel) if ".dist-info/" not in name}
        assert tops == {package}
        assert f"{package}/py.typed" in names(wheel)
        assert not [name for name in names(wheel) if "/tests/" in name or name.endswith(".pyc")]


def test_the_metadata_of_each_wheel_is_whole_and_names_no_address(wheels: list[Path]) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            [file] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            metadata = message_from_string(archive.read(file).decode())
            licence = archive.read(file.replace("METADATA", "licenses/LICENSE"))
        assert licence == (ROOT / "LICENSE").read_bytes()
        assert metadata["License-Expression"] == LICENCES.get(distribution(wheel), "Apache-2.0")
        assert metadata["Requires-Python"] == ">=3.11"
        assert metadata["Summary"]
        assert metadata["Author"]
        assert str(metadata.get_payload()).startswith("# botdock")
        assert {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= set(metadata.get_all("Classifier", []))
        assert not metadata.get_all("Project-URL")


def test_each_member_says_what_it_adds(wheels: list[Path]) -> None:
    for wheel in wheels:
        if distribution(wheel) in {"botdock", "botdock-cli", "botdock-reports", "botdock-testing"}:
            continue
        with zipfile.ZipFile(wheel) as archive:
            [file] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
            assert re.match(r"\[botdock\]\n[\w-]+ = \w+\.plugin\n", archive.read(file).decode())


def test_standard_is_what_it_says(installation: Installation) -> None:
    listed = json.loads(installation.pip("list", "--format", "json"))
    ours = {entry["name"] for entry in listed if entry["name"].startswith("botdock")}
    assert ours == STANDARD | {"botdock"}
    installation.pip("check")


def test_the_command_finds_what_is_installed(installation: Installation) -> None:
    said = installation.run(installation.program("botdock"), "plugins", "--json")
    for name in STANDARD - {"botdock-cli", "botdock-reports"}:
        assert name in said
    assert installation.run(installation.program("botdock"), "--help")


def test_the_installed_command_runs_a_bot(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("def main(id, config):\n    return {'sum': config['a'] + config['b']}\n")
    command = (installation.program("botdock"), "run", str(tmp_path), "--engine", "process")
    result = json.loads(installation.run(*command, "--json", "--config", '{"a": 1, "b": 2}'))
    assert result["outcome"] == "succeeded"
    assert result["value"] == {"sum": 3}


HEAVY = ("docker", "minio", "requests", "urllib3", "prometheus_client", "rich", "yaml", "hypothesis", "pytest")
LOADED = f"import json, sys; print(json.dumps([name for name in {(*HEAVY, 'click')} if name in sys.modules]))"


def test_importing_botdock_imports_nothing_heavy(installation: Installation) -> None:
    assert json.loads(installation.python(f"import botdock; {LOADED}")) == []


def test_discovery_imports_nothing_heavy(installation: Installation) -> None:
    discover = "from botdock import PluginManager; manager = PluginManager.load()"
    used = "assert list(manager.runtimes()) and list(manager.engines()) and list(manager.storage_backends())"
    assert json.loads(installation.python(f"{discover}; {used}; {LOADED}")) == []


def test_help_imports_nothing_heavy(installation: Installation) -> None:
    source = f"from botdock_cli.main import main; code = main(['--help']); {LOADED}; sys.exit(code)"
    loaded = json.loads(installation.python(source).splitlines()[-1])
    assert loaded == ["click"]


def kit(wheels: list[Path]) -> str:
    return next(str(wheel) for wheel in wheels if distribution(wheel) == "botdock-testing")


def test_a_third_partys_types_are_checked_against_what_is_installed(
    installation: Installation, wheels: list[Path]
) -> None:
    installation.install(kit(wheels))
    installation.check_types(*THIRD_PARTY)
    wrong = installation.folder / "wrong.py"
    wrong.write_text("from botdock import Executable\nExecutable(id=1)\n")
    assert "arg-type" in installation.check_types(wrong, exit_code=1)


@pytest.mark.sampled(3)
@pytest.mark.skipif(shutil.which("node") is None, reason="pyright is a program of Node, and none is on PATH")
def test_pyright_agrees(installation: Installation, wheels: list[Path]) -> None:
    installation.install(kit(wheels))
    pyright = (str(Path(sys.executable).with_name("pyright")), "--pythonpath", installation.program("python"))
    (installation.folder / "pyproject.toml").write_text("[tool.pyright]\ntypeCheckingMode = 'strict'\n")
    said = installation.run(*pyright, *map(str, THIRD_PARTY))
    assert "0 errors" in said


def test_the_wheel_of_the_command_holds_the_members_that_new_plugins_start_from(wheels: list[Path]) -> None:
    (wheel,) = [wheel for wheel in wheels if distribution(wheel) == "botdock-cli"]
    with zipfile.ZipFile(wheel) as archive:
        for name, member in {
            "runtime/package/runtime.py": "runtimes/perl/src/botdock_runtime_perl/runtime.py",
            "runtime/example/main.pl": "runtimes/perl/example/main.pl",
            "storage/package/backend.py": "storage_backends/sqlite/src/botdock_storage_sqlite/backend.py",
            "engine/contract": "plugins/process_engine/tests/test_process_engine_contract.py",
            "bot/bot.toml": "examples/hello-python/bot.toml",
        }.items():
            assert archive.read(f"botdock_cli/templates/{name}") == (ROOT / member).read_bytes()


def test_a_strangers_path_leads_to_a_bot_that_runs_isolated(
    installation: Installation, wheels: list[Path], make_oci_config: Callable[..., Config]
) -> None:
    """The commands of the page, in their order, in an environment of wheels alone."""
    page = (ROOT / "docs/how-to/start-a-plugin.md").read_text()
    commands = [shlex.split(line)[1:] for line in page.splitlines() if line.startswith("$ ")]
    assert len(commands) == 6, "the page says how many there are"
    folder, said = installation.folder, ""
    for program, *arguments in commands:
        if program == "cd":
            folder /= arguments[0]
        elif "pip" in arguments:
            installation.install("--editable", f"{folder}[test]", kit(wheels))
        else:
            isolated = ("--engine", make_oci_config().engine, "--json") if arguments[0] == "run" else ()
            said = installation.run(installation.program(program), *arguments, *isolated, folder=folder)
    result = json.loads(said)
    assert (result["runtime"], result["engine"], result["value"]) == ("perl", "oci", {"sum": 3})
    installation.check_types(folder / "src", folder / "tests")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("storage", "onefile"),
        *(pytest.param(kind, "acme", marks=pytest.mark.sampled(3)) for kind in ("engine", "sink", "exporter")),
    ],
)
def test_a_new_plugin_installs_passes_its_contract_and_its_types_are_right(
    installation: Installation, wheels: list[Path], kind: str, name: str
) -> None:
    written = json.loads(installation.run(installation.program("botdock"), "new", kind, name, "--json"))
    folder = installation.folder / written["folder"]
    installation.install("--editable", f"{folder}[test]", kit(wheels))
    plugins = json.loads(installation.run(installation.program("botdock"), "plugins", "--json"))
    assert f"{kind}:{name}" in [provided for plugin in plugins for provided in plugin["provides"]]
    said = installation.run(installation.program("python"), "-m", "pytest", "-q", folder=folder)
    assert " passed" in said
    installation.check_types(folder / "src", folder / "tests")


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "member", ["runtimes/bash", "runtimes/nodejs20", "runtimes/python311", "storage_backends/local_fs"]
)
def test_a_member_passes_its_contract_as_it_is_installed(
    installation: Installation, wheels: list[Path], tmp_path: Path, member: str
) -> None:
    """The other members' contracts are those of the plugins that are made of them above."""
    installation.install(kit(wheels))
    shutil.copytree(ROOT / member / "tests", tmp_path / "tests")
    (contract,) = (tmp_path / "tests").glob("test_*_contract.py")
    python = installation.program("python")
    said = installation.run(python, "-m", "pytest", "-q", "--noconftest", str(contract), folder=tmp_path)
    assert " passed" in said


@pytest.mark.sampled(10)
def test_what_the_readme_says_installs_all_from_a_clone(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    make = ["make", "-s", "-C", str(ROOT), "install", f"INTO={tmp_path}/venv", f"PYTHON={sys.executable}"]
    done = subprocess.run(make, env=clean_environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(f"{tmp_path}/venv/bin/activate")
    environment = {**clean_environment, "HOME": str(tmp_path)}
    botdock = [f"{tmp_path}/venv/bin/botdock", "plugins", "--json"]
    plugins = subprocess.run(botdock, env=environment, capture_output=True, text=True, check=True).stdout
    assert len([plugin for plugin in json.loads(plugins) if plugin["provides"]]) >= len(STANDARD)
    editable = [path.parent.name for path in tmp_path.rglob("direct_url.json") if '"editable":true' in path.read_text()]
    assert editable == [], "it would change with the clone, and go with it"
