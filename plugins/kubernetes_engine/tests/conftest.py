"""A cluster that an API server in memory answers for."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from lightkube import KubeConfig

from botdock_engine_kubernetes.cluster import Cluster
from botdock_engine_kubernetes.settings import KubernetesSettings
from testbed.kubernetes_api import CONFIG, Api


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def settings() -> KubernetesSettings:
    return KubernetesSettings(requests_per_second=10_000)


@pytest.fixture
def cluster(api: Api, settings: KubernetesSettings) -> Iterator[Cluster]:
    config = KubeConfig.from_dict(CONFIG).get()
    assert config
    made = Cluster(config, settings, transport=httpx2.MockTransport(api))
    yield made
    api.cut()
    made.close()
