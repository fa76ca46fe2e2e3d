"""A user of its own for each container, over threads, processes and runners' deaths: the daemon is what they share."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from botdock.config import Config
from botdock.errors import ContainerError
from botdock.model import ContainerHandle, new_execution_id
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.profile import LABEL_USER
from botdock_engine_docker.settings import DockerSettings
from botdock_testing.engine import Asked

pytestmark = pytest.mark.docker

CALL = 120.0
RIVALS = 4


def create(host: str, users: str, spec: Asked) -> ContainerHandle:
    """Create a container, as a process does that knows of no other; it lives on when this process ends."""
    engine = DockerEngine.from_config(Config(options={"docker": DockerSettings(host=host, users=users)}))
    try:
        return engine.create(*spec, timeout=CALL)
    finally:
        engine.close()


def test_as_many_processes_as_there_are_users_get_one_each_and_no_other_gets_any(
    docker_host: str, make_engine: Callable[..., DockerEngine], make_spec: Callable[..., Asked], bash_image: str
) -> None:
    users, labels = f"3000000:{2 * RIVALS}", {"io.botdock.lab": new_execution_id()}
    engine = make_engine(docker_host, users=users)

    def spec(**changed: Any) -> Asked:
        return make_spec(name=f"botdock-{new_execution_id()}", image=bash_image, selectors=labels, **changed)

    try:
        with ProcessPoolExecutor(RIVALS, mp_context=multiprocessing.get_context("spawn")) as rivals:
            futures = [rivals.submit(create, docker_host, users, spec()) for _ in range(2 * RIVALS)]
            made = [future.result() for future in futures]
        found = {info.container_id: int(info.labels[LABEL_USER]) for info in engine.list(labels, timeout=CALL)}
        assert set(found) == {container.id for container in made}
        assert set(found.values()) == set(range(3_000_000, 3_000_000 + 2 * RIVALS))
        with pytest.raises(ContainerError, match="containers have all 8 user ids from 3000000 to 3000007"):
            engine.create(*spec(), timeout=CALL)
        assert len(engine.list(labels, timeout=CALL)) == 2 * RIVALS, "a refused one is left"
        engine.remove(made[0], timeout=CALL)
        again = engine.create(*spec(), timeout=CALL)
        users_now = {info.container_id: int(info.labels[LABEL_USER]) for info in engine.list(labels, timeout=CALL)}
        assert users_now[again.id] == found[made[0].id]
    finally:
        for info in engine.list(labels, timeout=CALL):
            engine.remove(ContainerHandle(id=info.container_id), timeout=CALL)
