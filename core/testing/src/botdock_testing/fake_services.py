"""Five of the six services in memory, for testing what joins them; the sixth is in `fake_logs`.

Each passes the same tests as the real one.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from botdock.config import Policies, Policy
from botdock.entrypoints import EntrypointManager
from botdock.errors import BotdockError, CodeError
from botdock.model import (
    ByteReader,
    ContainerHandle,
    ContainerInfo,
    ContainerRun,
    ContainerStatus,
    ContainerTemplate,
    Engine,
    EngineCapabilities,
    EngineEvents,
    ExecutionResult,
    ImageInfo,
    LogChunk,
    LogCursor,
    LogStream,
    PullPolicy,
    PullProgress,
    Receipt,
    Runtime,
    StorageArea,
)
from botdock.model.executable import sha256_of
from botdock.model.metrics import Labels
from botdock.services.code import CodeKind, CodeSource, Workspace
from botdock.services.interfaces import Meter
from botdock.services.lines import lines_of
from botdock.services.pulled_images import PulledImage

TIMEOUT = 10.0
"""Seconds of every call that the fakes make; nothing in memory takes as long."""


class FakeContainers:
    """A container service without policy, retries or counts.

    Args:
        engine: Usually a `FakeEngine`.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def capabilities(self) -> EngineCapabilities:
        """Ask the engine."""
        return self.engine.capabilities()

    def check_enforcement(self) -> None:
        """Let everything pass."""

    def check_image(self, image: str, *, source: str = "") -> None:
        """Let every image pass."""

    def pull_image(self, image: str, progress: Callable[[PullProgress], None] | None = None) -> ImageInfo:
        """Ask the engine."""
        return self.engine.ensure_image(image, policy=PullPolicy.MISSING, timeout=TIMEOUT, progress=progress)

    def remove_images(self, unused: float, *, dry_run: bool = False) -> Iterator[tuple[PulledImage, int]]:  # noqa: ARG002 - it notes no pulls
        """Find none that was pulled."""
        return iter(())

    def prepare_pool(self, template: ContainerTemplate, count: int) -> bool:
        """Ask the engine."""
        return self.engine.prepare(template, count, timeout=TIMEOUT)

    def create_container(self, template: ContainerTemplate, run: ContainerRun) -> ContainerHandle:
        """Ask the engine."""
        return self.engine.create(template, run, timeout=TIMEOUT)

    def attach(self, container: ContainerHandle) -> LogStream:
        """Ask the engine."""
        return self.engine.attach(container, timeout=TIMEOUT)

    def start_container(self, container: ContainerHandle) -> None:
        """Ask the engine."""
        self.engine.start(container, timeout=TIMEOUT)

    def wait(self, container: ContainerHandle, *, timeout: float) -> ContainerStatus | None:
        """Ask the engine, for `timeout` seconds at most."""
        return self.engine.wait(container, timeout=timeout)

    def events(self, selectors: Mapping[str, str]) -> EngineEvents | None:
        """Ask the engine."""
        return self.engine.events(selectors, timeout=TIMEOUT)

    def stop_container(self, container: ContainerHandle, *, grace: float) -> None:
        """Ask the engine, with `grace` seconds for the bot's own end."""
        self.engine.stop(container, grace=grace, timeout=grace + TIMEOUT)

    def get_container_status(self, container: ContainerHandle) -> ContainerStatus:
        """Ask the engine."""
        return self.engine.inspect(container, timeout=TIMEOUT)

    def list_containers(self, selectors: Mapping[str, str]) -> Sequence[ContainerInfo]:
        """Ask the engine."""
        return self.engine.list(selectors, timeout=TIMEOUT)

    def read_logs(self, container: ContainerHandle, cursor: LogCursor, *, follow: bool) -> LogStream:
        """Ask the engine."""
        return self.engine.read_logs(container, cursor=cursor, follow=follow, timeout=TIMEOUT)

    def get_container_logs(self, container: ContainerHandle, *, tail: int) -> str:
        """Read what is there."""
        with self.read_logs(container, LogCursor(), follow=False) as stream:
            chunks: list[LogChunk] = []
            while not stream.ended:
                chunks.extend(stream.read(TIMEOUT))
        texts = [line.text for line in lines_of(chunks)]
        return "\n".join(texts[-tail:] if tail else [])

    def fetch_result(self, container: ContainerHandle, *, limit: int) -> bytes:
        """Ask the engine."""
        return self.engine.fetch_result(container, limit=limit, timeout=TIMEOUT)

    def remove_container(self, container: ContainerHandle) -> None:
        """Ask the engine."""
        self.engine.remove(container, timeout=TIMEOUT)

    def remove_containers(self, selectors: Mapping[str, str]) -> None:
        """Ask the engine."""
        for info in self.list_containers(selectors):
            self.remove_container(ContainerHandle(id=info.container_id))

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()


