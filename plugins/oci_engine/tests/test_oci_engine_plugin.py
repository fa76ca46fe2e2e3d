"""How the engine is found, and what it says when it cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from botdock.config import Config
from botdock.errors import EngineUnavailableError
from botdock.model import CheckStatus
from botdock_engine_oci import checks, plugin, runtimes
from botdock_engine_oci.engine import OciEngine
from botdock_engine_oci.probing import Probe
from botdock_engine_oci.runtimes import Runtime
from botdock_engine_oci.settings import OciSettings
from botdock_testing.engine import asked

_PROBED = Probe(runtime=Runtime(name="crun", path="/usr/bin/crun"), missing={}, others={})


def test_the_engine_is_registered_and_may_be_chosen_by_itself(tmp_path: Path) -> None:
    (described,) = plugin.botdock_engines()
    assert (described.name, described.automatic) == ("oci", True)
    assert isinstance(described.factory(Config(home=str(tmp_path))), OciEngine)
    assert list(tmp_path.iterdir()) == [], "nothing is made before it is needed"


def test_without_a_runtime_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(runtimes, "SYSTEM_PATH", str(tmp_path))
    with pytest.raises(EngineUnavailableError, match="neither crun nor runc is installed") as caught:
        OciEngine(tmp_path / "state").create(*asked(tmp_path), timeout=30.0)
    assert "apt-get install crun" in str(caught.value.hint)
    assert not any((tmp_path / "state").iterdir())


def test_it_has_images_where_the_operator_wants_them(tmp_path: Path) -> None:
    (described,) = plugin.botdock_engines()
    wanted = {"oci": OciSettings(rootfs="image")}
    assert described.runs_images(Config(home=str(tmp_path), options=wanted))
    assert not described.runs_images(Config(home=str(tmp_path)))


def test_doctor_names_the_tools_of_images_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "missing_tools", lambda: ["umoci"])
    monkeypatch.setattr(checks, "probe", lambda _state, _settings: _PROBED)
    wanted = {"oci": OciSettings(rootfs="image")}
    (found,) = (
        check for check in checks.checks(Config(home=str(tmp_path), options=wanted)) if check.name == "oci.images"
    )
    assert (found.status, found.detail) == (CheckStatus.FAILED, "umoci is not installed, so no image can be fetched")
    assert "umoci`" in found.remedy
