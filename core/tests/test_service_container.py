"""Policy, patience and counts above an engine."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from botdock.config import ContainersConfig
from botdock.errors import CapabilityError, ContainerError, ContainerNotFoundError, EngineUnavailableError
from botdock.model import (
    ContainerHandle,
    ContainerState,
    EngineCapabilities,
    Feature,
    LogCursor,
)
from botdock.services.container import STARTS_AT_ONCE, ContainerService
from botdock_testing.engine import Asked, asked
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script

PATIENT = ContainersConfig(call_timeout=5, retries=2)


def service(engine: FakeEngine, **options: object) -> ContainerService:
    home = Path("/nonexistent")  # nothing is pulled here
    return ContainerService(engine, PATIENT, home=home, **options)  # type: ignore[arg-type] # test options


def spec(tmp_path: Path, name: str = "botdock-1") -> Asked:
    return asked(tmp_path, name=name, selectors={"a": "1"})


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botdock.services.container.RETRY_PAUSE", 0.0)


def test_a_container_goes_through_its_life(tmp_path: Path) -> None:
    containers = service(FakeEngine(Script(output=(Script.out(b"a\nb\nc\n"),), exit_code=4, result=b"{}")))
    container = containers.create_container(*spec(tmp_path))
    with containers.attach(container):
        containers.start_container(container)
        status = containers.wait(container, timeout=10)
    assert status is not None
    assert (status.state, status.exit_code) == (ContainerState.EXITED, 4)
    assert containers.get_container_status(container).exit_code == 4
    assert [info.container_id for info in containers.list_containers({"a": "1"})] == [container.id]
    assert containers.get_container_logs(container, tail=2) == "b\nc"
    assert containers.get_container_logs(container, tail=0) == ""
    assert containers.fetch_result(container, limit=10) == b"{}"
    containers.remove_container(container)
    with pytest.raises(ContainerNotFoundError):
        containers.get_container_status(container)
    containers.close()


def test_stop_ends_what_runs(tmp_path: Path) -> None:
    containers = service(FakeEngine(Script(forever=True)))
    container = containers.create_container(*spec(tmp_path))
    containers.start_container(container)
    assert containers.wait(container, timeout=0.01) is None
    containers.stop_container(container, grace=1)
    assert containers.wait(container, timeout=5) is not None


def test_what_changes_nothing_is_tried_again() -> None:
    engine = FakeEngine()
    engine.fail("list", EngineUnavailableError("away"), times=2)
    assert list(service(engine).list_containers({})) == []
    assert engine.operations.count("list") == 3


def test_what_stays_away_is_reported() -> None:
    engine = FakeEngine()
    engine.fail("list", EngineUnavailableError("away"), times=None)
    with pytest.raises(EngineUnavailableError, match="away"):
        service(engine).list_containers({})
    assert engine.operations.count("list") == 3


def test_what_changes_something_is_not_tried_again(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.fail("create", EngineUnavailableError("away"))
    with pytest.raises(EngineUnavailableError):
        service(engine).create_container(*spec(tmp_path))
    assert engine.operations.count("create") == 1


def test_a_foreign_exception_of_an_engine_becomes_a_container_error() -> None:
    engine = FakeEngine()
    engine.fail("inspect", KeyError("oops"))
    with pytest.raises(ContainerError, match=r"FakeEngine.inspect failed: KeyError"):
        service(engine).get_container_status(ContainerHandle(id="x"))


def test_every_call_is_recorded_with_its_success() -> None:
    engine = FakeEngine()
    engine.fail("fetch_result", ContainerError("no"))
    seen: list[tuple[str, bool]] = []
    containers = service(engine, on_operation=lambda name, _seconds, success: seen.append((name, success)))
    containers.list_containers({})
    with pytest.raises(ContainerError):
        containers.fetch_result(ContainerHandle(id="x"), limit=1)
    assert seen == [("list", True), ("fetch_result", False)]


def test_capabilities_are_asked_once() -> None:
    engine = FakeEngine()
    containers = service(engine)
    assert containers.capabilities.engine == containers.capabilities.engine == "fake"
    assert engine.operations.count("capabilities") == 1


LACKING = EngineCapabilities(
    engine="weak", enforced=frozenset(Feature) - {Feature.SWAP}, missing={Feature.SWAP: "boot with swapaccount=1"}
)


def test_an_engine_that_cannot_enforce_the_policy_is_refused_with_its_reason(tmp_path: Path) -> None:
    engine = FakeEngine(capabilities=LACKING)
    with pytest.raises(CapabilityError, match="swapaccount") as caught:
        service(engine).create_container(*spec(tmp_path))
    assert caught.value.missing == {"swap": "boot with swapaccount=1"}
    assert "create" not in engine.operations


def test_an_operator_can_accept_what_is_not_enforced(tmp_path: Path) -> None:
    containers = service(FakeEngine(capabilities=LACKING), unenforced=("swap",))
    assert containers.create_container(*spec(tmp_path))


def test_an_engine_without_isolation_was_named_and_so_is_not_refused() -> None:
    open_air = attrs.evolve(LACKING, private_filesystem=False, enforced=frozenset())
    service(FakeEngine(capabilities=open_air)).check_enforcement()


def test_read_logs_continues_from_a_cursor(tmp_path: Path) -> None:
    containers = service(FakeEngine(Script(output=(Script.out(b"abcdef"),))))
    container = containers.create_container(*spec(tmp_path))
    containers.start_container(container)
    containers.wait(container, timeout=5)
    with containers.read_logs(container, LogCursor(stdout=4), follow=False) as stream:
        assert b"".join(chunk.data for chunk in stream.read(5)) == b"ef"


def test_of_many_starts_a_few_are_made_at_once_so_that_each_has_its_timeout_for_itself() -> None:
    changed, now, most = threading.Condition(), 0, 0

    class Counting(FakeEngine):
        def start(self, container: ContainerHandle, *, timeout: float) -> None:
            nonlocal now, most
            with changed:
                now, most = now + 1, max(most, now + 1)
                changed.notify_all()
                assert changed.wait_for(lambda: most >= STARTS_AT_ONCE, 30)
            super().start(container, timeout=timeout)
            with changed:
                now -= 1

    containers = service(Counting())
    made = [containers.create_container(*asked(name=f"botdock-{number}")) for number in range(3 * STARTS_AT_ONCE)]
    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(containers.start_container, made))
    assert most == STARTS_AT_ONCE
