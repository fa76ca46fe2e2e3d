"""The runner under its old name, with the methods that callers of the old runner know."""

from __future__ import annotations

from collections.abc import Sequence

from botdock.errors import ContainerNotFoundError, UserError
from botdock.model import ContainerInfo, ContainerStatus, Executable, ExecutionResult
from botdock.model.container import LABEL_OWNER, LABEL_SEGMENT, ContainerHandle, segment_selector
from botdock.orchestrator.strays import without_waiting
from botdock.runner import Runner
from botdock.services.log_store import StoredLog

__all__ = ["DockerRunner"]


class DockerRunner(Runner):
    """A `Runner`, on any engine, that can be called as the old runner was, too.

    Example:
        ```python
        from botdock import DockerRunner, Executable

        with DockerRunner() as runner:
            result = runner.start_container(Executable(id="hello", file_path="examples/hello-python"))
            print(result.status, result.exit_code)
        ```
    """

    def start_container(self, executable: Executable) -> ExecutionResult:
        """Run an executable: return its result or, when it is long-running, at once, with the status `running`."""
        return self._orchestrator.execute_bot(executable)

    def stop_container(self, container_id: str, executable: Executable | None = None) -> None:  # noqa: ARG002 - the old runner's signature
        """Stop the execution of that container id or execution id, within the configured grace period."""
        self._orchestrator.stop_execution(container_id)

    def get_container_status(self, container_id: str) -> ContainerStatus:
        """Return what the engine knows of a container.

        Raises:
            ContainerNotFoundError: It knows no such container; one that has ended is gone.
        """
        execution = self._orchestrator.find(container_id)
        known = execution.container_id if execution else container_id
        return self._orchestrator.containers.get_container_status(ContainerHandle(id=known))

    def list_managed_containers(self, segment: int | None = None) -> Sequence[ContainerInfo]:
        """Return the containers of this state folder, of one segment or of all."""
        containers = self._orchestrator.containers.list_containers({LABEL_OWNER: self._factory.owner})
        wanted = {} if segment is None else {LABEL_SEGMENT: segment_selector(segment)}
        shown = without_waiting(self.config.home_dir, containers)
        return [info for info in shown if wanted.items() <= info.labels.items()]

    def get_container_logs(self, container_id: str, tail: int = 100) -> str:
        """Return the last `tail` lines that a bot wrote, both streams: while it runs, and after its container is gone.

        Where bytes are missing, a line in square brackets says so.

        Args:
            container_id: The id of its container or of its execution, a prefix of that, or the bot's own id, which
                means its newest execution.
            tail: How many lines.

        Raises:
            UserError: It is neither an execution nor a container that is known.
            LogError: Its log cannot be read.

        Example:
            ```python
            from botdock import DockerRunner, Executable

            with DockerRunner() as runner:
                result = runner.run(Executable(id="hello", file_path="examples/hello-python"))
                print(runner.get_container_logs(result.container_id, tail=10))
            ```
        """
        try:
            record = self.executions.get(container_id)
        except UserError as error:
            try:
                return self._orchestrator.containers.get_container_logs(ContainerHandle(id=container_id), tail=tail)
            except ContainerNotFoundError:
                raise error from None
        return "\n".join(item.text for item in StoredLog(record.logs).lines(tail=tail))
