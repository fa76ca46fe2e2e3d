"""Drives an engine beside a model of its containers; they must agree after every step."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from botdock.model import ContainerHandle, ContainerState, Engine, Stream
from botdock_testing._engine_support import CALL, OWNER, MakeSpec, assert_same, ended, read_logs, read_until
from botdock_testing.program import FAREWELL_EXIT_CODE, Program

READY = b"ready\n"
KILLED = 128 + 9
"""The exit code of a program that SIGKILL ended, as shells and Docker have it."""
PROGRAMS = (
    Program(stdout=b"done\n", exit_code=7),
    Program(stdout=READY, forever=True, farewell=b"bye\n"),
    Program(stdout=READY, forever=True, ignores_term=True),
)


@attrs.define
class Known:
    """A container of the model.

    Attributes:
        handle: What names it.
        program: What it does once it is started.
        state: Where it is in its life.
        exit_code: What it has ended with; None while it has not.
        stdout: All that it has written there.
    """

    handle: ContainerHandle
    program: Program
    state: ContainerState = ContainerState.CREATED
    exit_code: int | None = None
    stdout: bytes = b""


class EngineMachine(RuleBasedStateMachine):
    """Creates, starts, stops, reads and removes containers at random; an author adds rules in a subclass.

    Example:
        ```python
        class Podman(EngineMachine):
            @rule(known=EngineMachine.containers)
            def pause_and_go_on(self, known):
                self.engine.pause(known.handle)


        class TestPodmanEngine(EngineContract):
            machine = Podman
        ```

    Attributes:
        engine: The engine.
        known: The containers that there are, by their id.
    """

    containers = Bundle("containers")

    def __init__(self, engine: Engine, make_spec: MakeSpec) -> None:
        super().__init__()
        self.engine = engine
        self.known: dict[str, Known] = {}
        self._make_spec = make_spec
        self._owner = ""

    @rule(target=containers, program=st.sampled_from(PROGRAMS))
    def create(self, program: Program) -> Known:
        """Make a container that will run `program`."""
        spec = self._make_spec(program)
        self._owner = spec.run.selectors[OWNER]
        known = Known(self.engine.create(*spec, timeout=CALL), program)
        self.known[known.handle.id] = known
        return known

    @rule(known=containers)
    def start(self, known: Known) -> None:
        """Start it, and read what it writes."""
        if known.state is not ContainerState.CREATED:
            return
        with self.engine.attach(known.handle, timeout=CALL) as stream:
            self.engine.start(known.handle, timeout=CALL)
            seen = read_until(stream, lambda seen: len(seen[Stream.STDOUT]) >= len(known.program.stdout))
        assert_same(seen[Stream.STDOUT], known.program.stdout)
        known.state, known.stdout = ContainerState.RUNNING, known.program.stdout
        if not known.program.forever:
            self._ended(known, known.program.exit_code)

    @rule(known=containers, grace=st.sampled_from((0.0, 20.0)))
    def stop(self, known: Known, grace: float) -> None:
        """Stop one that was started, with so many seconds for its farewell."""
        if known.state is ContainerState.CREATED:
            return
        heeds = known.program.farewell is not None and grace > 0
        self.engine.stop(known.handle, grace=grace if heeds else 0.0, timeout=CALL)
        if known.state is ContainerState.RUNNING:
            known.stdout += (known.program.farewell or b"") if heeds else b""
            self._ended(known, FAREWELL_EXIT_CODE if heeds else KILLED)

    @rule(known=containers)
    def look(self, known: Known) -> None:
        """Inspect it."""
        status = self.engine.inspect(known.handle, timeout=CALL)
        assert (status.state, status.exit_code) == (known.state, known.exit_code)

    @rule(known=containers)
    def wait(self, known: Known) -> None:
        """Wait for one that still runs, no time at all."""
        if known.state is ContainerState.RUNNING:
            assert self.engine.wait(known.handle, timeout=0.0) is None, "it still runs"

    @rule(known=containers)
    def read(self, known: Known) -> None:
        """Read its log as it stands."""
        if known.state is not ContainerState.CREATED:
            assert_same(read_logs(self.engine, known.handle)[Stream.STDOUT], known.stdout)

    @rule(known=consumes(containers))
    def remove(self, known: Known) -> None:
        """Remove it, running or not."""
        self.engine.remove(known.handle, timeout=CALL)
        del self.known[known.handle.id]

    @invariant()
    def all_are_listed(self) -> None:
        """Whatever was done, `list` names those that there are."""
        if self._owner:
            listed = {info.container_id for info in self.engine.list({OWNER: self._owner}, timeout=CALL)}
            assert listed == set(self.known)

    def teardown(self) -> None:
        """Remove what there is."""
        for known in self.known.values():
            self.engine.remove(known.handle, timeout=CALL)

    def _ended(self, known: Known, exit_code: int) -> None:
        known.state, known.exit_code = ContainerState.EXITED, exit_code
        assert ended(self.engine, known.handle).exit_code == exit_code
