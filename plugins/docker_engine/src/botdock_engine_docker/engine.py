"""The engine `docker`: each method of `Engine`, on a Docker daemon that sees our files, or gets copies of them."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Self

from botdock.config import rules
from botdock.errors import ContainerError
from botdock.model import ContainerHandle, ContainerState, Engine
from botdock_engine_docker.capabilities import Probe, probe
from botdock_engine_docker.client import DockerClient
from botdock_engine_docker.containers import CLEAN_UP, Containers, read_status
from botdock_engine_docker.endpoint import find_endpoint
from botdock_engine_docker.events import open_events
from botdock_engine_docker.images import Image, Images
from botdock_engine_docker.logs import LogReader
from botdock_engine_docker.profile import LABEL_USER, Tuning, create_request
from botdock_engine_docker.results import find_result, hand_over, name_user, read_bounded
from botdock_engine_docker.settings import DockerSettings, read_profile
from botdock_engine_docker.streams import AttachStream, Source
from botdock_engine_docker.upload import DELIVERED, RESULT, Uploads, find_delivered
from botdock_engine_docker.wire import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from botdock.config import Config
    from botdock.model import (
        ContainerInfo,
        ContainerRun,
        ContainerStatus,
        ContainerTemplate,
        EngineCapabilities,
        EngineEvents,
        ImageInfo,
        LogCursor,
        LogStream,
        PullPolicy,
        PullProgress,
    )

PROBE_TIMEOUT = 30.0
"""Seconds for the look at the daemon; `GET /info` counts containers, and so may take a while on a full machine."""
NO_USER = "Let a bot end, remove what is left (`docker ps -a --filter label=io.botdock.user`), or widen docker.users."
NO_PROGRAM = "Set runtime.images to an image that has it, and a POSIX shell."


class DockerEngine(Engine):
    """Runs containers on a Docker daemon, each under the strict profile."""

    def __init__(self, client: DockerClient, *, tuning: Tuning | None = None) -> None:
        self._client = client
        self._tuning = tuning or Tuning()
        self._containers = Containers(client)
        self._images = Images(client)
        self._uploads = Uploads(client, self._containers)
        self._programs: set[tuple[str, str]] = set()
        """The programs that were found, each with the id of its image."""
        self._probe: Probe | None = None
        self._probing = Lock()
        self._ends: dict[str, ContainerStatus] = {}
        """How containers ended that are still there: an end does not change."""

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return the engine that a configuration describes.

        Raises:
            ConfigError: The address, the certificates or the options are wrong.
        """
        docker = config.options_for("docker", DockerSettings)
        client = DockerClient(
            find_endpoint(docker), api_version=docker.api_version, connect_timeout=docker.connect_timeout
        )
        tuning = Tuning(
            cpu_shares=docker.cpu_shares,
            runtime=docker.runtime,
            users=rules.user_range(docker.users),
            seccomp=read_profile(docker.seccomp),
        )
        return cls(client, tuning=tuning)

    def probe(self, *, timeout: float = PROBE_TIMEOUT) -> Probe:
        """Look at the daemon, once.

        Raises:
            EngineUnavailableError: It does not answer.
        """
        with self._probing:
            if self._probe is None:
                self._probe = probe(self._client, timeout=timeout)
            return self._probe

    def capabilities(self) -> EngineCapabilities:
        """Say what the daemon enforces."""
        return self.probe().capabilities

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        """Make sure that the image is there, and say which it is."""
        return self._images.ensure(image, policy=policy, timeout=timeout, progress=progress)

    def remove_image(self, reference: str, image_id: str, *, dry_run: bool, timeout: float) -> int | None:
        """Remove an image that botdock had pulled, where nothing uses it."""
        return self._images.remove(reference, image_id, dry_run=dry_run, timeout=timeout)

    def prepare(self, template: ContainerTemplate, count: int, *, timeout: float) -> bool:  # noqa: ARG002 - each is made as any other
        """Say whether containers can wait: where the daemon gets copies of our files, they see none that come later."""
        return self._uploads.sees_files is not False

    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        """Create a container under the strict profile."""
        deadline = Deadline(timeout)
        image = self._images.look(template.image, timeout=deadline.left)
        handle = self._create_alone(template, run, image, deadline)
        self._require_program(handle, template.command[0], image.info, deadline)
        return handle

    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        """Open the streams of a container that has not been started."""
        return AttachStream(self._source("attach", container.id, timeout))

    def start(self, container: ContainerHandle, *, timeout: float) -> None:
        """Start it."""
        self._containers.start(container.id, timeout=timeout)

    def read_logs(self, container: ContainerHandle, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        """Read the log from the cursor on; that of a container that has ended is whole, and is not followed."""
        if follow:
            status = self._ends.get(container.id) or self.inspect(container, timeout=timeout)
            follow = status.state is not ContainerState.EXITED
        return LogReader(self._source("read_logs", container.id, timeout), cursor=cursor, follow=follow)

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Wait for the end."""
        if status := self._ends.get(container.id):
            return status
        if status := self._containers.wait(container.id, timeout=timeout):
            self._ends[container.id] = status
        return status

    def inspect(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        """Say what is known of it now."""
        return read_status(self._containers.inspect(container.id, timeout=timeout))

    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        """Ask it to end, and kill it after the grace."""
        self._containers.stop(container.id, grace=grace, timeout=timeout)

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        """Remove it."""
        deadline = Deadline(timeout)
        volume = self._uploads.volume_of(container, timeout=deadline.left)
        self._containers.remove(container.id, timeout=deadline.left)
        self._ends.pop(container.id, None)
        if volume:
            self._uploads.remove(volume, timeout=deadline.left)

    def list(self, selectors: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        """List the containers that carry all of the selectors."""
        deadline = Deadline(timeout)
        containers = self._containers.list(selectors, timeout=deadline.left)
        return [*containers, *self._uploads.unused(selectors, timeout=deadline.left)]

    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        """Return what the bot wrote into its result."""
        source, delivered = container.state.get(RESULT), container.state.get(DELIVERED)
        if source is None and delivered is None:
            inspected = self._containers.inspect(container.id, timeout=timeout, operation="fetch_result")
            source, delivered = find_result(inspected), find_delivered(inspected)
        if delivered is not None:
            return self._uploads.fetch(container.id, delivered, limit=limit, timeout=timeout)
        call = self._client.about("fetch_result", timeout=timeout, container_id=container.id)
        if source is None:
            raise call.error(ContainerError, "it has no result file")
        try:
            return read_bounded(source, limit)
        except OSError as error:  # of a file of this machine, so `translated` would blame the engine for it
            raise call.error(ContainerError, f"cannot read the result file: {error.strerror}") from error

    def events(self, selectors: Mapping[str, str], *, timeout: float) -> EngineEvents:
        """Begin to tell of the ends of containers."""
        return open_events(self._client, selectors, timeout=timeout)

    def close(self) -> None:
        """Let go of the way to the daemon; each call has a connection of its own, and ends it."""
        self._client.close()

    def _source(self, operation: str, container_id: str, timeout: float) -> Source:
        return Source(self._client, self._client.about(operation, timeout=timeout, container_id=container_id))

    def _create_alone(
        self, template: ContainerTemplate, run: ContainerRun, image: Image, deadline: Deadline
    ) -> ContainerHandle:
        """Create a container whose user no other has, of any runner: the daemon is what they all share.

        A container is listed before its creation is answered. So of two that picked the same user at least the later
        sees the other, and picks again.
        """
        machine = self.probe(timeout=deadline.left).machine
        users, taken = self._tuning.users_on(machine), frozenset[str]()
        while True:
            user = self._pick(users, taken, deadline)
            hand_over(run.result, None if machine.maps_users else user)
            try:
                name_user(run.context, user)
            except OSError as error:  # of this machine, so `translated` would blame the engine for it
                call = self._client.about("create", timeout=deadline.left)
                raise call.error(ContainerError, f"cannot write into {run.context}: {error.strerror}") from error
            try:
                handle = self._create_shown(template, run, user, image, deadline)
            except ContainerError as error:
                if not self._uploads.are_needed_after(error, template, run):
                    raise
                continue
            container_id = handle.id
            with self._or_nothing(handle):
                same = self._containers.labelled(f"{LABEL_USER}={user}", timeout=deadline.left)
            if all(info.container_id == container_id for info in same):
                return handle
            self._discard(handle)
            others = self._containers.labelled(LABEL_USER, timeout=deadline.left)
            taken = frozenset(info.labels[LABEL_USER] for info in others)

    def _create_shown(
        self, template: ContainerTemplate, run: ContainerRun, user: int, image: Image, deadline: Deadline
    ) -> ContainerHandle:
        """Create a container that sees the files of a run."""
        machine = self.probe(timeout=deadline.left).machine
        with self._uploads.shown(template, run, user=user, deadline=deadline) as shown:
            request = create_request(
                shown.template,
                shown.run,
                user=user,
                machine=machine,
                tuning=self._tuning,
                volumes=image.volumes,
                volume=shown.volume,
            )
            container_id = self._containers.create(run, request, timeout=deadline.left)
        return ContainerHandle(id=container_id, state=shown.state)

    def _pick(self, users: range, taken: frozenset[str], deadline: Deadline) -> int:
        """Pick any user that is not taken."""
        if len(taken) >= len(users) and all(str(user) in taken for user in users):
            call = self._client.about("create", timeout=deadline.left)
            problem = f"containers have all {len(users)} user ids from {users[0]} to {users[-1]}"
            raise call.error(ContainerError, problem, hint=NO_USER)
        while str(user := secrets.choice(users)) in taken:
            pass
        return user

    def _require_program(self, container: ContainerHandle, program: str, image: ImageInfo, deadline: Deadline) -> None:
        """Refuse an image that lacks the program: docker-init would start, and say so in the bot's own stderr."""
        if not program.startswith("/") or (image.id, program) in self._programs:
            return
        with self._or_nothing(container):
            if not self._containers.has_file(container.id, program, timeout=deadline.left):
                call = self._client.about("create", timeout=deadline.left)
                raise call.error(ContainerError, f"image {image.reference!r} has no program {program}", hint=NO_PROGRAM)
        self._programs.add((image.id, program))

    @contextmanager
    def _or_nothing(self, container: ContainerHandle) -> Iterator[None]:
        """Remove what was just created when it cannot be used."""
        try:
            yield
        except BaseException:
            self._discard(container)
            raise

    def _discard(self, container: ContainerHandle) -> None:
        """Remove what was just created; why it has to go is told, not that it would not."""
        with suppress(ContainerError):
            self.remove(container, timeout=CLEAN_UP)
