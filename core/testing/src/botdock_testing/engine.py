"""What every engine must do, as tests that a third party runs against its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

pytest.register_assert_rewrite(
    "botdock_testing._engine_life",
    "botdock_testing._engine_logs",
    "botdock_testing._engine_machine",
    "botdock_testing._engine_support",
)

from botdock.model import (  # noqa: E402 - the tests below must be imported after pytest has been told of them
    ContainerHandle,
    Engine,
    EngineCapabilities,
    new_execution_id,
)
from botdock_testing._engine_life import EndingTests, LifeTests  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._engine_logs import DeliveryTests, LogTests  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._engine_machine import EngineMachine, Known  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._engine_support import (  # noqa: E402 - after their assertions are to be rewritten
    ANNOTATION,
    CALL,
    LONG_TEXT,
    OWNER,
    Asked,
    MakeSpec,
    asked,
    replaced,
)
from botdock_testing._kept import Contract  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing.program import Program  # noqa: E402 - after their assertions are to be rewritten

__all__ = ["Asked", "EngineContract", "EngineMachine", "Known", "MakeSpec", "Program", "asked", "replaced"]

PROGRAM_TARGET = "/botdock/program"
RESULT_TARGET = "/botdock/result"
EVERYBODY_READS = 0o755
EVERYBODY_WRITES = 0o666


class EngineContract(EndingTests, LifeTests, LogTests, DeliveryTests, Contract, contract=True):
    """Holds an engine to every sentence of `Engine` and `LogStream`.

    A subclass has one fixture to write, `engine`; `reopened`, `image`, `absent_image` and `basic_environment` say
    what is particular about it. A test that the declared capabilities rule out is skipped by name; one that does not
    hold can be overridden only by one that is marked `xfail` with a reason.

    Example:
        ```python
        class TestPodmanEngine(EngineContract):
            @pytest.fixture
            def engine(self):
                engine = PodmanEngine()
                yield engine
                engine.close()

            @pytest.fixture
            def image(self):
                return "busybox:1.36"
        ```

    Attributes:
        machine: The state machine that walks; a subclass of it may know more rules.
        examples: Walks that it makes; 0 for none.
        steps: Steps of each of these walks; some of them are a container.
    """

    machine: ClassVar[type[EngineMachine]] = EngineMachine
    examples: ClassVar[int] = 2
    steps: ClassVar[int] = 12

    BASIC_ENVIRONMENT = frozenset(
        {"HOME", "HOSTNAME", "LANG", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHLVL", "TMPDIR", "USER", "_"}
    )
    """Names that most engines and shells give to a bot beside its own variables."""

    @pytest.fixture
    def capabilities(self, engine: Engine) -> EngineCapabilities:
        """Return what the engine says of itself."""
        return engine.capabilities()

    @pytest.fixture
    def reopened(self) -> Engine:
        """Return a second engine over the same containers, as the successor of a dead runner opens it."""
        pytest.skip("the fixture `reopened` gives no second engine over the same containers")

    @pytest.fixture
    def image(self) -> str:
        """Return an image that is there, with `/bin/sh`, `cat`, `env`, `sleep`; engines without images ignore it."""
        return "botdock-contract"

    @pytest.fixture
    def absent_image(self) -> str | None:
        """Return the reference of an image that is not there; None for an engine without images."""
        return None

    @pytest.fixture
    def basic_environment(self) -> frozenset[str]:
        """Return the names that a bot may see beside those it was given: of the image, the engine and the shell."""
        return self.BASIC_ENVIRONMENT

    @pytest.fixture
    def workspaces(self, engine: Engine, tmp_path: Path) -> Iterator[_Workspaces]:
        """Return where specs come from; afterwards remove all containers that were made of them."""
        workspaces = _Workspaces(root=tmp_path, private=engine.capabilities().private_filesystem)
        yield workspaces
        for info in engine.list({OWNER: workspaces.owner}, timeout=CALL):
            engine.remove(ContainerHandle(id=info.container_id), timeout=CALL)

    @pytest.fixture
    def make_spec(self, engine: Engine, workspaces: _Workspaces, image: str) -> MakeSpec:
        """Return a function from a `Program` to what a container that runs it is made from; keywords replace fields."""

        def make(program: Program = Program(), /, **overrides: Any) -> Asked:  # noqa: B008 - it is frozen
            spec = workspaces.spec(program, image=image, **overrides)
            self.prepare(engine, spec, program)
            return spec

        return make

    def test_it_behaves_like_its_model(self, engine: Engine, make_spec: MakeSpec) -> None:
        if not self.examples:
            pytest.skip("`examples` is 0: no walk is made")
        run_state_machine_as_test(
            lambda: self.machine(engine, make_spec),  # type: ignore[arg-type]  # a class is called, no more
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=self.steps,
                deadline=None,
                phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each step of shrinking would be containers
                suppress_health_check=list(HealthCheck),
            ),
        )

    def prepare(self, engine: Engine, spec: Asked, program: Program) -> None:
        """Do what an engine that runs no shell needs, so that `spec` will do what `program` says; most need nothing."""


@attrs.define(kw_only=True)
class _Workspaces:
    root: Path
    private: bool
    owner: str = attrs.field(factory=new_execution_id)

    def spec(self, program: Program, *, image: str, selectors: dict[str, str] | None = None, **overrides: Any) -> Asked:
        name = new_execution_id()
        folder = self.root / name
        seen = (PROGRAM_TARGET, RESULT_TARGET) if self.private else (str(folder / "program"), str(folder / "result"))
        asked_for = asked(
            folder,
            image=image,
            command=program.command(*seen),
            program=str(folder / "program"),
            name=f"botdock-{name}",
            selectors={**(selectors or {}), OWNER: self.owner},
            annotations={ANNOTATION: LONG_TEXT},
            code=str(folder / "code"),
            context=str(folder / "context"),
            result=str(folder / "result"),
        )
        _make_workspace(folder, program)
        return replaced(asked_for, **overrides)


def _make_workspace(folder: Path, program: Program) -> None:
    for place in (folder, *(folder / name for name in ("code", "program", "context"))):
        place.mkdir(mode=EVERYBODY_READS)
        place.chmod(EVERYBODY_READS)  # whatever the umask is: the bot is another user
    program.write(folder / "program", folder / "context")
    (folder / "result").touch()
    (folder / "result").chmod(EVERYBODY_WRITES)
