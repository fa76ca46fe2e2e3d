"""The creation of a container: a suspended Job, a user id that no other bot has, and the Secrets with what it needs."""

from __future__ import annotations

import functools
import time
from contextlib import suppress
from secrets import choice
from typing import TYPE_CHECKING, TypeVar

from botdock.errors import ContainerError
from botdock.model import PullPolicy
from botdock_engine_kubernetes.delivery import pack
from botdock_engine_kubernetes.errors import Call
from botdock_engine_kubernetes.jobs import LABEL_USER, job, job_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lightkube.resources.batch_v1 import Job

    from botdock.model import ContainerRun, ContainerTemplate
    from botdock_engine_kubernetes.cluster import Cluster
    from botdock_engine_kubernetes.jobs import Jobs
    from botdock_engine_kubernetes.pods import Pods
    from botdock_engine_kubernetes.settings import KubernetesSettings

T = TypeVar("T")

CLEAN_UP = 10.0
"""Seconds for the removal of what was just created, and cannot be used."""
PULL_WORDS = {PullPolicy.MISSING: "IfNotPresent", PullPolicy.ALWAYS: "Always", PullPolicy.NEVER: "Never"}
_NO_USER = (
    "Let a bot end, remove what is left (`kubectl get jobs -l io.botdock.user`), or widen options.kubernetes.users."
)

_NO_NAMESPACES = (
    "Turn its gate UserNamespacesSupport on, with nodes and a container runtime that have them; "
    "or leave options.kubernetes.user_namespaces off."
)


class Creating:
    """Creates containers."""

    def __init__(
        self, cluster: Cluster, pods: Pods, jobs: Jobs, settings: KubernetesSettings, *, pull: PullPolicy
    ) -> None:
        self._cluster = cluster
        self._pods = pods
        self._jobs = jobs
        self._settings = settings
        self._pull = PULL_WORDS[pull]

    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> Job:
        """Create the Job of a run, and what its pod needs.

        The kernel counts the processes of two bots of one user id together. So of runners that pick the same at once,
        each picks again.

        Raises:
            ContainerError: It cannot be created, or all user ids are taken; then nothing of it is left.
        """
        deadline, name = time.monotonic() + timeout, job_name(run.name)
        if self._pods.look(name) is not None:  # of an earlier Job of that name
            self._pods.wait(name, lambda pod: pod is None, timeout=timeout)
        taken = self._pods.users()
        while True:
            user = self._pick(taken)
            package = pack(template, run, user=user)
            asked = job(
                template,
                run,
                settings=self._settings,
                user=user,
                delivery=package.delivery(name),
                pull=self._pull,
            )
            made = self._call(functools.partial(self._jobs.create, asked), deadline, repeatable=True)
            try:
                self._check(made)
                same = self._call(
                    functools.partial(self._jobs.list, {LABEL_USER: str(user)}), deadline, repeatable=True
                )
                if len(same) <= 1:
                    self._call(functools.partial(self._jobs.give, package.secrets_for(made)), deadline)
                    return made
            except ContainerError:
                with suppress(ContainerError):  # why it has to go is told, not that it would not
                    self._discard(name)
                raise
            self._discard(name)
            taken.add(user)

    def _check(self, made: Job) -> None:
        """Raise where the API server has silently left out what was asked for."""
        pod = made.spec and made.spec.template.spec
        if self._settings.user_namespaces and not (pod and pod.hostUsers is False):
            problem = "the cluster has no user namespaces for pods: it has left out `hostUsers: false`"
            raise Call(operation="create", url=self._cluster.url).error(ContainerError, problem, hint=_NO_NAMESPACES)

    def _pick(self, taken: set[int]) -> int:
        """Pick any user id that is not taken."""
        users = self._settings.user_ids
        if len(taken) >= len(users) and taken.issuperset(users):
            problem = f"bots have all {len(users)} user ids from {users[0]} to {users[-1]}"
            raise Call(operation="create", url=self._cluster.url).error(ContainerError, problem, hint=_NO_USER)
        while (user := choice(users)) in taken:
            pass
        return user

    def _call(self, make: Callable[[], Awaitable[T]], deadline: float, *, repeatable: bool = False) -> T:
        left = max(1.0, deadline - time.monotonic())
        return self._cluster.call("create", make, timeout=left, repeatable=repeatable)

    def _discard(self, name: str) -> None:
        delete = self._jobs.delete
        self._cluster.call("create", lambda: delete(name), timeout=CLEAN_UP, repeatable=True)
