"""How a run's files reach a daemon that does not see ours: in a volume, which goes with the run's container.

Docker unpacks a tar into a container that does not run, but not into what that container shows read-only. So another
one, which is never started and goes at once, has the volume first: the carrier. The run's container binds what it shows
from where the daemon keeps the volume, in the way that it binds our files on a daemon that sees them.

A carrier or a volume that is left by a runner that was killed carries the labels of the state folder and of no
execution; with the volumes that no container has, it is listed among the containers, so that recovery treats it as a
stray: seen twice, it goes.
"""

from __future__ import annotations

import json
import secrets
import tarfile
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock.archive import end_of_tar, tree_as_tar
from botdock.errors import ContainerError, ContainerNotFoundError
from botdock.logging import logger_of
from botdock.model import ContainerInfo, ContainerState
from botdock.model.container import LABEL_EXECUTION, LABEL_PREFIX
from botdock_engine_docker.client import path
from botdock_engine_docker.containers import CLEAN_UP
from botdock_engine_docker.profile import VOLUME, volume_mount
from botdock_engine_docker.results import read_tarred
from botdock_engine_docker.wire import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdock.model import ContainerHandle, ContainerRun, ContainerTemplate
    from botdock_engine_docker.client import DockerClient
    from botdock_engine_docker.containers import Containers
    from botdock_engine_docker.errors import Call

logger = logger_of(__name__)

LABEL_DELIVERED = LABEL_PREFIX + "delivered"
"""On a run's container: where its result is. On a carrier and a volume: the name of the container that they serve."""
RESULT, DELIVERED, VOLUME_NAME = "result", "delivered", "volume"
"""In the state of a handle: where the result lies on this machine; or the result as the bot sees it, and the volume."""
NO_SOURCE = "bind source path does not exist"
"""What a daemon says of a file or a folder that it does not see."""
UNUSED = "volume/"
"""What the id of a volume begins with that is listed among the containers: no container's does."""


@attrs.frozen(kw_only=True)
class Delivered:
    """What a run's container is made from, on a daemon that has its files.

    Attributes:
        template: The paths in it are the daemon's.
        run: The same.
        state: Of the container's handle.
    """

    template: ContainerTemplate
    run: ContainerRun
    state: Mapping[str, str]

    @property
    def volume(self) -> str:
        """The volume that they lie in; empty where the daemon sees ours."""
        return self.state.get(VOLUME_NAME, "")


