"""Pulls on a real Docker from a real registry that fails in each of the ways that registries do, and is well again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import attrs
import pytest

from botdock import Config
from botdock.config import ContainersConfig
from botdock.errors import EngineTimeoutError, ImageError
from botdock.factory import ServiceFactory
from botdock.model import PullProgress
from botdock.plugin_manager import PluginManager
from botdock.services.container import ContainerService
from testbed.minio import _free_port
from testbed.proxy import Fault, FaultProxy
from testbed.registry import Pushed, Registry

LIMIT = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}'
LAYER = "the first layer"
"""Stands for its digest in a fault's target: the image is made in the test."""
MakeImage = Callable[..., Pushed]
MakeService = Callable[..., ContainerService]


def of(image: Pushed, fault: Fault) -> Fault:
    return attrs.evolve(fault, target=image.layers[0]) if fault.target == LAYER else fault


@pytest.fixture
def containers(make_docker_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> MakeService:
    monkeypatch.setattr("botdock.services.pulling.FIRST_PAUSE", 0.2)

    def make(**settings: float) -> ContainerService:
        config = make_docker_config(containers=ContainersConfig(**{"pull_timeout": 120, **settings}))  # type: ignore[arg-type] # numbers all
        return ServiceFactory(config, PluginManager.load(config.plugins)).create_container_service()

    return make


@pytest.mark.parametrize(
    "fault",
    [
        Fault(refuse=True, times=2),
        Fault(target="manifests", status=500, times=4),
        Fault(target="manifests", status=503, times=4),
        Fault(target="manifests", status=429, body=LIMIT, headers={"Retry-After": "1"}, times=4),
        Fault(target=LAYER, reset_answer=100_000),
    ],
    ids=["reset", "500", "503", "429", "reset in mid-layer"],
)
def test_a_registry_that_is_well_again_gives_the_image(
    registry: Registry, registry_proxy: FaultProxy, make_image: MakeImage, containers: MakeService, fault: Fault
) -> None:
    image = make_image(registry)
    registry_proxy.inject(of(image, fault))
    assert containers().pull_image(image.at(registry_proxy.endpoint)).digest == image.digest
    assert registry_proxy.left == 0


def test_one_that_was_down_gives_it_when_it_is_up(
    registry: Registry, make_image: MakeImage, containers: MakeService
) -> None:
    image, port = make_image(registry), _free_port()
    with ExitStack() as up:

        def start(made: PullProgress) -> None:
            if made.note and not proxies:
                proxies.append(FaultProxy(registry.endpoint, port=port))
                up.callback(proxies[0].close)

        proxies: list[FaultProxy] = []
        assert containers().pull_image(image.at(f"127.0.0.1:{port}"), start).digest == image.digest


@pytest.mark.parametrize(
    "fault",
    [Fault(target="manifests", hang=True), Fault(target=LAYER, stall_answer=100_000)],
    ids=["no answer", "in mid-layer"],
)
def test_one_that_hung_is_left_and_asked_again(
    registry: Registry, registry_proxy: FaultProxy, make_image: MakeImage, containers: MakeService, fault: Fault
) -> None:
    image = make_image(registry)
    registry_proxy.inject(of(image, fault))
    patient = containers(pull_silence=3)
    assert patient.pull_image(image.at(registry_proxy.endpoint)).digest == image.digest
    assert registry_proxy.left == 0


def test_one_that_hangs_for_good_is_given_up(
    registry: Registry, registry_proxy: FaultProxy, make_image: MakeImage, containers: MakeService
) -> None:
    registry_proxy.inject(Fault(target="blobs", hang=True, times=99))
    with pytest.raises(EngineTimeoutError, match=r"nothing of .* came for 1 s"):
        containers(pull_silence=1, retries=0).pull_image(make_image(registry).at(registry_proxy.endpoint))


def test_one_that_is_slow_is_waited_for(
    registry: Registry, registry_proxy: FaultProxy, make_image: MakeImage, containers: MakeService
) -> None:
    image = make_image(registry, layers=1)
    registry_proxy.inject(Fault(target=image.layers[0], trickle=0.2, times=99))
    patient = containers(pull_silence=2.5)
    assert patient.pull_image(image.at(registry_proxy.endpoint)).digest == image.digest


@pytest.mark.parametrize(
    "fault",
    [
        Fault(target="manifests", status=401, body=b'{"errors": [{"code": "UNAUTHORIZED"}]}', times=99),
        Fault(target="manifests", status=404, body=b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', times=99),
        Fault(target=LAYER, flip_answer=True, times=99),
    ],
    ids=["401", "unknown manifest", "wrong digest"],
)
def test_one_that_refuses_is_not_asked_again(
    registry: Registry, registry_proxy: FaultProxy, make_image: MakeImage, containers: MakeService, fault: Fault
) -> None:
    image = make_image(registry)
    registry_proxy.inject(of(image, fault))
    with pytest.raises(ImageError):
        containers().pull_image(image.at(registry_proxy.endpoint))
    assert registry_proxy.count("GET /v2/$") == 1