class FakeCode:
    """A code service that knows trees by name.

    Args:
        trees: Per `file_path`, the files of a tree by name.
    """

    def __init__(self, trees: Mapping[str, Mapping[str, bytes]]) -> None:
        self._trees = {name: dict(files) for name, files in trees.items()}

    def prepare_workspace(self, directory: Path) -> Workspace:
        """Make the folders."""
        workspace = Workspace.at(directory)
        workspace.context.mkdir(parents=True)
        workspace.result.touch()
        return workspace

    def download_code(
        self,
        file_path: str,
        workspace: Workspace,  # noqa: ARG002 - the interface
        *,
        code: bytes = b"",
        code_digest: str | None = None,
        progress: Meter | None = None,  # noqa: ARG002 - the interface
    ) -> CodeSource:
        """Look the name up, which else is a `CodeError`; bytes are the one file `main.sh`."""
        if code_digest is not None and sha256_of(code_digest) != hashlib.sha256(code).hexdigest():
            raise CodeError(f"{file_path!r} has another digest than {code_digest}", source=file_path)
        if code:
            self._trees[file_path] = {"main.sh": code}
        if file_path not in self._trees:
            raise CodeError(f"no code {file_path!r}", source=file_path)
        return CodeSource(kind=CodeKind.FOLDER, path=Path(file_path), origin=file_path)

    def extract_code(
        self,
        source: CodeSource,
        workspace: Workspace,
        *,
        shared: bool = False,  # noqa: ARG002 - the interface
        progress: Meter | None = None,
    ) -> Workspace:
        """Write the files of the tree."""
        for name, data in self._trees[source.origin].items():
            path = workspace.code / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            if progress:
                progress(len(data), 0)
        return workspace

    def validate_code_structure(self, tree: Path, runtime: Runtime, entrypoint: str, script: str | None) -> str:
        """Look for the script, the lack of which is a `CodeError`."""
        found = script or runtime.find_script(tree, entrypoint)
        if found is None or not (tree / found).is_file():
            raise CodeError(f"no script {found!r}", source=str(tree))
        return found

    def cleanup_workspace(self, workspace: Workspace) -> None:
        """Remove the folders."""
        shutil.rmtree(workspace.root, ignore_errors=True)


class FakeStorage:
    """A storage service whose objects are in `objects`; raises `error` when that is set."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._latest: dict[str, str] = {}
        self.error: BotdockError | None = None
        self.closed = False

    def _put(self, area: StorageArea, key: str, data: bytes) -> Receipt:
        if self.error:
            raise self.error
        self.objects[key] = data
        return Receipt(area=area, key=key, size=len(data))

    def store_results(self, execution_id: str, id: str, data: bytes) -> Receipt:  # noqa: A002, ARG002 - the interface
        """Keep the result of an execution."""
        return self._put(StorageArea.RESULTS, f"executions/{execution_id}/result.json", data)

    def store_logs(self, execution_id: str, id: str, name: str, source: ByteReader | Path) -> Receipt:  # noqa: A002 - the interface
        """Keep one file of a log."""
        data = source.read_bytes() if isinstance(source, Path) else source.read()
        return self._put(StorageArea.LOGS, f"logs/{id}/{execution_id}/{name}", data)

    def store_analysis(self, execution_id: str, id: str, analysis: bytes) -> Receipt:  # noqa: A002 - the interface
        """Keep the latest backtest: the one whose execution id sorts last."""
        key = f"{id}/analysis.json"
        if execution_id < self._latest.get(id, ""):
            return Receipt(area=StorageArea.RESULTS, key=key, size=len(analysis))
        self._latest[id] = execution_id
        return self._put(StorageArea.RESULTS, key, analysis)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class FakeEntrypoints(EntrypointManager):
    """An entrypoint manager of these runtimes, without a configuration.

    Args:
        runtimes: Those that there are.
        images: Patterns of the images that may be named beside theirs.
    """

    def __init__(self, runtimes: Sequence[Runtime], *, images: Sequence[str] = ()) -> None:
        policies = Policies(Policy(images=tuple(images)))
        super().__init__({runtime.name: runtime for runtime in runtimes}, {}, policies=policies)


class FakeMetrics:
    """A metrics service that keeps every result in `results`, and of what else is recorded name and labels."""

    def __init__(self) -> None:
        self.results: list[ExecutionResult] = []
        self.recorded: list[tuple[str, Labels]] = []
        self.closed = False

    def record_execution(self, result: ExecutionResult) -> None:
        """Keep it."""
        self.results.append(result)

    def record(self, name: str, *, labels: Labels = (), **_: object) -> None:
        """Keep name and labels."""
        self.recorded.append((name, labels))

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
