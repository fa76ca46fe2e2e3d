"""Containers with policy, patience and counts: what stands between the orchestrator and an engine."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from botdock._log import logger
from botdock.config.sections import ContainersConfig
from botdock.errors import (
    BotdockError,
    CapabilityError,
    ContainerError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageError,
)
from botdock.model.container import (
    ContainerHandle,
    ContainerInfo,
    ContainerRun,
    ContainerStatus,
    ContainerTemplate,
    ImageInfo,
    PullPolicy,
)
from botdock.model.engine import Engine, EngineCapabilities, EngineEvents, PullProgress
from botdock.model.logs import LogChunk, LogCursor, LogStream
from botdock.services.lines import lines_of
from botdock.services.pulled_images import PulledImage, PulledImages
from botdock.services.pulling import Pulls

T = TypeVar("T")

RETRY_PAUSE = 0.2
"""Seconds before the second attempt; each further one waits twice as long."""
STARTS_AT_ONCE = 16
"""An engine starts no more a minute when it is told more at once; each just takes longer than its timeout allows."""


class ContainerService:
    """The eight operations of the seed, and what it takes to do them well.

    Every call has a timeout. What changes nothing is tried again when the engine failed for a transient reason;
    what changes something is not, because it is not known whether the first attempt took effect.

    Args:
        engine: Does the work.
        config: How patiently it is spoken to.
        home: The state folder; its processes share their pulls.
        images: Whether the engine runs images.
        unenforced: Features of the strict profile that it may lack, although it isolates.
        on_operation: Told of each call: its name, seconds, whether it succeeded.
    """

    def __init__(
        self,
        engine: Engine,
        config: ContainersConfig,
        *,
        home: Path,
        images: bool = True,
        unenforced: Collection[str] = (),
        on_operation: Callable[[str, float, bool], None] | None = None,
    ) -> None:
        self._engine = engine
        self._config = config
        self._images = images
        self._unenforced = unenforced
        self._record = on_operation or (lambda _operation, _seconds, _success: None)
        self._lock = threading.Lock()
        self._starts = threading.BoundedSemaphore(STARTS_AT_ONCE)
        self._capabilities: EngineCapabilities | None = None
        self._pulled = PulledImages(home)
        self._pulls = Pulls(engine, config, pulled=self._pulled, counted=partial(self._once, "pull"))

    @property
    def capabilities(self) -> EngineCapabilities:
        """What the engine can do; asked once."""
        with self._lock:
            if self._capabilities is None:
                self._capabilities = self._patiently("capabilities", self._engine.capabilities)
            return self._capabilities

    def check_enforcement(self) -> None:
        """Refuse an engine that isolates but cannot enforce all that the policy asks for.

        An engine that isolates nothing, such as `process`, runs only when the operator named it: that is consent.

        Raises:
            CapabilityError: Naming each feature, the engine's reason, and what mends it.
        """
        capabilities = self.capabilities
        if not capabilities.private_filesystem:
            return
        missing = {
            feature.value: reason
            for feature, reason in capabilities.missing.items()
            if feature.value not in self._unenforced
        }
        if missing:
            said = "; ".join(f"{feature}: {reason}" for feature, reason in sorted(missing.items()))
            raise CapabilityError(
                f"engine {capabilities.engine!r} cannot enforce {said}",
                engine=capabilities.engine,
                missing=missing,
                hint="`botdock doctor` says how to mend it; an operator can accept the risk "
                f"with policy.unenforced = {{{capabilities.engine} = {sorted(missing)}}}.",
            )

    def check_image(self, image: str, *, source: str = "") -> None:
        """Refuse an image that the caller, or the manifest `source`, names where the engine runs none.

        Raises:
            CapabilityError: The engine has no images.
        """
        if not self._images:
            engine, reason = self.capabilities.engine, "it has no images, and takes programs from PATH"
            raise CapabilityError(
                f"{source}{source and ': '}engine {engine!r} cannot run image {image!r}: {reason}",
                engine=engine,
                missing={"image": reason},
                hint="Name no image, or use an engine that runs them, such as docker.",
            )

    def pull_image(self, image: str, progress: Callable[[PullProgress], None] | None = None) -> ImageInfo:
        """Make sure that the image is there; callers that want the same one at once share one pull, of any process.

        Args:
            image: Its reference.
            progress: Told how far a pull is, at least once a second; what it raises ends the pull, and comes out of
                this as it is.

        Returns:
            What is there; of an engine without images, an image without a name.

        Raises:
            ImageError: It is absent, and may not or cannot be pulled; or it is not the one of the digest in its name.
            EngineTimeoutError: It took too long, or nothing came for too long.
        """
        if not self._images:
            return ImageInfo(reference="")

        def ask() -> ImageInfo | ImageError:
            try:
                return self._engine.ensure_image(image, policy=PullPolicy.NEVER, timeout=self._config.call_timeout)
            except ImageError as error:  # an answer as good as any, and no failure that is worth counting
                return error

        there = self._patiently("find_image", ask)
        found = self._pulls.ensure(image, engine=self.capabilities.engine, there=there, progress=progress)
        _, pinned, digest = image.partition("@")
        if pinned and found.digest != digest:
            raise ImageError(
                f"image {image!r} was asked for, and the engine has {found.digest or 'one of no digest'} in its place",
                image=image,
                engine=self.capabilities.engine,
                hint="Another image than the pinned one is not run: remove the one that is there, or mend the digest.",
            )
        return found

    def remove_images(self, unused: float, *, dry_run: bool = False) -> Iterator[tuple[PulledImage, int]]:
        """Remove images that botdock pulled and that no execution has used for long, and yield each with its bytes.

        Args:
            unused: Seconds after its last use from which on an image may go.
            dry_run: Whether to remove nothing.

        Raises:
            ContainerError: The engine does not answer, or cannot remove one.
        """
        timeout = self._config.call_timeout

        def remove(image: PulledImage) -> int | None:
            removed = partial(self._engine.remove_image, image.reference, image.id, dry_run=dry_run, timeout=timeout)
            return self._once("remove_image", removed)

        return self._pulled.remove_unused(self.capabilities.engine, unused, remove, forget=not dry_run)

    def prepare_pool(self, template: ContainerTemplate, count: int) -> bool:
        """Make ready for so many containers that wait; return whether the engine can keep such."""
        return self._engine.prepare(template, count, timeout=self._config.call_timeout)

    def create_container(self, template: ContainerTemplate, run: ContainerRun) -> ContainerHandle:
        """Create a container, and return what names it to the engine.

        Raises:
            CapabilityError: The engine cannot enforce the policy.
            ContainerConflictError: The execution has a container already.
        """
        self.check_enforcement()
        return self._once("create", lambda: self._engine.create(template, run, timeout=self._config.call_timeout))

    def attach(self, container: ContainerHandle) -> LogStream:
        """Open the streams of a container that has not been started."""
        return self._once("attach", lambda: self._engine.attach(container, timeout=self._config.call_timeout))

    def start_container(self, container: ContainerHandle) -> None:
        """Start a container, in its turn."""
        with self._starts:
            self._once("start", lambda: self._engine.start(container, timeout=self._config.call_timeout))

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Wait for its end, at most `timeout` seconds; return the final status, or None when it still runs."""
        return self._once("wait", lambda: self._engine.wait(container, timeout=timeout), counted=False)

    def events(self, selectors: Mapping[str, str]) -> EngineEvents | None:
        """Begin to tell of the ends of containers that carry all of `selectors`; None where it has none."""
        timeout = self._config.call_timeout
        return self._once("events", lambda: self._engine.events(selectors, timeout=timeout), counted=False)

    def stop_container(self, container: ContainerHandle, *, grace: float) -> None:
        """Ask it to end, and kill it after `grace` seconds; return when it has ended."""
        timeout = grace + self._config.call_timeout
        self._once("stop", lambda: self._engine.stop(container, grace=grace, timeout=timeout))

    def get_container_status(self, container: ContainerHandle) -> ContainerStatus:
        """Return what is known of a container.

        Raises:
            ContainerNotFoundError: The engine knows no such container.
        """
        return self._patiently("inspect", lambda: self._engine.inspect(container, timeout=self._config.call_timeout))

    def list_containers(self, selectors: Mapping[str, str]) -> Sequence[ContainerInfo]:
        """Return the containers that carry all of `selectors`, running or not."""
        return self._patiently("list", lambda: self._engine.list(selectors, timeout=self._config.call_timeout))

    def read_logs(self, container: ContainerHandle, cursor: LogCursor, *, follow: bool) -> LogStream:
        """Open the log from `cursor` on."""
        read = partial(self._engine.read_logs, container, cursor=cursor, follow=follow)
        return self._once("read_logs", lambda: read(timeout=self._config.call_timeout))

    def get_container_logs(self, container: ContainerHandle, *, tail: int) -> str:
        """Return the last `tail` lines that a container wrote, both streams, as text."""
        with self.read_logs(container, LogCursor(), follow=False) as stream:
            last = deque(lines_of(self._chunks_in_time(stream)), maxlen=tail)
            lost = [gap.text for gap in stream.lost]
        return "\n".join([*lost, *(line.text for line in last)])

    def _chunks_in_time(self, stream: LogStream) -> Iterator[LogChunk]:
        deadline = time.monotonic() + self._config.call_timeout
        while not stream.ended and time.monotonic() < deadline:
            yield from stream.read(1.0)

    def fetch_result(self, container: ContainerHandle, *, limit: int) -> bytes:
        """Return what the bot wrote as its result: at most `limit` bytes, one more when it is longer."""
        fetch = partial(self._engine.fetch_result, container, limit=limit, timeout=self._config.call_timeout)
        return self._patiently("fetch_result", fetch)

    def remove_container(self, container: ContainerHandle) -> None:
        """Remove a container, running or not; one that is not there is not an error."""
        self._patiently("remove", lambda: self._engine.remove(container, timeout=self._config.call_timeout))

    def remove_containers(self, selectors: Mapping[str, str]) -> None:
        """Remove all containers that carry all of `selectors`, running or not."""
        for info in self.list_containers(selectors):
            self.remove_container(ContainerHandle(id=info.container_id))

    def close(self) -> None:
        """Let go of the engine; containers go on."""
        self._engine.close()

    def _patiently(self, operation: str, call: Callable[[], T]) -> T:
        """Call, and call again when the engine failed for a reason that may pass."""
        for attempt in range(self._config.retries):
            try:
                return self._once(operation, call)
            except (EngineUnavailableError, EngineTimeoutError, ImageError) as error:
                if isinstance(error, ImageError) and not error.transient:
                    raise
                logger.bind(operation=operation, error=error.message).debug("engine call failed; trying again")
                time.sleep(RETRY_PAUSE * 2**attempt)
        return self._once(operation, call)

    def _once(self, operation: str, call: Callable[[], T], *, counted: bool = True) -> T:
        """Call; what a third party's engine raises by mistake becomes a `ContainerError`."""
        started = time.monotonic()
        try:
            value = call()
        except Exception as error:
            if counted:
                self._record(operation, time.monotonic() - started, False)  # noqa: FBT003 - the callback's signature
            if isinstance(error, BotdockError):
                raise
            engine = type(self._engine).__name__
            raise ContainerError(
                f"{engine}.{operation} failed: {type(error).__name__}: {error}", engine=engine, operation=operation
            ) from error
        if counted:
            self._record(operation, time.monotonic() - started, True)  # noqa: FBT003 - the same
        return value
