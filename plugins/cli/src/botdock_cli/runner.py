"""What the command line needs of the facade; the one place that opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from botdock.config import Config
    from botdock.model import Executable, ExecutionResult, LogChunk, Progress
    from botdock.orchestrator.upkeep import Leftover


class Execution(Protocol):
    """One run that has started; `botdock.Execution` is one."""

    @property
    def execution_id(self) -> str:
        """Its id."""
        ...

    @property
    def result(self) -> ExecutionResult:
        """What is known of it so far."""
        ...

    def stream(self) -> Iterator[LogChunk]:
        """Yield what the bot writes, until its end."""
        ...

    def wait(self, timeout: float | None = None) -> ExecutionResult | None:
        """Wait for the end."""
        ...

    def stop(self, grace: float | None = None) -> object:
        """Ask it to end."""
        ...

    def kill(self) -> object:
        """End it."""
        ...


class Runner(Protocol):
    """Starts executions; `botdock.DockerRunner` does."""

    def start(self, executable: Executable, *, progress: Callable[[Progress], None] | None = None) -> Execution:
        """Start one."""
        ...

    def recover(self) -> Sequence[Execution]:
        """Take over those whose runner has died."""
        ...

    def leftovers(self) -> Sequence[Leftover]:
        """Say what `recover` would do."""
        ...

    def __enter__(self) -> Self:
        """Return itself."""
        ...

    def __exit__(self, *exc_info: object) -> None:
        """Close it."""
        ...


def open_runner(config: Config) -> Runner:
    """Return the facade, set up by `config`."""
    from botdock.docker_runner import DockerRunner

    return DockerRunner(config)