class Uploads:
    """Delivers files to one daemon.

    Args:
        client: Speaks to it.
        containers: Creates and removes carriers.
    """

    def __init__(self, client: DockerClient, containers: Containers) -> None:
        self._client = client
        self._containers = containers
        self.sees_files = client.endpoint.shared_disk
        """Whether the daemon sees ours; None as long as a first container has not shown it."""

    def shown(
        self, template: ContainerTemplate, run: ContainerRun, *, user: int, deadline: Deadline
    ) -> AbstractContextManager[Delivered]:
        """Return what a container is made from, delivering its files to a daemon that does not see ours.

        Args:
            template: What the run has in common with others.
            run: Whose files they are.
            user: Whom the result will belong to.
            deadline: For all of it.
        """
        if self.sees_files is not False:
            return nullcontext(Delivered(template=template, run=run, state={RESULT: run.result}))
        return self._delivered(template, run, user=user, deadline=deadline)

    def are_needed_after(self, error: ContainerError, template: ContainerTemplate, run: ContainerRun) -> bool:
        """Say whether a create failed because the daemon does not see our files, of which nothing was known so far.

        A folder with an execution's id in its path is not on another machine by chance.
        """
        ours = (template.program, run.code, run.context, run.result)
        if self.sees_files is None and NO_SOURCE in error.message and all(Path(place).exists() for place in ours):
            self.sees_files, self._client.is_far = False, True
            logger.bind(url=self._client.endpoint.url).info("the engine does not see our files, so it is sent them")
            return True
        return False

    @contextmanager
    def _delivered(
        self, template: ContainerTemplate, run: ContainerRun, *, user: int, deadline: Deadline
    ) -> Iterator[Delivered]:
        """Deliver the files of a run, for the container that is created meanwhile.

        The carrier has the image of that container: it is there.

        Raises:
            ContainerError: It could not be done; nothing is left.
        """
        name = f"{run.name}-{secrets.token_hex(4)}"
        selectors = {label: value for label, value in run.selectors.items() if label != LABEL_EXECUTION}
        labels = {**selectors, LABEL_DELIVERED: run.name}
        call = self._client.about("create", timeout=deadline.left)
        try:
            made = self._client.send(call, "POST", "/volumes/create", body={"Name": name, "Labels": labels})
            carrier = attrs.evolve(run, name=name, selectors=selectors)
            carrier_id = self._containers.create(carrier, _carrier(template, name, labels), timeout=deadline.left)
            try:
                self._send(carrier_id, template, run, user=user, deadline=deadline)
            finally:
                self._containers.remove(carrier_id, timeout=max(deadline.left, CLEAN_UP))
            place = made["Mountpoint"]
            yield Delivered(
                template=attrs.evolve(template, program=f"{place}/program"),
                run=attrs.evolve(
                    run,
                    annotations={**run.annotations, LABEL_DELIVERED: template.result_target},
                    code=f"{place}/code",
                    context=f"{place}/context",
                    result=f"{place}/result",
                ),
                state={DELIVERED: template.result_target, VOLUME_NAME: name},
            )
        except BaseException:
            with suppress(ContainerError):  # a container that came after all has it, or it is found later
                self.remove(name, timeout=CLEAN_UP)
            raise

    def volume_of(self, container: ContainerHandle, *, timeout: float) -> str:
        """Return the volume that the files of a container lie in; empty for none, and for one that is gone."""
        if container.id.startswith(UNUSED):
            return container.id.removeprefix(UNUSED)
        if container.state:
            return str(container.state.get(VOLUME_NAME, ""))
        try:
            mounts = self._containers.inspect(container.id, timeout=timeout, operation="remove").get("Mounts") or ()
        except ContainerNotFoundError:
            return ""
        return next((str(mount["Name"]) for mount in mounts if mount.get("Destination") == VOLUME), "")

    def remove(self, volume: str, *, timeout: float) -> None:
        """Remove a volume; one that is gone is not an error.

        Raises:
            ContainerError: A container has it, or the daemon does not answer.
        """
        call = self._client.about("remove", timeout=timeout)
        with suppress(ContainerNotFoundError):
            self._client.send(call, "DELETE", path("/volumes/{}", volume))

    def unused(self, labels: Mapping[str, str], *, timeout: float) -> list[ContainerInfo]:
        """Return the volumes of runs that carry all of the labels and that no container has.

        A driver of volumes that hangs, or fails, hides them for this time: the containers are what matters.
        """
        wanted = [LABEL_DELIVERED, *(f"{name}={value}" for name, value in labels.items())]
        filters = json.dumps({"label": wanted, "dangling": ["true"]})
        call = self._client.about("list", timeout=min(timeout, CLEAN_UP))
        try:
            found = self._client.send(call, "GET", "/volumes", params={"filters": filters})["Volumes"] or ()
        except ContainerError as error:
            logger.bind(error=error.message).warning("the volumes of the engine could not be listed")
            return []
        return [
            ContainerInfo(
                container_id=UNUSED + volume["Name"],
                name=volume["Name"],
                image="",
                state=ContainerState.EXITED,
                labels=volume.get("Labels") or {},
            )
            for volume in found
        ]

    def _send(
        self, carrier: str, template: ContainerTemplate, run: ContainerRun, *, user: int, deadline: Deadline
    ) -> None:
        call = self._client.about("create", timeout=deadline.left)
        self._client.put(
            call,
            path("/containers/{}/archive", carrier),
            params={"path": "/"},
            pieces=_reading(_pieces(template, run, user), call),
        )

    def fetch(self, container_id: str, file: str, *, limit: int, timeout: float) -> bytes:
        """Return a file of a container, at most `limit + 1` bytes of it.

        Raises:
            ContainerError: It cannot be had.
        """
        deadline = Deadline(timeout)
        call = self._client.about("fetch_result", timeout=timeout, container_id=container_id)
        target = path("/containers/{}/archive", container_id)
        with self._client.ask(call, "GET", target, params={"path": file}) as wire:

            def receive() -> bytes:
                while not wire.ended:
                    if piece := wire.receive_in_time(deadline):
                        return piece
                return b""

            try:
                return read_tarred(receive, limit)
            except (tarfile.TarError, OSError) as error:
                raise call.error(ContainerError, f"cannot read the result file: {error}") from error


def find_delivered(inspected: Mapping[str, Any]) -> str | None:
    """Return where the result of a container lies that another runner created, as the bot sees it."""
    labels: Mapping[str, str] = (inspected.get("Config") or {}).get("Labels") or {}
    return labels.get(LABEL_DELIVERED)


def _carrier(template: ContainerTemplate, volume: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the body that creates a carrier, which is never started."""
    return {
        "Image": template.image,
        "Entrypoint": ["/never-started"],
        "Labels": labels,
        "NetworkDisabled": True,
        "HostConfig": {"NetworkMode": "none", "Mounts": [volume_mount(volume)], "LogConfig": {"Type": "none"}},
    }


def _pieces(template: ContainerTemplate, run: ContainerRun, user: int) -> Iterator[bytes]:
    root = VOLUME.removeprefix("/")
    closed = tarfile.TarInfo(root)
    closed.type, closed.mode = tarfile.DIRTYPE, 0o700  # root alone may enter it
    yield closed.tobuf(tarfile.GNU_FORMAT)
    yield from tree_as_tar(template.program, f"{root}/program")
    yield from tree_as_tar(run.code, f"{root}/code")
    yield from tree_as_tar(run.context, f"{root}/context")
    yield from tree_as_tar(run.result, f"{root}/result", owner=user)
    yield end_of_tar()


def _reading(pieces: Iterator[bytes], call: Call) -> Iterator[bytes]:
    """Pass pieces on; what cannot be read is an error of this machine, not of the daemon."""
    try:
        yield from pieces
    except OSError as error:
        raise call.error(ContainerError, f"cannot deliver {error.filename}: {error.strerror}") from error
