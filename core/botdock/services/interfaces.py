# ruff: noqa: D102 - each method is documented where it is implemented
"""What the orchestrator asks of each service: their methods, for services and fakes alike.

The services of `botdock.services` and the fakes of `botdock_testing` both fit; a contract test holds them to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from botdock.errors import BotdockError
from botdock.model import (
    ByteReader,
    ContainerHandle,
    ContainerInfo,
    ContainerRun,
    ContainerStatus,
    ContainerTemplate,
    EngineCapabilities,
    EngineEvents,
    ExecutionResult,
    ImageInfo,
    LogChunk,
    LogCursor,
    LogSource,
    LogStream,
    LogSummary,
    PullProgress,
    Receipt,
    Runtime,
)
from botdock.model.metrics import Labels
from botdock.services.code import CodeSource, Workspace
from botdock.services.logs import CollectionStatus
from botdock.services.pulled_images import PulledImage

Meter = Callable[[int, int], None]
"""Told how far a step is: bytes so far, bytes in all (0 for not known)."""


class Containers(Protocol):
    """See `ContainerService`."""

    @property
    def capabilities(self) -> EngineCapabilities: ...
    def check_enforcement(self) -> None: ...
    def check_image(self, image: str, *, source: str = ...) -> None: ...
    def pull_image(self, image: str, progress: Callable[[PullProgress], None] | None = None) -> ImageInfo: ...
    def remove_images(self, unused: float, *, dry_run: bool = ...) -> Iterator[tuple[PulledImage, int]]: ...
    def prepare_pool(self, template: ContainerTemplate, count: int) -> bool: ...
    def create_container(self, template: ContainerTemplate, run: ContainerRun) -> ContainerHandle: ...
    def attach(self, container: ContainerHandle) -> LogStream: ...
    def start_container(self, container: ContainerHandle) -> None: ...
    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None: ...
    def events(self, selectors: Mapping[str, str]) -> EngineEvents | None: ...
    def stop_container(self, container: ContainerHandle, *, grace: float) -> None: ...
    def get_container_status(self, container: ContainerHandle) -> ContainerStatus: ...
    def list_containers(self, selectors: Mapping[str, str]) -> Sequence[ContainerInfo]: ...
    def read_logs(self, container: ContainerHandle, cursor: LogCursor, *, follow: bool) -> LogStream: ...
    def get_container_logs(self, container: ContainerHandle, *, tail: int) -> str: ...
    def fetch_result(self, container: ContainerHandle, *, limit: int) -> bytes: ...
    def remove_container(self, container: ContainerHandle) -> None: ...
    def remove_containers(self, selectors: Mapping[str, str]) -> None: ...
    def close(self) -> None: ...


class Code(Protocol):
    """See `CodeService`."""

    def prepare_workspace(self, directory: Path) -> Workspace: ...
    def download_code(
        self,
        file_path: str,
        workspace: Workspace,
        *,
        code: bytes = ...,
        code_digest: str | None = ...,
        progress: Meter | None = ...,
    ) -> CodeSource: ...
    def extract_code(
        self, source: CodeSource, workspace: Workspace, *, shared: bool = ..., progress: Meter | None = ...
    ) -> Workspace: ...
    def validate_code_structure(self, tree: Path, runtime: Runtime, entrypoint: str, script: str | None) -> str: ...
    def cleanup_workspace(self, workspace: Workspace) -> None: ...


class Storage(Protocol):
    """See `StorageService`."""

    def store_results(self, execution_id: str, id: str, data: bytes) -> Receipt: ...  # noqa: A002 - the field's name
    def store_logs(self, execution_id: str, id: str, name: str, source: ByteReader | Path) -> Receipt: ...  # noqa: A002 - the same
    def store_analysis(self, execution_id: str, id: str, analysis: bytes) -> Receipt: ...  # noqa: A002 - the same
    def close(self) -> None: ...


class Entrypoints(Protocol):
    """See `EntrypointManager`."""

    def get_supported_runtimes(self) -> tuple[str, ...]: ...
    def validate_runtime(self, name: str) -> Runtime: ...
    def get_docker_image(self, name: str) -> str: ...
    def get_allowed_image(self, image: str, *, source: str = ...) -> str: ...
    def create_entrypoint_script(self, runtime: Runtime, programs: Path) -> Path: ...
    def locate_entrypoint_script(self, runtime: Runtime, programs: Path) -> Path: ...


class Logs(Protocol):
    """See `LogCollector`."""

    def start_collection(
        self,
        stream: LogStream | None,
        directory: Path,
        *,
        source: LogSource,
        limit: int | None,
        retain: int | None = ...,
        secrets: Collection[bytes] = ...,
        on_limit: Callable[[], None] = ...,
        on_failure: Callable[[BotdockError], None] = ...,
        on_segment: Callable[[int], None] | None = ...,
        reopen: Callable[[LogCursor], LogStream] | None = ...,
    ) -> None: ...
    def wait_drained(self, execution_id: str, timeout: float) -> bool: ...
    def stop_collection(self, execution_id: str, *, exit_known: bool = True) -> LogSummary: ...
    def short_text(self, execution_id: str) -> str | None: ...
    def release(self, execution_id: str) -> None: ...
    def stream_logs(self, execution_id: str, *, follow: bool = True) -> Iterator[LogChunk]: ...
    def wait_progress(self, execution_id: str, seen: int, timeout: float) -> tuple[int, bool]: ...
    def get_collection_status(self, execution_id: str) -> CollectionStatus: ...
    def forget(self, execution_id: str) -> None: ...
    def close(self) -> None: ...


class Metrics(Protocol):
    """See `MetricsService`."""

    def record_execution(self, result: ExecutionResult) -> None: ...
    def record(
        self, name: str, *, labels: Labels = ..., seconds: float | None = ..., size: int = ..., success: bool = ...
    ) -> None: ...
    def close(self) -> None: ...


@attrs.frozen(kw_only=True)
class Services:
    """The six services that the orchestrator joins.

    Attributes:
        containers: Runs containers on an engine.
        code: Brings the code of bots into their workspaces.
        storage: Keeps results and logs.
        entrypoints: Writes the files that start a bot.
        logs: Collects what bots write.
        metrics: Counts.
    """

    containers: Containers
    code: Code
    storage: Storage
    entrypoints: Entrypoints
    logs: Logs
    metrics: Metrics
