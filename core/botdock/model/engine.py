"""The seam to what runs containers: Docker, Kubernetes, a plain process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdock.model.container import (
        ContainerHandle,
        ContainerInfo,
        ContainerRun,
        ContainerStatus,
        ContainerTemplate,
        ImageInfo,
        PullPolicy,
    )
    from botdock.model.logs import LogCursor, LogStream


class Feature(StrEnum):
    """What the strict profile asks an engine to enforce."""

    NETWORK = "network"
    NON_ROOT = "non_root"
    READ_ONLY_ROOT = "read_only_root"
    READ_ONLY_CODE = "read_only_code"
    CAPABILITIES = "capabilities"
    NO_NEW_PRIVILEGES = "no_new_privileges"
    SECCOMP = "seccomp"
    MEMORY = "memory"
    SWAP = "swap"
    CPU = "cpu"
    PIDS = "pids"
    OPEN_FILES = "open_files"
    FILE_SIZE = "file_size"
    TMPFS = "tmpfs"


@attrs.frozen(kw_only=True)
class EngineCapabilities:
    """What an engine can do, on this machine, now.

    Attributes:
        engine: Its name.
        version: Of the engine and its interface, for people.
        enforced: What of the strict profile it enforces.
        missing: Each feature it does not enforce, with the reason and the command or setting that mends it.
        private_filesystem: Whether the bot sees things where the template says; without, where they are here.
        separate_streams: Whether stdout and stderr can be told apart; without, all is stdout.
        exact_bytes: Whether logs hold every byte as it was written.
        resumable_logs: Whether `read_logs` can continue from a cursor; without, it is only read from its beginning.
        keeps_unfollowed_logs: Whether the end of a log stays to be read that no runner has followed.
    """

    engine: str
    version: str = ""
    enforced: frozenset[Feature] = frozenset()
    missing: Mapping[Feature, str] = attrs.field(factory=dict)
    private_filesystem: bool = True
    separate_streams: bool = True
    exact_bytes: bool = True
    resumable_logs: bool = True
    keeps_unfollowed_logs: bool = True

    @property
    def log_faults(self) -> tuple[str, ...]:
        """What its logs lack, in words: an execution's evidence and `botdock doctor` show it."""
        faults = {
            "stdout and stderr come as one stream": self.separate_streams,
            "bytes may differ from what was written": self.exact_bytes,
            "a log that breaks off is not read on": self.resumable_logs,
            "of a log that no runner follows, even the end may be gone": self.keeps_unfollowed_logs,
        }
        return tuple(fault for fault, absent in faults.items() if not absent)


