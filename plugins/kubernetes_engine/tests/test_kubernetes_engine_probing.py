"""A cluster is looked at by containers that are run there, and what was seen is kept for a day."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from botdock.config import Config, RuntimeConfig
from botdock.errors import EngineUnavailableError
from botdock.model import ContainerRun, ContainerTemplate, Feature
from botdock_engine_kubernetes import probing
from botdock_engine_kubernetes.capabilities import LIMITS
from botdock_engine_kubernetes.probing import FREE, Probe, probe, probe_image
from botdock_engine_kubernetes.settings import KubernetesSettings
from botdock_testing.fake_engine import FakeEngine, Script

CLUSTER = cast("Any", SimpleNamespace(url="https://10.0.0.9:6443", namespace="bots"))
CLOSED = b"tool nc\nstatus NoNewPrivs:\t1\n"
OPEN = b"tool nc\nreached 10.96.0.1:443\n"


def scripted(template: ContainerTemplate, _run: ContainerRun) -> Script:
    """Return what a container does of a cluster whose policy is enforced."""
    return Script(output=(Script.out(OPEN if template.network == FREE else CLOSED),))


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Probe]:
    policies = {"bots": "uid-1 1"}
    monkeypatch.setattr(probing, "ensure_policy", lambda cluster, timeout: policies[cluster.namespace])

    def probed(engine: FakeEngine, *, policy: str = "uid-1 1", anew: bool = False, **settings: Any) -> Probe:
        policies["bots"] = policy
        found = KubernetesSettings(**settings)
        return probe(engine, CLUSTER, found, image="bash:5.2", home=tmp_path / "kubernetes", anew=anew)

    return probed


def created(engine: FakeEngine) -> int:
    return sum(call.operation == "create" for call in engine.calls)


def test_what_is_missing_is_what_the_container_that_was_tried_lacks(look: Callable[..., Probe]) -> None:
    engine = FakeEngine(scripted)
    found = look(engine)
    assert Feature.MEMORY in found.missing
    assert found.image == "bash:5.2"
    capabilities = found.capabilities("v1.32.2")
    assert {Feature.NETWORK, Feature.NO_NEW_PRIVILEGES} <= capabilities.enforced
    assert capabilities.missing == found.missing
    one, exact, *_ = capabilities.log_faults
    assert (one, exact) == ("stdout and stderr come as one stream", "bytes may differ from what was written")
    assert not capabilities.keeps_unfollowed_logs


def test_bytes_are_exact_where_a_cr_before_a_newline_is_in_the_log(look: Callable[..., Probe]) -> None:
    exact = FakeEngine(lambda _template, _run: Script(output=(Script.out(b"newline \r\n"),)))
    assert look(exact).exact_bytes
    assert look(FakeEngine(scripted)).exact_bytes  # as it was kept
    assert not look(FakeEngine(scripted), anew=True).exact_bytes


def test_nothing_of_a_probe_is_left_in_the_cluster(look: Callable[..., Probe]) -> None:
    engine = FakeEngine(scripted)
    look(engine)
    assert created(engine) == 2, "one that is closed in, and one that is not"
    assert not engine.world.containers


def test_the_container_that_is_tried_is_as_those_of_bots_and_knows_where_the_cluster_is(
    look: Callable[..., Probe],
) -> None:
    templates: dict[str, ContainerTemplate] = {}

    def seen(template: ContainerTemplate, run: ContainerRun) -> Script:
        templates[template.network] = template
        return scripted(template, run)

    look(FakeEngine(seen))
    assert set(templates) == {"none", FREE}
    assert templates["none"].limits == LIMITS
    assert templates["none"].environment["BOTDOCK_TARGETS"] == "10.0.0.9:6443"


def test_it_is_looked_at_once_until_the_policy_or_a_setting_changes(look: Callable[..., Probe]) -> None:
    engine = FakeEngine(scripted)
    first = look(engine)
    assert look(engine) == first
    assert created(engine) == 2
    changes: list[dict[str, Any]] = [{"policy": "uid-2 1"}, {"runtime_class": "gvisor"}, {"anew": True}]
    for number, change in enumerate(changes, 2):
        look(engine, **change)
        assert created(engine) == 2 * number


def test_what_was_seen_a_day_ago_is_looked_at_again(look: Callable[..., Probe], tmp_path: Path) -> None:
    engine = FakeEngine(scripted)
    look(engine)
    (kept,) = (tmp_path / "kubernetes").glob("probe-*.json")
    document = json.loads(kept.read_text())
    kept.write_text(json.dumps({**document, "at": document["at"] - probing.LIFE}))
    look(engine)
    kept.write_text("{")
    look(engine)
    assert created(engine) == 6


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(output=(Script.out(b"sh: not found"),), exit_code=127), "sh: not found"),
        (Script(exit_code=None, error="ErrImagePull: no such image"), "no such image"),
    ],
)
def test_a_container_that_does_not_run_is_told_with_its_words(
    look: Callable[..., Probe], script: Script, words: str
) -> None:
    engine = FakeEngine(script)
    with pytest.raises(EngineUnavailableError, match=words) as caught:
        look(engine)
    assert "options.kubernetes.probe_image" in str(caught.value.hint)
    assert not engine.world.containers


def test_the_image_that_is_tried_is_one_that_is_there_for_bots() -> None:
    config = Config(runtime=RuntimeConfig(images={"bash": "mirror/bash:5"}))
    assert probe_image(Config(), KubernetesSettings()) == probing.IMAGE
    assert probe_image(config, KubernetesSettings()) == "mirror/bash:5"
    assert probe_image(config, KubernetesSettings(helper_image="tools:1")) == "tools:1"
    assert probe_image(config, KubernetesSettings(helper_image="tools:1", probe_image="probe:1")) == "probe:1"


def test_one_that_does_not_end_is_removed(look: Callable[..., Probe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "TIMEOUT", 0.1)
    engine = FakeEngine(Script(forever=True, error="0/1 nodes are available"))
    with pytest.raises(EngineUnavailableError, match="did not end"):
        look(engine)
    assert not engine.world.containers
