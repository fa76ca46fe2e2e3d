"""Whatever dies, hangs or lies, and in whatever order: what botdock promises of an execution holds after every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from botdock_testing.faults import OPERATIONS, Fault, FaultKind
from botdock_testing.script import Script
from faults.mortal_runner import MortalRunner
from faults.runner_world import RunnerWorld
from testbed.drills import threaded_machine

T = TypeVar("T")
LINES = st.lists(st.sampled_from([Script.out(b"line\n"), Script.out(b"\x00\xff" * 9), Script.err(b"oops")]), max_size=4)
SCRIPTS = st.one_of(
    st.builds(lambda lines, code: Script(output=tuple(lines), exit_code=code), LINES, st.sampled_from([0, 0, 1, 7])),
    st.builds(lambda lines: Script(output=tuple(lines), forever=True), LINES),
    st.builds(lambda lines: Script(output=tuple(lines), forever=True, ignores_term=True), LINES),
    st.builds(lambda lines: Script(output=tuple(lines), forever=True, farewell=b"bye\n"), LINES),
    st.builds(lambda lines: Script(output=(*lines, 0.02), exit_code=0), LINES),
    st.just(Script(start_error="no such program")),
)
HITS = st.sampled_from(["any", *(name for name in OPERATIONS if name not in {"capabilities", "close", "ensure_image"})])
FAULTS = st.one_of(
    st.builds(
        lambda operation, kind, after, times: Fault(operation=operation, kind=kind, after=after, times=times),
        HITS,
        st.sampled_from([FaultKind.FAIL, FaultKind.FAIL_AFTER, FaultKind.RESTART, FaultKind.END_ALL, FaultKind.SLOW]),
        st.integers(0, 2),
        st.integers(1, 2),
    ),
    st.builds(
        lambda operation, kind, after: Fault(operation=operation, kind=kind, after=after),
        st.sampled_from(["create", "attach", "start", "wait", "stop", "fetch_result", "remove"]),
        st.sampled_from([FaultKind.KILL, FaultKind.OOM, FaultKind.VANISH]),
        st.integers(0, 2),
    ),
    st.builds(lambda size: Fault(operation="stream", kind=FaultKind.CUT, size=size), st.integers(0, 60)),
    st.builds(lambda size: Fault(operation="events", kind=FaultKind.LOSE, size=size), st.integers(1, 3)),
)


WHICH = st.integers(0, 5)
TIMEOUTS = st.sampled_from([None, None, 0.05])
MOST_RUNNERS = 2


def pick(things: Sequence[T], which: int) -> list[T]:
    """Return one of them, if there is any."""
    return [things[which % len(things)]] if things else []


class RunnerMachine(RuleBasedStateMachine):
    """Bots; runners and supervisors that die at any step and are followed; an engine that fails; stops."""

    world: RunnerWorld | None = None

    @initialize(has_events=st.booleans(), has_fileno=st.booleans())
    def begin(self, has_events: bool, has_fileno: bool) -> None:
        self.world = RunnerWorld(has_events=has_events, has_fileno=has_fileno)

    @property
    def there(self) -> RunnerWorld:
        assert self.world is not None
        return self.world

    @rule(recovers=st.booleans(), dies_after=st.none() | st.integers(0, 30))
    def another_runner(self, recovers: bool, dies_after: int | None) -> None:
        if len(self.there.runners) < MOST_RUNNERS:
            self.there.add_runner(recovers=recovers, dies_after=dies_after)

    @rule(which=WHICH, script=SCRIPTS, timeout=TIMEOUTS, faults=st.lists(FAULTS, max_size=2))
    def start(self, which: int, script: Script, timeout: float | None, faults: list[Fault]) -> None:
        runner = self.a_runner(which)
        for fault in faults:
            self.there.break_something(runner, fault)
        self.there.start(runner, script, timeout)

    @rule(which=WHICH, script=SCRIPTS, timeout=TIMEOUTS, after=st.integers(0, 60))
    def start_and_die(self, which: int, script: Script, timeout: float | None, after: int) -> None:
        runner = self.a_runner(which)
        runner.gate.die_after(after)
        self.there.start(runner, script, timeout)

    def a_runner(self, which: int) -> MortalRunner:
        runners = self.there.runners or [self.there.add_runner(recovers=which % 2 == 0)]
        return runners[which % len(runners)]

    @rule(script=SCRIPTS, timeout=TIMEOUTS, supervised=st.booleans(), dies_after=st.none() | st.integers(0, 80))
    def submit(self, script: Script, timeout: float | None, supervised: bool, dies_after: int | None) -> None:
        self.there.submit(script, timeout)
        if supervised:
            self.there.supervise(dies_after)

    @rule(dies_after=st.none() | st.integers(0, 80))
    def supervise(self, dies_after: int | None) -> None:
        self.there.supervise(dies_after)

    @rule(which=WHICH, after=st.integers(0, 20))
    def a_runner_will_be_killed(self, which: int, after: int) -> None:
        for runner in pick(self.there.living, which):
            runner.gate.die_after(after)

    @rule(which=WHICH)
    def kill_a_runner(self, which: int) -> None:
        for runner in pick(self.there.living, which):
            runner.die()

    @rule(which=WHICH, stop=st.booleans())
    def close_a_runner(self, which: int, stop: bool) -> None:
        for runner in pick(self.there.living, which):
            self.there.close(runner, stop=stop)

    @rule(which=WHICH)
    def recover(self, which: int) -> None:
        for runner in pick(self.there.runners, which):
            self.there.recover(runner)

    @rule(which=WHICH, fault=FAULTS)
    def something_goes_wrong(self, which: int, fault: Fault) -> None:
        for runner in pick(self.there.living, which):
            self.there.break_something(runner, fault)

    @rule(which=WHICH, grace=st.sampled_from([0.0, 0.01]), by_file=st.booleans())
    def stop(self, which: int, grace: float, by_file: bool) -> None:
        for bot in pick(list(self.there.bots.values()), which):
            self.there.stop(bot, grace, by_file=by_file)

    @rule(which=WHICH, code=st.sampled_from([0, 3]))
    def a_bot_ends(self, which: int, code: int) -> None:
        for container in pick(self.there.running(), which):
            self.there.end(container, code)

    @rule(which=WHICH, text=st.binary(min_size=1, max_size=9))
    def a_bot_writes(self, which: int, text: bytes) -> None:
        for container in pick(self.there.running(), which):
            self.there.write(container, text)

    @rule(which=WHICH, how=st.sampled_from(["kill", "oom", "vanish"]))
    def behind_our_back(self, which: int, how: str) -> None:
        for container in pick(self.there.running(), which):
            self.there.harm(container, how)

    @rule(ends=st.booleans())
    def the_engine_restarts(self, ends: bool) -> None:
        self.there.restart(containers_end=ends)

    @rule(seconds=st.sampled_from([0.005, 0.02, 0.06]))
    def time_passes(self, seconds: float) -> None:
        self.there.pass_time(seconds)

    @invariant()
    def promises_hold(self) -> None:
        if self.world:
            self.world.check()

    def teardown(self) -> None:
        if self.world:
            try:
                self.world.bring_to_an_end()
            finally:
                self.world.bury()


TestRunnerMachine = RunnerMachine.TestCase
TestRunnerMachine.settings = threaded_machine(300, 8, steps=20)
