"""A Kubernetes as pytest fixtures: one of our own for all tests of a session, as with Docker, or the user's.

KUBECONFIG and BOTDOCK_TEST_NAMESPACE together name a cluster of the user's, and the namespace there that tests may
use, which has to be empty; `-n 0` keeps tests there from meeting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from botdock.config import Config, ContainersConfig, Policy, RuntimeConfig
from botdock_engine_kubernetes.settings import KubernetesSettings
from testbed.cache import Slot, locked
from testbed.console import TestbedError
from testbed.fixtures import shown, unavailable
from testbed.kubernetes_namespaces import Kubernetes, left_in, made_namespace

if TYPE_CHECKING:
    from testbed.kubernetes import KubernetesCluster

UNENFORCED = ("network", "pids", "swap", "tmpfs")
"""What a cluster of ours does not enforce."""
VARIABLE = "BOTDOCK_TEST_NAMESPACE"
_LEASE = pytest.StashKey["KubernetesLease"]()
_WORKER_FOLDER = "testbed_kubernetes_folder"
_FIXTURES = {"kubernetes", "drill_kubernetes", "make_kubernetes_config", "start_kubernetes"}


class KubernetesLease:
    """A cluster in a slot of the cache, ours until it is given back.

    Args:
        options: As `KubernetesCluster` takes them.
    """

    def __init__(self, **options: Any) -> None:
        from testbed.kubernetes import KubernetesCluster

        self.slot = Slot("kubernetes")
        self.cluster = KubernetesCluster(self.slot.path, **options)
        self.cluster.stop()  # what a session left here that was killed itself

    def give_back(self) -> None:
        """Stop the cluster, keep its images for the next session."""
        self.cluster.stop()
        self.slot.free()


def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which slot its session has; called in the controller."""
    if not _is_users():
        node.workerinput[_WORKER_FOLDER] = str(_session_lease(node.config).cluster.folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Kubernetes, so that `-m "not kubernetes"` leaves out just that."""
    for item in items:
        if _FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kubernetes)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the session's cluster, also after Ctrl-C."""
    lease = config.stash.get(_LEASE, None)
    if lease is not None:
        lease.give_back()
        del config.stash[_LEASE]


def _is_users() -> bool:
    return bool(os.environ.get("KUBECONFIG") and os.environ.get(VARIABLE))


def _session_lease(config: pytest.Config) -> KubernetesLease:
    if _LEASE not in config.stash:
        config.stash[_LEASE] = KubernetesLease()
    return config.stash[_LEASE]


def _started(cluster: KubernetesCluster, config: pytest.Config) -> Kubernetes:
    try:
        with shown(config), locked(cluster.folder / "start.lock"):
            cluster.start()
    except TestbedError as error:
        unavailable(error)
    from testbed.images import IMAGES

    images = {runtime: f"docker.io/{image.tag}" for runtime, image in IMAGES.items()}
    return Kubernetes(kubeconfig=cluster.kubeconfig, images=images, cluster=cluster)


@pytest.fixture(scope="session")
def kubernetes(pytestconfig: pytest.Config) -> Kubernetes:
    """A Kubernetes, shared by all tests, so not to be killed; `kubernetes_namespace` is a test's own place in it."""
    from testbed.images import IMAGES
    from testbed.kubernetes import KubernetesCluster

    if _is_users():
        images = {runtime: image.upstream for runtime, image in IMAGES.items()}
        given = os.environ[VARIABLE]
        return Kubernetes(kubeconfig=Path(os.environ["KUBECONFIG"]), images=images, given_namespace=given)
    folder = getattr(pytestconfig, "workerinput", {}).get(_WORKER_FOLDER)
    return _started(
        _session_lease(pytestconfig).cluster if folder is None else KubernetesCluster(Path(folder)), pytestconfig
    )


@pytest.fixture(scope="module")
def start_kubernetes(pytestconfig: pytest.Config) -> Iterator[Callable[..., Kubernetes]]:
    """Return a function that starts a cluster for this module alone; its arguments are those of `KubernetesCluster`."""
    leases: list[KubernetesLease] = []

    def start(**options: Any) -> Kubernetes:
        leases.append(KubernetesLease(**options))
        return _started(leases[-1].cluster, pytestconfig)

    try:
        yield start
    finally:
        for lease in leases:
            lease.give_back()


@pytest.fixture(scope="module")
def drill_kubernetes(start_kubernetes: Callable[..., Kubernetes]) -> Kubernetes:
    """A cluster whose parts a module may kill and restart, and which heeds policies: no other test uses it."""
    return start_kubernetes(heeds_policies=True)


@pytest.fixture
def make_kubernetes_namespace(tmp_path: Path) -> Iterator[Callable[[Kubernetes], str]]:
    """Return a function that makes a namespace of this test alone; nothing may be left in it in the end."""
    made: list[tuple[Kubernetes, str]] = []

    def make(cluster: Kubernetes) -> str:
        made.append((cluster, made_namespace(cluster, tmp_path)))
        return made[-1][1]

    yield make
    left = {name: left_in(cluster, name) for cluster, name in made}
    for cluster, name in made:
        if not cluster.given_namespace:
            cluster.kubectl("delete", "namespace", name, "--wait=false")
    assert not any(left.values()), f"left in the namespaces of this test: {left}"


@pytest.fixture
def kubernetes_namespace(kubernetes: Kubernetes, make_kubernetes_namespace: Callable[[Kubernetes], str]) -> str:
    """A fresh namespace in which Pod Security `restricted` is enforced; nothing may be left in it in the end."""
    return make_kubernetes_namespace(kubernetes)


@pytest.fixture
def make_kubernetes_config(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Config]:
    """Return a function that makes configurations of the engine; its arguments are settings of it, and `Config`'s.

    It is for the `cluster` that is named, else for `kubernetes`; and without a `namespace` for one of its own there.
    """
    own = {field.name for field in attrs.fields(KubernetesSettings)}

    def make(*, cluster: Kubernetes | None = None, namespace: str = "", **sections: Any) -> Config:
        used: Kubernetes = cluster or request.getfixturevalue("kubernetes")
        if not namespace and cluster is None:
            namespace = request.getfixturevalue("kubernetes_namespace")
        elif not namespace:
            namespace = request.getfixturevalue("make_kubernetes_namespace")(cluster)
        given = {name: sections.pop(name) for name in own & sections.keys()}
        patient = {"kubeconfig": str(used.kubeconfig), "connect_timeout": 60.0}  # machines of tests are busy
        settings = KubernetesSettings(namespace=namespace, **{**patient, **given})
        options = {"kubernetes": settings, **sections.pop("options", {})}
        runtime = RuntimeConfig(images=dict(used.images), timeout=240.0)
        policy = Policy(unenforced={"kubernetes": UNENFORCED})
        containers = ContainersConfig(call_timeout=300.0)  # the pods of other workers' tests take the node's processors
        defaults = {"runtime": runtime, "containers": containers, "policy": policy, "home": str(tmp_path / "home")}
        return Config(engine="kubernetes", options=options, **{**defaults, **sections})

    return make


@pytest.fixture
def kubernetes_config(make_kubernetes_config: Callable[..., Config]) -> Config:
    """A configuration of the engine for a namespace and a state folder of the test's own."""
    return make_kubernetes_config()
