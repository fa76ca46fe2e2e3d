"""`botdock doctor`, over plugins that say what the test says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from botdock.config import Config
from botdock.errors import EngineUnavailableError, ImageError
from botdock.hookspecs import hookimpl
from botdock.model import (
    Check,
    CheckStatus,
    EngineCapabilities,
    EnginePlugin,
    Feature,
    ImageInfo,
    Runtime,
    StorageBackendPlugin,
)
from botdock.plugin_manager import PluginManager


def check(name: str, status: str = "ok", detail: str = "fine", remedy: str = "") -> Check:
    return Check(name=name, status=CheckStatus(status), detail=detail, remedy=remedy)


class Machine:
    """The plugins of a test: a runtime, a storage, and engines that a test changes."""

    def __init__(self) -> None:
        self.engines: dict[str, EnginePlugin] = {}
        self.images = {"here:1"}
        self.enforced = frozenset(Feature)
        self.unavailable = ""
        self.storage_checks: Callable[[Config], Iterable[Check]] = lambda config: [check("local-fs")]
        self.add("dock", automatic=True)

    def add(self, name: str, *checks: Check, broken: bool = False, **fields: Any) -> None:
        def ask(_config: Config) -> Iterable[Check]:
            if broken:
                raise ZeroDivisionError("oh")
            return checks

        self.engines[name] = EnginePlugin(name=name, factory=lambda config: self._engine(name), checks=ask, **fields)

    def _engine(self, name: str) -> Any:
        if self.unavailable:
            raise EngineUnavailableError(self.unavailable, engine=name, hint="systemctl start docker")
        missing = {feature: "the kernel lacks it" for feature in Feature if feature not in self.enforced}
        capabilities = EngineCapabilities(engine=name, version="1.0", enforced=self.enforced, missing=missing)
        known = {"capabilities": lambda: capabilities, "close": lambda: None, "list": lambda labels, timeout: []}
        return SimpleNamespace(ensure_image=self._ensure_image, **known)

    def _ensure_image(self, image: str, **_: object) -> ImageInfo:
        if image not in self.images:
            raise ImageError(f"no {image}", image=image, hint="fetch it by hand")
        return ImageInfo(reference=image, digest="sha256:1")

    @hookimpl
    def botdock_engines(self) -> Iterator[EnginePlugin]:
        yield from self.engines.values()

    @hookimpl
    def botdock_storage_backends(self) -> Iterator[StorageBackendPlugin]:
        yield StorageBackendPlugin(
            name="local-fs", factory=lambda config, area: pytest.fail("not opened"), checks=self.storage_checks
        )
        yield StorageBackendPlugin(
            name="cloud",
            factory=lambda config, area: pytest.fail("not opened"),
            checks=lambda config: [check("cloud", "failed", "no address", "set minio.endpoint")],
        )

    @hookimpl
    def botdock_runtimes(self) -> Iterator[Runtime]:
        for name, image, interpreter in (("shell", "here:1", "sh"), ("odd", "absent:1", "no-such-interpreter")):
            yield Runtime(
                name=name,
                image=image,
                interpreters=(interpreter,),
                suffixes=(".sh",),
                scripts={},
                files=lambda: {"entrypoint.sh": b""},
            )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()

    def load(config: object) -> PluginManager:
        manager = PluginManager()
        manager.register(machine, name="test")
        return manager

    monkeypatch.setattr("botdock.plugin_manager.PluginManager", SimpleNamespace(load=load))
    return machine


@pytest.fixture
def doctor(cli: Callable[..., Any]) -> Callable[[], dict[str, dict[str, str]]]:
    """Ask, hold the exit code against the document, and return the checks by name."""

    def call(*args: str, healthy: bool = True) -> dict[str, dict[str, str]]:
        done = cli("doctor", "--json", *args)
        document = json.loads(done.stdout)
        assert document["ok"] is healthy, document
        assert done.code == (0 if healthy else 1)
        assert all(found.keys() == {"name", "status", "detail", "remedy"} for found in document["checks"])
        return {found["name"]: found for found in document["checks"]}

    return call


def test_a_machine_that_isolates_is_healthy(machine: Machine, doctor: Callable[..., Any]) -> None:
    found = doctor()
    assert {name: one["status"] for name, one in found.items()} == {
        "config": "ok",
        "state": "ok",
        "plugins": "ok",
        "dock": "ok",
        "isolation": "ok",
        "runners": "ok",
        "executions": "ok",
        "local-fs": "ok",
        "cloud": "warning",
        "storage.outbox": "ok",
        "dock.image.shell": "ok",
        "dock.image.odd": "warning",
    }


def test_an_engine_that_does_not_answer_is_told_with_the_command_that_mends_it(
    machine: Machine, doctor: Callable[..., Any]
) -> None:
    machine.unavailable = "no daemon"
    found = doctor(healthy=False)
    assert found["dock"] == {
        "name": "dock", "status": "failed", "detail": "no daemon", "remedy": "systemctl start docker",
    }  # fmt: skip
    assert found["isolation"]["remedy"] == "mend an engine above"


def test_without_any_engine_nothing_isolates(machine: Machine, doctor: Callable[..., Any]) -> None:
    machine.engines = {}
    assert doctor(healthy=False)["isolation"]["status"] == "failed"


def test_a_failed_check_of_the_engine_fails_and_nothing_more_is_asked(
    machine: Machine, doctor: Callable[..., Any]
) -> None:
    machine.add("dock", check("dock.version", "failed", "too old", "apt install docker.io"), automatic=True)
    found = doctor(healthy=False)
    assert found["dock.version"]["remedy"] == "apt install docker.io"
    assert "dock.image.shell" not in found


def test_what_cannot_be_enforced_fails_until_the_policy_allows_it(
    machine: Machine, doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.enforced -= {Feature.SWAP}
    found = doctor(healthy=False)
    assert found["dock.swap"]["detail"] == "not enforced: the kernel lacks it"
    assert 'policy.unenforced = {dock = ["swap"]}' in found["dock.swap"]["remedy"]
    monkeypatch.setenv("BOTDOCK_POLICY__UNENFORCED__DOCK", "swap")
    assert doctor()["dock.swap"]["status"] == "warning"


def test_an_engine_that_speaks_for_itself_is_not_repeated(machine: Machine, doctor: Callable[..., Any]) -> None:
    machine.add("dock", check("dock.engine", "ok", "its own words"), automatic=True)
    found = doctor()
    assert (found["dock.engine"]["detail"], "dock" in found) == ("its own words", False)


def test_the_policy_counts_for_what_an_engine_itself_says(
    machine: Machine, doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.enforced -= {Feature.SWAP}
    machine.add("dock", check("dock.swap", "failed", "no swap accounting"), automatic=True)
    assert doctor(healthy=False)["dock.swap"]["status"] == "failed"
    monkeypatch.setenv("BOTDOCK_POLICY__UNENFORCED__DOCK", "swap")
    assert doctor()["dock.swap"]["status"] == "warning"


def test_an_engine_whose_checks_raise_has_failed(machine: Machine, doctor: Callable[..., Any]) -> None:
    machine.add("dock", automatic=True, broken=True)
    assert doctor(healthy=False)["dock"]["detail"] == "its checks raised ZeroDivisionError: oh"


def test_a_failing_engine_that_nobody_needs_is_a_warning(machine: Machine, doctor: Callable[..., Any]) -> None:
    machine.add("pod", check("pod", "failed", "no socket"), automatic=True)
    machine.add("bare", check("bare", "failed", "no bash"))
    found = doctor()
    assert (found["pod"]["status"], found["bare"]["status"]) == ("warning", "warning")


def test_the_configured_engine_is_needed_and_counts_though_it_runs_only_when_it_is_named(
    machine: Machine, doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add("pod", check("pod", "failed", "no socket"), automatic=True)
    monkeypatch.setenv("BOTDOCK_ENGINE", "pod")
    assert doctor(healthy=False)["pod"]["status"] == "failed"
    machine.add("pod", check("pod.engine"))
    assert doctor()["isolation"]["detail"] == "dock, pod isolates bots"


def test_interpreters_matter_where_there_is_a_process_engine(machine: Machine, doctor: Callable[..., Any]) -> None:
    machine.add("process", check("process", "warning", "isolates nothing"), images=False)
    found = doctor()
    assert found["process.runtime.shell"]["status"] == "ok"
    assert found["process.runtime.odd"]["detail"].startswith("no-such-interpreter is not on PATH")


def test_an_interpreter_that_stands_for_one_that_is_not_installed_is_told(
    machine: Machine, doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.add("process", images=False)
    shim = tmp_path / "no-such-interpreter"
    shim.write_text("#!/bin/sh\necho 'pyenv: no-such: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = doctor()["process.runtime.odd"]
    assert found["detail"] == f"{shim} does not run: pyenv: no-such: command not found"
    shim.write_text("#!/bin/sh\nexit 2\n")
    assert doctor()["process.runtime.odd"]["status"] == "ok", "it does not know the option"
    shim.write_text("#!/no/such/program\n")
    assert doctor()["process.runtime.odd"]["status"] == "warning"


def test_an_absent_image_that_is_never_pulled_is_mended_as_its_engine_says(
    machine: Machine, doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor()["dock.image.odd"]["detail"] == "absent:1 is not here; the first run pulls it"
    monkeypatch.setenv("BOTDOCK_CONTAINERS__PULL", "never")
    assert doctor()["dock.image.odd"]["remedy"] == "fetch it by hand"


def test_a_configured_image_is_the_one_that_is_looked_for(
    machine: Machine, doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("other.toml").write_text('[runtime.images]\nodd = "here:1"\n')
    monkeypatch.setenv("BOTDOCK_CONFIG", "other.toml")
    assert doctor()["dock.image.odd"]["status"] == "ok"


def test_a_wrong_configuration_is_told_and_the_rest_is_looked_at(machine: Machine, doctor: Callable[..., Any]) -> None:
    Path("botdock.toml").write_text("engin = 3\n")
    found = doctor(healthy=False)
    assert "did you mean engine?" in found["config"]["detail"]
    assert found["isolation"]["status"] == "ok"


def test_names_in_the_configuration_that_no_plugin_has_fail_where_they_are_needed(
    machine: Machine, doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOTDOCK_LOGGING__SINKS", "shout")
    assert "unknown sink 'shout'" in doctor(healthy=False)["config.logging.sinks"]["detail"]
    monkeypatch.delenv("BOTDOCK_LOGGING__SINKS")
    monkeypatch.setenv("BOTDOCK_POLICY__UNENFORCED__KUBERNETES", "swap")
    assert doctor()["config.policy.unenforced"]["status"] == "warning"


def test_a_broken_plugin_is_a_warning_with_the_way_out(
    machine: Machine, doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add("dock", automatic=True)
    facts = {"distribution": "ruby-bots", "version": "1.0", "module": "ruby", "stage": "import", "reason": "no gem"}
    monkeypatch.setattr(PluginManager, "records", (SimpleNamespace(name="ruby", **facts),))
    assert doctor()["plugin.ruby"]["remedy"] == "pip install --upgrade ruby-bots, or pip uninstall it"


def test_a_state_folder_that_is_a_file_fails_and_is_not_touched(
    machine: Machine, doctor: Callable[..., Any], own_home: Path
) -> None:
    own_home.write_text("not a folder")
    assert doctor(healthy=False)["state"]["remedy"] == "BOTDOCK_HOME=DIR names another state folder."
    assert own_home.read_text() == "not a folder"


def test_text_is_aligned_and_shows_remedies(machine: Machine, cli: Callable[..., Any]) -> None:
    machine.unavailable = "no daemon"
    shown = cli("doctor")
    lines = shown.out.splitlines()
    assert ["failed", "dock", "no daemon"] in [line.split(maxsplit=2) for line in lines]
    assert "         -> systemctl start docker" in lines
    assert (shown.code, lines[-1].split()[-2:]) == (1, ["checks", "failed"])


def test_colour_marks_the_status(machine: Machine, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botdock_cli.commands.doctor.wants_colour", lambda stream: True)
    shown = cli("doctor")
    assert "\x1b[32mok\x1b[0m" in shown.out
    assert shown.out.endswith("nothing failed, 2 warnings\n")
