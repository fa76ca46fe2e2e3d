"""The engine `kubernetes`: each method of `Engine`, as calls to one cluster."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from botdock.errors import ContainerNotFoundError, EngineUnavailableError, ImageError
from botdock.model import (
    ContainerHandle,
    ContainerInfo,
    ContainerState,
    Engine,
    EngineCapabilities,
    ImageInfo,
    LogCursor,
    PullPolicy,
)
from botdock_engine_kubernetes.cluster import Cluster
from botdock_engine_kubernetes.creating import Creating
from botdock_engine_kubernetes.errors import ENGINE, Call
from botdock_engine_kubernetes.jobs import ANNOTATION_NAME, Jobs
from botdock_engine_kubernetes.life import ASKING, Life
from botdock_engine_kubernetes.logs import PodLog
from botdock_engine_kubernetes.pod import BOT
from botdock_engine_kubernetes.pods import Ends, Pods
from botdock_engine_kubernetes.probing import probe, probe_image, server_version
from botdock_engine_kubernetes.results import fetch_result
from botdock_engine_kubernetes.settings import KubernetesSettings
from botdock_engine_kubernetes.statuses import status

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightkube.resources.batch_v1 import Job
    from lightkube.resources.core_v1 import Pod

    from botdock.config import Config
    from botdock.model import (
        ContainerRun,
        ContainerStatus,
        ContainerTemplate,
        EngineEvents,
        LogStream,
        PullProgress,
    )

LOOK_AGAIN = 1.0
"""Seconds between two looks at a Job whose pod is gone, and which has not counted that yet."""


class KubernetesEngine(Engine):
    """Runs containers as Jobs of one namespace, each under the strict profile."""

    def __init__(
        self,
        cluster: Cluster,
        settings: KubernetesSettings,
        *,
        home: Path,
        image: str,
        pull: PullPolicy = PullPolicy.MISSING,
        start_timeout: float = 60.0,
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._home = home
        self._probe_image = image
        self._pull = pull
        self._start_timeout = start_timeout
        self._pods = Pods(cluster)
        self._jobs = Jobs(cluster)
        self._creating = Creating(cluster, self._pods, self._jobs, settings, pull=pull)
        self._life = Life(cluster, self._pods, self._jobs)
        self._known: set[str] = set()
        """Jobs that are there, as far as this engine has seen and done."""

    @property
    def cluster(self) -> Cluster:
        """Where it runs them."""
        return self._cluster

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return the engine that a configuration describes.

        Raises:
            ConfigError: The kubeconfig cannot be used, or a setting is wrong.
        """
        settings = config.options_for("kubernetes", KubernetesSettings)
        return cls(
            Cluster.connect(settings),
            settings,
            home=config.home_dir / ENGINE,
            image=probe_image(config, settings),
            pull=config.containers.pull,
            start_timeout=config.containers.call_timeout,
        )

    def capabilities(self) -> EngineCapabilities:
        """Say what the cluster enforces, by what a container that was tried saw; asked once a day."""
        return self.probe()

    def probe(self, *, anew: bool = False) -> EngineCapabilities:
        """Say what the cluster enforces, and try it again where that is asked."""
        found = probe(self, self._cluster, self._settings, image=self._probe_image, home=self._home, anew=anew)
        return found.capabilities(server_version(self._cluster))

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,  # noqa: ARG002 - nothing is waited for
        progress: Callable[[PullProgress], None] | None = None,  # noqa: ARG002 - nodes tell of none
    ) -> ImageInfo:
        """Say which image it will be: a node pulls it when the pod comes to it, as `containers.pull` says.

        What images the nodes have, the API does not tell those who have a namespace alone.
        """
        if policy is PullPolicy.NEVER and self._pull is not PullPolicy.NEVER:
            raise ImageError(
                f"{ENGINE}: image {image!r}: which images the nodes have is not known here; they pull what they lack",
                image=image,
                engine=ENGINE,
                is_absent=False,
                hint='With containers.pull = "never", a bot runs only where its image is.',
            )
        return ImageInfo(reference=image, digest=image.partition("@")[2])

    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        """Create a suspended Job, and the Secret with what its pod needs."""
        made = self._creating.create(template, run, timeout=timeout)
        assert made.metadata and made.metadata.name  # noqa: S101, PT018 - the API server names what it tells of
        self._known.add(made.metadata.name)
        state = {"namespace": self._cluster.namespace, "uid": made.metadata.uid}
        return ContainerHandle(id=made.metadata.name, state=state)

    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        """Open the log of a container that has not been started."""
        self._require("attach", container, timeout)
        return PodLog(self._cluster, self._pods, container.id, cursor=LogCursor(), follow=True)

    def start(self, container: ContainerHandle, *, timeout: float) -> None:
        """Resume the Job, and wait until its bot runs, or cannot."""
        self._life.start(container.id, timeout=timeout)

    def read_logs(self, container: ContainerHandle, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        """Read the log from the cursor on."""
        self._require("read_logs", container, timeout)
        return PodLog(self._cluster, self._pods, container.id, cursor=cursor, follow=follow)

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Wait for the end, by the watch; where that is cut, by a look."""
        deadline, name = time.monotonic() + timeout, container.id
        self._require("wait", container, max(timeout, ASKING))
        while True:
            left = max(0.0, deadline - time.monotonic())
            pod = self._pods.wait(name, lambda _pod: self._pods.is_over(name), timeout=left)
            if pod is not None:
                return self._status(name, None, pod)
            if self._pods.last(name) is None and self._pods.fault is None and self._pods.is_listed:
                if self._pods.waits(name) > self._start_timeout:  # its runner is dead: a start that is late ends it
                    raise self._life.late(name, timeout=self._start_timeout)
                return None
            if fault := self._pods.fault:
                raise EngineUnavailableError(fault.message, engine=ENGINE, operation="wait", hint=fault.hint)
            seen = self.inspect(container, timeout=max(left, ASKING))
            if seen.state is ContainerState.EXITED:
                return seen
            if time.monotonic() >= deadline:
                return None
            time.sleep(min(LOOK_AGAIN, max(0.0, deadline - time.monotonic())))

    def inspect(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        """Say what is known of it now, by a read."""
        name = container.id
        found, pod = self._cluster.call(
            "inspect", lambda: self._jobs.look(name), timeout=timeout, container_id=name, repeatable=True
        )
        if (uid := container.state.get("uid")) and found.metadata and found.metadata.uid != uid:
            raise self._gone("inspect", name, "there is another Job of that name")
        return self._status(name, found, pod)

    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        """Ask it to end, and kill it after the grace."""
        if self.inspect(container, timeout=timeout).state is not ContainerState.RUNNING:
            return
        self._life.stop(container.id, grace=grace, timeout=timeout)

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        """Remove the Job, its pod, killed first if it runs, and what belongs to them."""
        name = container.id
        self._cluster.call("remove", lambda: self._remove(name), timeout=timeout, container_id=name, repeatable=True)
        self._known.discard(name)

    def list(self, selectors: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        """List the Jobs that carry all of the selectors."""
        jobs = self._cluster.call("list", lambda: self._jobs.list(selectors), timeout=timeout, repeatable=True)
        pods = self._cluster.call("list", lambda: self._jobs.pods(selectors), timeout=timeout, repeatable=True)
        of = {reference.uid: pod for pod in pods if pod.metadata for reference in pod.metadata.ownerReferences or []}
        return [self._info(found, of.get(found.metadata.uid or "")) for found in jobs if found.metadata]

    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        """Return what the bot wrote into its result."""
        self._require("fetch_result", container, timeout)
        return fetch_result(self._cluster, self._pods, container.id, limit=limit, timeout=timeout)

    def events(self, selectors: Mapping[str, str], *, timeout: float) -> EngineEvents:
        """Begin to tell of the ends of containers."""
        ends = Ends(self._pods, selectors, start_timeout=self._start_timeout)
        self._pods.wait("", lambda _pod: True, timeout=timeout)  # until the watch has begun
        return ends

    def close(self) -> None:
        """Let go of the connections; containers go on."""
        self._cluster.close()

    def _require(self, operation: str, container: ContainerHandle, timeout: float) -> None:
        """Raise where there is no such Job; one that was seen is believed to be there."""
        if (name := container.id) not in self._known:
            get = self._jobs.get
            self._cluster.call(operation, lambda: get(name), timeout=timeout, container_id=name, repeatable=True)
            self._known.add(name)

    def _status(self, name: str, found: Job | None, pod: Pod | None) -> ContainerStatus:
        seen = status(name, found, pod, self._pods.last(name))
        if seen is None:
            raise self._gone("inspect", name, "its pod is gone, deleted by something else than botdock")
        return seen

    def _gone(self, operation: str, name: str, problem: str) -> ContainerNotFoundError:
        return Call(operation=operation, url=self._cluster.url, container_id=name).error(
            ContainerNotFoundError, problem
        )

    async def _remove(self, name: str) -> None:
        pod = self._pods.look(name) or await self._jobs.pod_of(name)
        if pod is not None:  # before its Job, with which the cluster would give it all of the longest grace
            await self._jobs.delete_pod(pod)
        await self._jobs.delete(name)

    def _info(self, found: Job, pod: Pod | None) -> ContainerInfo:
        assert found.metadata  # noqa: S101 - the API server names what it tells of
        assert found.spec  # noqa: S101 - the same
        name = found.metadata.name or ""
        labels = {**(found.metadata.annotations or {}), **(found.metadata.labels or {})}
        seen = status(name, found, pod)
        containers = found.spec.template.spec.containers if found.spec.template.spec else []
        return ContainerInfo(
            container_id=name,
            name=labels.get(ANNOTATION_NAME, name),
            image=next((each.image or "" for each in containers if each.name == BOT), ""),
            state=seen.state if seen else ContainerState.UNKNOWN,
            labels=labels,
            created_at=found.metadata.creationTimestamp,
        )
