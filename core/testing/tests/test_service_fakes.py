"""Each fake and the real service pass the same tests: what is tested over the fakes holds over the real ones."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from botdock.config import CodeConfig, ContainersConfig, LoggingConfig
from botdock.entrypoints import EntrypointManager
from botdock.errors import (
    CodeError,
    ContainerConflictError,
    ContainerError,
    ContainerNotFoundError,
    LogError,
    NotFoundError,
)
from botdock.model import (
    ContainerHandle,
    ExecutionResult,
    LogCursor,
    LogSource,
    LogStream,
    Outcome,
    StorageArea,
    new_execution_id,
)
from botdock.services.code import CodeService, CodeStore
from botdock.services.container import ContainerService
from botdock.services.interfaces import Code, Containers, Entrypoints, Logs, Metrics, Storage
from botdock.services.log_store import StoredLog
from botdock.services.logs import LogCollector
from botdock.services.metrics import MetricsService
from botdock.services.storage import StorageService
from botdock_runtime_bash.plugin import botdock_runtimes
from botdock_storage_local_fs.backend import LocalFsBackend
from botdock_testing import (
    FakeCode,
    FakeContainers,
    FakeEngine,
    FakeEntrypoints,
    FakeLogs,
    FakeMetrics,
    FakeStorage,
)
from botdock_testing.engine import Asked, asked
from botdock_testing.script import Script

(BASH,) = botdock_runtimes()


@pytest.fixture(params=["fake", "real"])
def real(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "real")


def spec(tmp_path: Path, name: str = "botdock-1") -> Asked:
    return asked(tmp_path, name=name, selectors={"mine": "yes"})


class TestContainers:
    @pytest.fixture
    def engine(self) -> FakeEngine:
        return FakeEngine(Script(output=(Script.out(b"a\nb\n"),), exit_code=5, result=b"[1]"))

    @pytest.fixture
    def containers(self, real: bool, engine: FakeEngine, tmp_path: Path) -> Containers:
        return ContainerService(engine, ContainersConfig(), home=tmp_path) if real else FakeContainers(engine)

    def test_a_life(self, containers: Containers, tmp_path: Path) -> None:
        containers.check_enforcement()
        assert containers.pull_image("image").reference == "image"
        container = containers.create_container(*spec(tmp_path))
        with containers.attach(container):
            containers.start_container(container)
            status = containers.wait(container, timeout=10)
        assert status is not None
        assert containers.get_container_status(container).exit_code == status.exit_code == 5
        assert containers.get_container_logs(container, tail=1) == "b"
        with containers.read_logs(container, LogCursor(stdout=2), follow=False) as stream:
            assert b"".join(chunk.data for chunk in stream.read(5)) == b"b\n"
        assert containers.fetch_result(container, limit=2) == b"[1]"
        containers.stop_container(container, grace=0)
        assert len(containers.list_containers({"mine": "yes"})) == 1
        assert len(containers.list_containers({"mine": "no"})) == 0
        containers.remove_container(container)
        containers.remove_container(container)
        containers.close()

    def test_refusals(self, containers: Containers, tmp_path: Path) -> None:
        containers.create_container(*spec(tmp_path))
        with pytest.raises(ContainerConflictError):
            containers.create_container(*spec(tmp_path))
        with pytest.raises(ContainerNotFoundError):
            containers.get_container_status(ContainerHandle(id="no-such"))


class TestCode:
    @pytest.fixture
    def name(self, real: bool, tmp_path: Path) -> str:
        if not real:
            return "tree"
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree/main.sh").write_bytes(b"echo\n")
        return str(tmp_path / "tree")

    @pytest.fixture
    def code(self, real: bool) -> Code:
        if not real:
            return FakeCode({"tree": {"main.sh": b"echo\n"}})

        def nothing(key: str) -> Any:
            raise CodeError("no object", source=key)

        store = CodeStore(name="none", open=nothing, stat=nothing, location=lambda: "nowhere")
        return CodeService(CodeConfig(), store=store)

    def test_code_comes_into_a_workspace_and_goes(self, code: Code, name: str, tmp_path: Path) -> None:
        workspace = code.prepare_workspace(tmp_path / "work")
        source = code.download_code(name, workspace)
        workspace = code.extract_code(source, workspace)
        assert (workspace.code / "main.sh").read_bytes() == b"echo\n"
        assert workspace.result.read_bytes() == b""
        assert workspace.context.is_dir()
        assert code.validate_code_structure(workspace.code, BASH, "bot", None) == "main.sh"
        with pytest.raises(CodeError):
            code.validate_code_structure(workspace.code, BASH, "bot", "absent.sh")
        code.cleanup_workspace(workspace)
        code.cleanup_workspace(workspace)
        assert not workspace.root.exists()

    def test_absent_code_is_a_mistake_of_the_caller(self, code: Code, tmp_path: Path) -> None:
        workspace = code.prepare_workspace(tmp_path / "work")
        with pytest.raises(CodeError):
            code.download_code("nowhere", workspace)


class TestStorage:
    @pytest.fixture
    def kept(self, real: bool, tmp_path: Path) -> tuple[Storage, Callable[[str], bytes]]:
        if not real:
            fake = FakeStorage()
            return fake, lambda key: fake.objects[key]

        def backend(area: StorageArea) -> LocalFsBackend:
            return LocalFsBackend(tmp_path, area)

        def read(key: str) -> bytes:
            for area in (StorageArea.LOGS, StorageArea.RESULTS):
                path = tmp_path / area / key
                if path.exists():
                    return path.read_bytes()
            raise KeyError(key)

        return StorageService(backend, outbox=tmp_path / "outbox"), read

    def test_results_logs_and_analyses_keep_their_names(self, kept: tuple[Storage, Callable[[str], bytes]]) -> None:
        storage, read = kept
        earlier, later = new_execution_id(), new_execution_id()
        storage.store_results(earlier, "bot", b"{}")
        storage.store_logs(earlier, "bot", "stdout.0", io.BytesIO(b"line\n"))
        storage.store_analysis(later, "bot", b'{"a": 1}')
        receipt = storage.store_analysis(earlier, "bot", b'{"an": "older one"}')
        assert (receipt.key, receipt.size) == ("bot/analysis.json", 19)
        storage.close()
        assert read(f"executions/{earlier}/result.json") == b"{}"
        assert read(f"logs/bot/{earlier}/stdout.0") == b"line\n"
        assert json.loads(read("bot/analysis.json")) == {"a": 1}

    def test_a_file_is_stored_as_it_is(self, kept: tuple[Storage, Callable[[str], bytes]], tmp_path: Path) -> None:
        storage, read = kept
        (tmp_path / "stdout.0").write_bytes(b"line\n")
        assert storage.store_logs("01", "bot", "stdout.0", tmp_path / "stdout.0").size == 5
        storage.close()
        assert read("logs/bot/01/stdout.0") == b"line\n"


class TestEntrypoints:
    @pytest.fixture
    def entrypoints(self, real: bool) -> Entrypoints:
        return EntrypointManager({BASH.name: BASH}, {}) if real else FakeEntrypoints([BASH])

    def test_runtimes(self, entrypoints: Entrypoints, tmp_path: Path) -> None:
        assert entrypoints.get_supported_runtimes() == ("bash",)
        assert entrypoints.validate_runtime("BASH") is BASH
        assert entrypoints.get_docker_image("bash") == BASH.image
        with pytest.raises(NotFoundError, match="did you mean bash"):
            entrypoints.validate_runtime("bahs")
        script = entrypoints.create_entrypoint_script(BASH, tmp_path)
        assert script == entrypoints.create_entrypoint_script(BASH, tmp_path)
        assert script.parent.parent == tmp_path
        assert script.read_bytes() == BASH.files()["entrypoint.sh"]


class TestLogs:
    @pytest.fixture
    def logs(self, real: bool) -> Iterator[Logs]:
        made: Logs = LogCollector(LoggingConfig()) if real else FakeLogs()
        yield made
        made.close()

    def start(self, logs: Logs, tmp_path: Path, limit: int = 100, **more: Any) -> FakeEngine:
        engine = FakeEngine(Script(output=(Script.out(b"one\n"), Script.err(b"two"))))
        container = engine.create(*spec(tmp_path), timeout=1)
        stream = engine.attach(container, timeout=1)
        source = LogSource(execution_id="01", id="bot", runtime="bash")
        logs.start_collection(stream, tmp_path / "logs", source=source, limit=limit, **more)
        engine.start(container, timeout=1)
        return engine

    def test_a_log_is_stored_and_read(self, logs: Logs, tmp_path: Path) -> None:
        self.start(logs, tmp_path)
        followed = b"".join(chunk.data for chunk in logs.stream_logs("01", follow=True))
        assert logs.wait_drained("01", 10)
        summary = logs.stop_collection("01")
        assert (summary.bytes, summary.lines, summary.complete, followed) == (7, 2, True, b"one\ntwo")
        assert StoredLog(tmp_path / "logs").tail(100) == "one\ntwo"
        logs.forget("01")
        with pytest.raises(LogError):
            logs.stream_logs("01")

    def test_the_limit_is_reported_once(self, logs: Logs, tmp_path: Path) -> None:
        calls: list[int] = []
        self.start(logs, tmp_path, limit=2, on_limit=lambda: calls.append(1))
        logs.wait_drained("01", 10)
        summary = logs.stop_collection("01")
        assert (summary.bytes, summary.gap_bytes, calls) == (4, 3, [1]), "two bytes of the head, two of the tail"

    def test_a_released_log_is_taken_over(self, logs: Logs, tmp_path: Path) -> None:
        engine = self.start(logs, tmp_path)
        assert logs.wait_drained("01", 10)
        assert logs.get_collection_status("01").bytes == 7
        logs.release("01")
        cursors: list[LogCursor] = []

        def reopen(cursor: LogCursor) -> LogStream:
            cursors.append(cursor)
            if len(cursors) == 1:
                raise ContainerError("away")
            return engine.read_logs(ContainerHandle(id="fake-1"), cursor=cursor, follow=True, timeout=1)

        source = LogSource(execution_id="02", id="bot", runtime="bash")
        engine.break_stream(0)
        logs.start_collection(None, tmp_path / "logs", source=source, limit=None, reopen=reopen)
        assert logs.wait_drained("02", 10)
        assert (logs.stop_collection("02").bytes, len(cursors)) == (7, 3)
        assert StoredLog(tmp_path / "logs").tail(3) == "two"


class TestMetrics:
    @pytest.fixture
    def metrics(self, real: bool) -> Metrics:
        return MetricsService() if real else FakeMetrics()

    def test_executions_are_recorded(self, metrics: Metrics) -> None:
        result = ExecutionResult(execution_id="01", id="bot", outcome=Outcome.SUCCEEDED)
        metrics.record_execution(result)
        if isinstance(metrics, MetricsService):
            assert sum(stats.count for stats in metrics.get_metrics().operations.values()) == 1
        else:
            assert isinstance(metrics, FakeMetrics)
            assert metrics.results == [result]
        metrics.close()
