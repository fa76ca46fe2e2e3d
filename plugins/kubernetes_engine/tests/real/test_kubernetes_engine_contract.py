"""The kubernetes engine keeps the contract of all engines, on a real cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from botdock.config import Config
from botdock.model import Engine, EngineCapabilities, Feature
from botdock_engine_kubernetes.engine import KubernetesEngine
from botdock_testing import EngineContract

MISSING = {Feature.NETWORK: "not looked at", Feature.TMPFS: "no volume of Kubernetes is noexec"}


class Known(KubernetesEngine):
    """One that needs no container to find out what the cluster enforces: that has tests of its own."""

    def capabilities(self) -> EngineCapabilities:
        enforced = frozenset(Feature) - MISSING.keys()
        return EngineCapabilities(
            engine="kubernetes",
            enforced=enforced,
            missing=MISSING,
            separate_streams=False,
            keeps_unfollowed_logs=False,
        )


@pytest.mark.sampled(10)
class TestKubernetesEngineContract(EngineContract):
    examples = 0  # a container takes seconds, and the other tests hold each step of a walk

    @pytest.fixture
    def engine(self, kubernetes_config: Config) -> Iterator[Engine]:
        engine = Known.from_config(kubernetes_config)
        yield engine
        engine.close()

    @pytest.fixture
    def reopened(self, kubernetes_config: Config) -> Iterator[Engine]:
        engine = Known.from_config(kubernetes_config)
        yield engine
        engine.close()

    @pytest.fixture
    def image(self, kubernetes_config: Config) -> str:
        return kubernetes_config.runtime.images["bash"]

    @pytest.fixture
    def absent_image(self) -> str:
        return "registry.invalid/absent:1"
