"""The plugin manager, with good and bad plugins that are truly installed, side by side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

GOOD = """
from botdock import Runtime, hookimpl

@hookimpl
def botdock_runtimes():
    yield Runtime(name="{name}", aliases=("{name}-alias",), image="x", interpreters=("x",), suffixes=(".x",),
                  scripts={{}}, files=dict)
"""

BAD = {
    "missing-import": ("import a_module_that_nobody_has", "import", "No module named 'a_module_that_nobody_has'"),
    "syntax-error": ("def (:", "import", "SyntaxError"),
    "exits": ("raise SystemExit(3)", "import", "SystemExit: 3"),
    "raises": ("1 / 0", "import", "ZeroDivisionError: division by zero"),
    "panics": ("class Panic(BaseException): ...\nraise Panic('oh')", "import", "Panic: oh"),
    "misspelt": (
        "from botdock import hookimpl\n@hookimpl\ndef botdock_runtime(): yield",
        "validate",
        "botdock_runtime is not a hook of botdock; did you mean botdock_runtimes?",
    ),
    "wrong-signature": (
        "from botdock import hookimpl\n@hookimpl\ndef botdock_before_execution(execution_id, exe): ...",
        "validate",
        "{'exe'}",
    ),
    "no-hook": ("x = 1", "validate", "it has no hook"),
    "hook-raises": (
        "from botdock import hookimpl\n@hookimpl\ndef botdock_engines(): yield open('/no/such/file')",
        "register",
        "plugin_hook_raises.py:3)",
    ),
    "raises-within": (
        "import json\nfrom botdock import hookimpl\n@hookimpl\ndef botdock_engines(): return json.loads('{')['x']",
        "register",
        "plugin_raises_within.py:4)",
    ),
    "wrong-type": (
        "from botdock import hookimpl\n@hookimpl\ndef botdock_engines(): return ['docker']",
        "register",
        "botdock_engines yields a str, not a EnginePlugin",
    ),
    "not-iterable": (
        "from botdock import hookimpl\n@hookimpl\ndef botdock_engines(): return 1",
        "register",
        "botdock_engines returns no iterable",
    ),
    "bad-name": (GOOD.format(name="a b"), "register", "a name must be 1 to 64"),
}

REPORT = """
import json, sys
from botdock.config import PluginsConfig
from botdock.plugin_manager import PluginManager
manager = PluginManager.load(PluginsConfig(**json.loads(sys.argv[1])))
found = [[r.name, r.distribution, r.version, r.module, r.stage, r.reason, list(r.provides)] for r in manager.records]
print("\\n" + json.dumps({"records": found, "heavy": sorted({"docker", "minio"} & set(sys.modules))}))
"""


def wheel(folder: Path, name: str, source: str, *, value: str = "", entry: str = "", version: str = "1.0") -> Path:
    """Build a wheel with one module, which is the plugin."""
    module = f"plugin_{name.replace('-', '_')}"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    files = {
        f"{module}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[botdock]\n{entry or name} = {value or module}\n",
    }
    path = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD")))
    return path


def install(target: Path, *wheels: Path) -> Path:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-index", "--no-deps"]
    subprocess.run([*command, "--target", str(target), *map(str, wheels)], check=True, timeout=60)
    return target


def report(*sites: Path, **config: Any) -> dict[str, Any]:
    """Load the plugins of `sites` and of this environment in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sites))}
    command = [sys.executable, "-c", REPORT, json.dumps(config)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["heavy"] == []
    keys = ("name", "distribution", "version", "module", "stage", "reason", "provides")
    found["records"] = [dict(zip(keys, record, strict=True)) for record in found["records"]]
    return found


def record_of(found: dict[str, Any], name: str) -> dict[str, Any]:
    (record,) = [record for record in found["records"] if record["name"] == name]
    return dict(record)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all bad plugins and three good ones are installed."""
    folder = tmp_path_factory.mktemp("wheels")
    wheels = [wheel(folder, name, source) for name, (source, _, _) in BAD.items()]
    wheels += [
        wheel(folder, "zz-good", GOOD.format(name="good")),
        wheel(folder, "talks", "print('hello from a plugin')\n" + GOOD.format(name="talks"), version="2.5"),
        wheel(folder, "no-module", "", value="a_module_that_is_not_there"),
        wheel(folder, "no-attribute", "", value="plugin_no_attribute:absent"),
        wheel(folder, "no-value", "", value="not a value!"),
        wheel(folder, "twin-a", GOOD.format(name="twin"), entry="twin"),
        wheel(folder, "twin-b", GOOD.format(name="Twin"), entry="twin"),
        wheel(folder, "alias", GOOD.format(name="good-alias")),
    ]
    return install(tmp_path_factory.mktemp("site"), *wheels)


@pytest.fixture(scope="module")
def found(site: Path) -> dict[str, Any]:
    return report(site)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_plugin_becomes_a_record(found: dict[str, Any], name: str) -> None:
    _, stage, said = BAD[name]
    record = record_of(found, name)
    assert record["stage"] == stage
    assert said in record["reason"]
    assert "\n" not in record["reason"]
    assert record["provides"] == []
    assert (record["distribution"], record["version"]) == (name, "1.0")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-module", "No module named 'a_module_that_is_not_there'"),
        ("no-attribute", "has no attribute 'absent'"),
        ("no-value", ""),
    ],
)
def test_an_entry_point_that_leads_nowhere_becomes_a_record(found: dict[str, Any], name: str, said: str) -> None:
    record = record_of(found, name)
    assert record["stage"] == "import"
    assert said in record["reason"]


def test_bad_plugins_hide_no_good_one(found: dict[str, Any]) -> None:
    record = record_of(found, "talks")
    assert record["stage"] == "loaded"
    assert record["reason"] == ""
    assert record["provides"] == ["runtime:talks"]
    assert (record["version"], record["module"]) == ("2.5", "plugin_talks")


def test_an_alias_that_another_plugin_has_as_its_name_is_a_conflict(found: dict[str, Any]) -> None:
    good, alias = record_of(found, "zz-good"), record_of(found, "alias")
    assert good["stage"] == alias["stage"] == "conflict"
    assert "registered by alias and by zz-good" in good["reason"]
    assert good["provides"] == ["runtime:good"]
    assert alias["provides"] == []


def test_two_distributions_with_one_name_conflict(found: dict[str, Any]) -> None:
    twins = [record for record in found["records"] if record["name"] == "twin"]
    assert [twin["distribution"] for twin in twins] == ["twin-a", "twin-b"]
    for twin in twins:
        assert twin["stage"] == "conflict"
        assert (
            'which you trust in botdock.toml: [plugins.prefer] "runtime:twin" = "twin-a" or "twin-b"' in twin["reason"]
        )
        assert twin["provides"] == []


def test_a_preferred_distribution_wins(site: Path) -> None:
    found = report(site, prefer={"runtime:twin": "Twin_B", "runtime:good-alias": "zz.good"})
    provided = {record["distribution"]: record["provides"] for record in found["records"]}
    assert provided["twin-a"] == []
    assert provided["twin-b"] == ["runtime:Twin"]
    assert provided["zz-good"] == ["runtime:good"]
    assert provided["alias"] == []


def test_blocked_plugins_are_not_imported(site: Path) -> None:
    found = report(site, blocked=["Twin.A", "exits"])
    stages = {record["distribution"]: record["stage"] for record in found["records"]}
    assert stages["twin-a"] == stages["exits"] == "blocked"
    assert stages["twin-b"] == "loaded"


def test_with_an_allow_list_nothing_else_is_imported(site: Path) -> None:
    found = report(site, allowed=["talks", "twin"])
    stages = {record["distribution"]: record["stage"] for record in found["records"]}
    assert {name for name, stage in stages.items() if stage != "blocked"} == {"talks", "twin-a", "twin-b"}


def test_names_in_the_configuration_that_match_nothing_are_reported(site: Path) -> None:
    prefer = {"runtime:twin": "nobody", "runtime:none": "zz-good", "shell:x": "zz-good", "twin": "twin-a"}
    found = report(site, allowed=["talk", "twin-a", "twin-b"], blocked=["qqq"], prefer=prefer)
    said = {record["name"]: record["reason"] for record in found["records"] if record["module"].startswith("plugins.")}
    assert said["talk"] == "plugins.allowed: 'talk': no such plugin is installed; did you mean talks?"
    assert said["qqq"] == "plugins.blocked: 'qqq': no such plugin is installed"
    assert "'nobody' does not pick one of those that register it: twin-a, twin-b" in said["runtime:twin"]
    assert "nothing that is installed registers it" in said["runtime:none"]
    assert "must be one of engine, exporter, runtime, sink, storage" in said["shell:x"]
    assert "a colon and a name" in said["twin"]


def test_a_distribution_seen_twice_is_loaded_once_and_the_first_wins(site: Path, tmp_path: Path) -> None:
    newer = install(tmp_path / "newer", wheel(tmp_path, "talks", GOOD.format(name="talks"), version="9.0"))
    assert record_of(report(newer, site), "talks")["version"] == "9.0"
    assert record_of(report(site, newer, site), "talks")["version"] == "2.5"


def test_a_distribution_whose_entry_points_cannot_be_read_is_named_and_hides_none(site: Path, tmp_path: Path) -> None:
    broken_files = {
        "broken": b"[botdock]\nno equals sign\n",
        "latin": b"[botdock]\nlatin = caf\xe9\n",
        "foreign": b"[console_scripts]\nno equals sign\n",
        "foreign-latin": b"[console_scripts]\ncaf\xe9 = x\n",
    }
    for name, content in broken_files.items():
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_bytes(content)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (tmp_path / "remains-1.dist-info").mkdir()

    newer = install(tmp_path / "newer", wheel(tmp_path, "talks", GOOD.format(name="talks"), version="9.0"))
    found = report(tmp_path, newer, site)

    talks = record_of(found, "talks")
    assert (talks["stage"], talks["version"]) == ("loaded", "9.0")
    for name in ("broken", "latin"):
        assert record_of(found, name)["stage"] == "import"
        assert "its entry_points.txt cannot be read" in record_of(found, name)["reason"]
    named = {record["distribution"] for record in found["records"]}
    assert {"foreign", "foreign-latin"} <= named, "what might have held a plugin is named"


@pytest.mark.parametrize("version", ["1.0", "0.9", "2.0"])
def test_what_an_interrupted_pip_left_of_a_plugin_is_not_a_second_one(tmp_path: Path, version: str) -> None:
    installed = install(tmp_path / "site", wheel(tmp_path, "talks", GOOD.format(name="talks")))
    remains = installed / f"~alks-{version}.dist-info"
    remains.mkdir()
    for file in (installed / "talks-1.0.dist-info").iterdir():
        (remains / file.name).write_text(file.read_text().replace("Version: 1.0", f"Version: {version}"))

    record = record_of(report(installed), "talks")

    assert (record["stage"], record["version"], record["provides"]) == ("loaded", "1.0", ["runtime:talks"])


def test_what_a_plugin_prints_while_it_loads_goes_to_stderr(tmp_path: Path) -> None:
    source = "print('at import')\n" + GOOD.format(name="talks").replace(
        "    yield", "    print('in a hook')\n    yield"
    )
    installed = install(tmp_path / "site", wheel(tmp_path, "talks", source))
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", REPORT, "{}"], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert "at import" in done.stderr
    assert "in a hook" in done.stderr
    assert "at import" not in done.stdout
    assert "in a hook" not in done.stdout


def test_a_distribution_without_metadata_still_loads(tmp_path: Path) -> None:
    info = tmp_path / "nameless-1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[botdock]\nnameless = nameless\n")
    (tmp_path / "nameless.py").write_text(GOOD.format(name="nameless"))
    record = record_of(report(tmp_path), "nameless")
    assert (record["distribution"], record["provides"]) == ("(unknown)", ["runtime:nameless"])
