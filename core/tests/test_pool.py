"""Containers that wait: each is given out once, as it should be, or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.config import PoolConfig
from botdock.errors import ContainerError
from botdock.executions._lease import Lease
from botdock.model import DEFAULT_LIMITS, ContainerRun, ContainerTemplate
from botdock.pool import Kind, Member, Pool, _kind, _member, _pool, left_by_the_dead, read_reports, sweep
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.fake_services import FakeContainers, FakeMetrics
from botdock_testing.script import Script
from testbed.waiting import until

NAME = "shell bot"
PATIENCE = 20.0


class Programs:
    """What runs in the containers: each opens the FIFO of its context, and reads until that ends."""

    def __init__(self) -> None:
        self.reads = True
        self._over = threading.Event()

    def __call__(self, _template: ContainerTemplate, run: ContainerRun) -> Script:
        threading.Thread(target=self._wait, args=(Path(run.context, "ready"),), daemon=True).start()
        return Script(forever=True)

    def _wait(self, fifo: Path) -> None:
        with suppress(FileNotFoundError), fifo.open("rb") as opened:
            if self.reads:
                opened.read()
            else:
                self._over.wait()

    def close(self) -> None:
        self._over.set()


@attrs.define(kw_only=True)
class Scene:
    engine: FakeEngine
    programs: Programs
    metrics: FakeMetrics
    template: ContainerTemplate
    home: Path
    lease: Lease
    made: list[Pool] = attrs.field(factory=list)

    def pool(self, count: int = 1, **settings: Any) -> Pool:
        """Return a pool that keeps so many waiting, once they do."""
        pool = Pool(
            FakeContainers(self.engine),
            PoolConfig(**{"rate": 1000, **settings}),
            home=self.home,
            owner="me",
            runner=self.lease.hold(),
            record=self.metrics.record,
        )
        self.made.append(pool)
        pool.keep([Kind(name=NAME, count=count, make=lambda: self.template)])
        pool.wait(PATIENCE)
        return pool

    @property
    def containers(self) -> list[str]:
        return [info.container_id for info in self.engine.list({}, timeout=1)]

    def die(self) -> None:
        """Let go of the lease as the death of the process does."""
        self.lease.forked()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(_pool, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(_kind, "FIRST_PAUSE", 0.001)
    programs = Programs()
    template = ContainerTemplate(
        image="shell:1",
        command=("/bin/sh", "/botdock/program/entrypoint.sh"),
        program=str(tmp_path),
        program_digest="0" * 64,
        program_target="/botdock/program",
        code_target="/bot",
        context_target="/botdock/context",
        result_target="/botdock/result",
        limits=DEFAULT_LIMITS,
    )
    scene = Scene(
        engine=FakeEngine(programs, keeps_waiting=True),
        programs=programs,
        metrics=FakeMetrics(),
        template=template,
        home=tmp_path,
        lease=Lease(tmp_path),
    )
    yield scene
    programs.close()
    for pool in scene.made:
        pool.close(PATIENCE)
    scene.lease.give_up()


def ask(pool: Pool, template: ContainerTemplate) -> Member | str:
    return pool.claim(template, NAME, lambda _: True)


def claimed(pool: Pool, template: ContainerTemplate) -> Member:
    found = ask(pool, template)
    assert isinstance(found, Member), found
    return found


def test_one_that_waits_is_given_out_once_and_another_takes_its_place(scene: Scene) -> None:
    pool = scene.pool(2)
    members = [claimed(pool, scene.template) for _ in range(2)]
    assert {member.container.id for member in members} == set(scene.containers[:2])
    pool.wait(PATIENCE)
    (kind,) = pool.report().kinds
    assert (kind.name, kind.count, kind.waiting, kind.hits) == (NAME, 2, 2, 2)
    assert len(kind.refill_seconds) == 4
    assert claimed(pool, scene.template) not in members
    assert ("pool.hit", (("runtime", "shell"),)) in scene.metrics.recorded
    for member in members:
        member.discard(FakeContainers(scene.engine))


def test_a_run_of_another_template_gets_none(scene: Scene) -> None:
    pool = scene.pool()
    for other in (
        attrs.evolve(scene.template, network="bridge"),
        attrs.evolve(scene.template, image="shell:2"),
        attrs.evolve(scene.template, limits=attrs.evolve(DEFAULT_LIMITS, memory=64 * 1024 * 1024)),
    ):
        assert ask(pool, other) == "template"
    assert (pool.report().misses, pool.report().kinds[0].waiting) == ({"template": 3}, 1)


@pytest.mark.parametrize("harm", ["died", "tampered", "written", "stranger"])
def test_one_that_is_not_as_it_was_is_not_given_out(scene: Scene, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = scene.pool()
    monkeypatch.setattr(_pool, "LOOK_EVERY", 600)
    (before,) = scene.containers
    (folder,) = (scene.home / "pool").glob("*/*/")
    match harm:
        case "died":
            scene.engine.finish(before)
        case "tampered":
            (folder / "code/main.sh").write_text("echo another's\n")
        case "written":
            scene.engine.emit(before, b"early\n")
        case "stranger":
            (folder / "context/context.json").write_text("{}")
    found = ask(pool, scene.template)
    assert found == "empty" or (isinstance(found, Member) and found.container.id != before)
    pool.wait(PATIENCE)
    until(lambda: before not in scene.containers)
    assert sum(pool.report().kinds[0].discarded.values()) == 1


def test_one_that_no_longer_reads_is_not_given_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_member, "_PATIENCE", 0.01)
    scene.programs.reads = False
    pool = scene.pool(2)
    monkeypatch.setattr(_pool, "LOOK_EVERY", 600)
    assert ask(pool, scene.template) == "hung", "the next may hang as well: the run does not wait for each"
    (kind,) = pool.report().kinds
    assert (kind.discarded, kind.misses, kind.hits) == ({"hung": 1}, {"hung": 1}, 0)


def test_code_that_is_too_much_is_a_miss_and_spoils_the_one_that_it_was_put_into(scene: Scene) -> None:
    pool = scene.pool()
    (before,) = scene.containers
    assert pool.claim(scene.template, NAME, lambda _: False) == "code"
    until(lambda: before not in scene.containers)
    pool.wait(PATIENCE)
    claimed(pool, scene.template).discard(FakeContainers(scene.engine))


def test_one_that_has_waited_long_is_replaced(scene: Scene) -> None:
    pool = scene.pool(max_age=0.05)
    (first,) = scene.containers or [""]
    until(lambda: first not in scene.containers)
    assert pool.report().kinds[0].discarded["old"] >= 1


def test_after_failures_in_a_row_it_is_given_up_with_the_reason(scene: Scene) -> None:
    scene.engine.fail("start", ContainerError("no room"), times=None)
    pool = scene.pool()
    (kind,) = pool.report().kinds
    assert (kind.given_up, kind.error, kind.waiting) == (True, "no room", 0)
    assert not [*scene.containers, *(scene.home / "pool").glob("*/*/")]
    scene.engine.faults.clear("start")
    pool.keep([Kind(name=NAME, count=1, make=lambda: scene.template)])
    assert pool.wait(PATIENCE).kinds[0].waiting == 1, "asked again, it tries again"


def test_the_memory_of_all_is_bounded(scene: Scene) -> None:
    assert scene.pool(5, max_memory=2 * (DEFAULT_LIMITS.memory or 0)).report().kinds[0].waiting == 2


def test_what_was_asked_for_is_learned_and_the_oldest_forgotten(scene: Scene) -> None:
    pool = scene.pool(0, learn=1)
    others = [attrs.evolve(scene.template, network=name) for name in ("one", "two")]
    for other in [*others, others[0]]:
        assert ask(pool, other) == "template"
        until(lambda: pool.report().kinds[-1].waiting == 1)
    claimed(pool, others[0]).discard(FakeContainers(scene.engine))
    until(lambda: len(scene.containers) == 1)


def test_those_of_another_image_are_replaced_once_a_name_means_it(scene: Scene) -> None:
    pool = scene.pool(2)
    claimed(pool, scene.template)
    scene.template = attrs.evolve(scene.template, image="shell:2")
    claimed(pool, before_template := attrs.evolve(scene.template, image="shell:1"))
    pool.wait(PATIENCE)
    assert ask(pool, before_template) == "template"
    assert claimed(pool, scene.template).digest == scene.template.digest


@pytest.mark.parametrize("first", [False, True])
def test_an_engine_that_cannot_keep_any_is_not_tried_again(scene: Scene, monkeypatch: Any, *, first: bool) -> None:
    monkeypatch.setattr(FakeContainers, "prepare_pool", lambda *_, says=[False, first].pop: says())
    (kind,) = scene.pool().report().kinds
    assert kind.given_up
    assert "keeps none waiting" in kind.error


def test_asking_again_keeps_those_that_wait_and_removes_those_that_are_too_many(scene: Scene) -> None:
    pool = scene.pool(3)
    before = scene.containers
    pool.keep([Kind(name=NAME, count=2, make=lambda: scene.template)])
    until(lambda: len(scene.containers) == 2)
    assert set(scene.containers) < set(before)
    assert [(kind.count, kind.waiting) for kind in pool.wait(PATIENCE).kinds] == [(2, 2)]
    pool.keep([])
    until(lambda: scene.containers == [])


def test_closing_removes_those_that_wait_and_what_was_used_goes_at_once_from_then_on(scene: Scene) -> None:
    pool = scene.pool(3)
    used = claimed(pool, scene.template)
    pool.close(PATIENCE)
    assert scene.containers == [used.container.id]
    pool.dispose(used)
    assert scene.containers == []
    assert not list((scene.home / "pool").glob("*/*"))


def test_other_processes_read_how_it_stands_while_its_runner_lives(scene: Scene) -> None:
    pool = scene.pool(2)
    until(lambda: [one.kinds[0].waiting for one in read_reports(scene.home)] == [2])
    assert read_reports(scene.home)[0].runner == pool.report().runner
    scene.die()
    assert read_reports(scene.home) == []


def test_those_of_a_dead_runner_are_swept_but_for_what_became_an_execution(scene: Scene) -> None:
    pool = scene.pool(3)
    members = [claimed(pool, scene.template) for _ in range(2)]
    under_way, over = "01jd9pz7p0k0v6r3h2m4n5q8st", "01jd9pz7p0k0v6r3h2m4n5q8sv"
    for member, execution_id in zip(members, (under_way, over), strict=True):
        member.mark(execution_id)
        (scene.home / "executions" / execution_id).mkdir(parents=True)
    (scene.home / "executions" / over / "outcome.json").write_text("{}")
    assert list(left_by_the_dead(scene.home)) == []
    pool._closed = True
    pool._keeper.join(PATIENCE)
    pool._starters.close(PATIENCE)
    scene.die()
    listed = scene.engine.list({}, timeout=1)
    sweep(scene.home, listed, FakeContainers(scene.engine))
    assert scene.containers == [members[0].container.id]
    assert [path.name for path in (scene.home / "pool").glob("*/*/")] == [members[0].files.root.name]
    members[0].discard(FakeContainers(scene.engine))
    sweep(scene.home, [], FakeContainers(scene.engine))
    assert list((scene.home / "pool").iterdir()) == []


def test_a_forked_child_keeps_no_fifo_open(scene: Scene) -> None:
    member = claimed(scene.pool(), scene.template)
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        os._exit(0 if member.fifo is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert member.fifo is not None
    member.discard(FakeContainers(scene.engine))
