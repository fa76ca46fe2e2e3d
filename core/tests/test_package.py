"""What `import botdock` gives, and what it costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import botdock
from botdock import archive, config, entrypoints, factory, model, orchestrator
from botdock.services import code

HEAVY = ("attrs", "docker", "loguru", "minio", "pluggy", "rich", "click")


@pytest.mark.parametrize("package", [botdock, archive, code, config, entrypoints, factory, model, orchestrator])
def test_a_package_imports_exactly_its_public_names_from_where_a_type_checker_finds_them(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in ast.walk(checked) if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: str(node.module) for node in imports for alias in node.names}
    assert sorted(homes) == sorted(package.__all__)
    for name, home in homes.items():
        assert getattr(package, name) is getattr(importlib.import_module(home), name)
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'Nothing'"):
        getattr(package, "Nothing")  # noqa: B009 - a type checker would refuse it


def test_names_are_completed_in_a_shell() -> None:
    assert dir(botdock) == sorted(botdock.__all__)


def modules_after(code: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return set(done.stdout.split())


def test_importing_botdock_imports_nothing_heavy() -> None:
    assert modules_after("import botdock").isdisjoint(HEAVY)


def test_importing_the_model_imports_nothing_heavy() -> None:
    assert modules_after("from botdock import model").isdisjoint(HEAVY)
    modules = modules_after("from botdock import model; [getattr(model, name) for name in model.__all__]")
    assert modules.isdisjoint({*HEAVY, "botdock.config"} - {"attrs"})


def test_discovery_imports_neither_docker_nor_minio() -> None:
    modules = modules_after("from botdock import PluginManager; PluginManager.load().records")
    assert modules.isdisjoint({"docker", "minio", "rich", "click", "prometheus_client", "tarfile"})


def test_asking_for_a_folder_to_be_run_imports_no_runner(tmp_path: Path) -> None:
    (tmp_path / "main.sh").touch()
    asked = f"Executable(id='sma', file_path={str(tmp_path)!r})"
    changes = {"home": str(tmp_path / "home"), "engine": "process"}
    modules = modules_after(
        "from botdock import Executable; from botdock.supervisor import submit;"
        f"submit({asked}, overrides={changes!r}, spawn=False)"
    )
    runner = {"bot_orchestrator", "execution", "preparation", "strays"}
    services = {"code.service", "code_cache", "container", "logs", "log_store", "metrics", "outbox", "storage"}
    assert modules.isdisjoint(
        {
            "botdock.factory.service_factory",
            "botdock.archive._extract",
            *(f"botdock.orchestrator.{name}" for name in runner),
            *(f"botdock.services.{name}" for name in services),
        }
    )