class LayerState(StrEnum):
    """What is being done with one layer of an image."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    RETRYING = "retrying"
    """Its download broke off, and the engine waits before it tries again."""
    DOWNLOADED = "downloaded"
    EXTRACTING = "extracting"
    DONE = "done"


@attrs.frozen(kw_only=True)
class LayerProgress:
    """How far one layer of an image is.

    Attributes:
        id: The engine's short name of it.
        state: What is being done with it.
        current: How far that is, in the engine's units: bytes, as a rule.
        total: Of how much; 0 for not known.
    """

    id: str
    state: LayerState
    current: int = 0
    total: int = 0


@attrs.frozen(kw_only=True)
class PullProgress:
    """How far a pull is.

    Attributes:
        image: The image being pulled.
        current: Bytes so far.
        total: Bytes in all, as far as is known yet; 0 for not known.
        layers: How far each layer is, in their order; empty where the engine does not tell.
        note: What it waits for while it does not move, in words: another runner that pulls it, or the next attempt.
    """

    image: str
    current: int = 0
    total: int = 0
    layers: tuple[LayerProgress, ...] = ()
    note: str = ""


class EngineEvents(ABC):
    """The ends of containers as they come, over one connection. Read by one thread; another may close it."""

    is_certain: ClassVar[bool] = False
    """Whether no end can go untold, as where the kernel tells; else a listing each half minute finds what did."""

    @abstractmethod
    def read(self, timeout: float) -> Sequence[str]:
        """Return the identities of containers that have ended, waiting at most `timeout` seconds for the first.

        Raises:
            EngineUnavailableError: The connection was cut; what ends from now on is not told here.
        """

    @abstractmethod
    def close(self) -> None:
        """Let `read` return, and let go of the connection. Never raises, and may be called twice."""


class Engine(ABC):
    """Runs containers; small, so that it is written in an afternoon. All methods may be called from several threads.

    `ContainerService` above it adds policy, retries and metrics: an engine does what it is told, once, within its time,
    or raises a `ContainerError`. It interprets no exit code, and leaves no container behind when `create` raises.

    The life of a container: `create`, `attach`, `start`, `wait`, `fetch_result`, `remove`. Each takes the handle that
    `create` returned, in this process or in one that died since: so an engine need not keep a table of its own. A
    handle that has the id and no state works too, if not as fast: what `list` or a user names. Times are in seconds.
    The fake in `botdock_testing` is a complete one; `EngineContract` there holds any to what is written here.
    """

    @abstractmethod
    def capabilities(self) -> EngineCapabilities:
        """Say what this engine enforces and delivers.

        Raises:
            EngineUnavailableError: It does not answer.
        """

    @abstractmethod
    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        """Make sure that the image is there, and say which it is.

        Args:
            image: Its reference; one with a digest means the image of that digest alone.
            policy: Whether to pull.
            timeout: Seconds for all of it.
            progress: Told how far the pull is: a few times a second at most, and once a second at least, also while
                nothing moves. What it raises ends the pull, and is let through as it is.

        Raises:
            ImageError: It is absent, and may not or cannot be pulled.
        """

    @abstractmethod
    def create(self, template: ContainerTemplate, run: ContainerRun, *, timeout: float) -> ContainerHandle:
        """Create a container that is ready to start, and return what names it from now on.

        Raises:
            ContainerConflictError: One of that name exists.
            ContainerError: It cannot be created; nothing of it is left.
        """

    @abstractmethod
    def attach(self, container: ContainerHandle, *, timeout: float) -> LogStream:
        """Open the streams of a container that has not been started, so that its first byte is not missed."""

    @abstractmethod
    def start(self, container: ContainerHandle, *, timeout: float) -> None:
        """Start it. Returns as soon as the engine has accepted it.

        Raises:
            ContainerError: It did not start (no such program in the image, for one).
        """

    @abstractmethod
    def read_logs(self, container: ContainerHandle, *, cursor: LogCursor, follow: bool, timeout: float) -> LogStream:
        """Read the log from `cursor` on; with `follow` until the container ends, without it what is there now."""

    @abstractmethod
    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Wait for the end, at most `timeout` seconds; return the final status, or None when it still runs.

        Raises:
            ContainerNotFoundError: It is gone.
            EngineUnavailableError: The engine went away; the container may go on.
        """

    @abstractmethod
    def inspect(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus:
        """Say what is known of it now.

        Raises:
            ContainerNotFoundError: The engine knows no such container.
        """

    @abstractmethod
    def stop(self, container: ContainerHandle, *, grace: float, timeout: float) -> None:
        """Ask it to end (SIGTERM), and kill it (SIGKILL) after `grace` seconds; return when it has ended.

        One that has ended already is left alone. A `grace` of 0 kills at once.
        """

    @abstractmethod
    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        """Remove it, killing it first if it runs; one that is not there is not an error."""

    @abstractmethod
    def list(self, selectors: Mapping[str, str], *, timeout: float) -> Sequence[ContainerInfo]:
        """List the containers, running or not, that carry all of `selectors`."""

    @abstractmethod
    def fetch_result(self, container: ContainerHandle, *, limit: int, timeout: float) -> bytes:
        """Return what the bot wrote into `ContainerRun.result`; empty when it is empty.

        Args:
            container: The container, which has ended.
            limit: Bytes; of a longer file `limit + 1` are returned, so that the caller sees that it is longer.
            timeout: Seconds.

        Raises:
            ContainerError: The file is gone, or not a file any more: then a result is lost, which is not a success.
        """

    def remove_image(self, reference: str, image_id: str, *, dry_run: bool, timeout: float) -> int | None:  # noqa: ARG002 - for those that have images
        """Remove an image that botdock had pulled, where nothing uses it. An engine without images keeps this as it is.

        Args:
            reference: What was pulled; it may name another image by now.
            image_id: What names exactly the one that was pulled; empty where the engine has no ids.
            dry_run: Whether to remove nothing.
            timeout: Seconds.

        Returns:
            The bytes that it took on the engine's disk, 0 for one that is gone or whose content another name keeps;
            None where it stays, as a container uses it, or only another's name leads to it.

        Raises:
            ContainerError: It cannot be removed.
        """
        return None

    def events(self, selectors: Mapping[str, str], *, timeout: float) -> EngineEvents | None:  # noqa: ARG002 - for those that have some
        """Begin to tell of the ends of containers that carry all of `selectors`: of each that ends after this returns.

        An engine that has no events returns None, as this does; its containers are then asked one by one.

        Raises:
            EngineUnavailableError: It does not answer.
        """
        return None

    def prepare(self, template: ContainerTemplate, count: int, *, timeout: float) -> bool:  # noqa: ARG002 - for those that can
        """Make ready for `count` containers of a template that are started before there is a run for them: a pool.

        Return whether that can be: whether they see what is written into the folders of a run after their start. It is
        asked before each is created, and after: an engine may learn only from a first one what its containers see.
        """
        return False

    @abstractmethod
    def close(self) -> None:
        """Let go of connections; containers go on. Never raises, and may be called twice."""
