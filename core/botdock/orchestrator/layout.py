"""Where things appear to the bot, and the container that shows them there."""

from __future__ import annotations

import attrs

from botdock.model import ContainerSpec, EngineCapabilities, ExecutionContext, Mount
from botdock.model.container import (
    LABEL_DIGEST,
    LABEL_ENTRYPOINT,
    LABEL_EXECUTABLE,
    LABEL_EXECUTION,
    LABEL_OWNER,
    LABEL_RUNTIME,
    LABEL_SEGMENT,
)
from botdock.model.execution_id import container_name
from botdock.model.runtime import ENTRYPOINT_SCRIPT
from botdock.orchestrator.run import Run

FILES_TARGET = "/botdock/files"
RESULT_TARGET = "/botdock/result"


@attrs.frozen(kw_only=True)
class Layout:
    """The three things a container shows, here and there.

    Attributes:
        code: The bot's tree; at `/bot` or `/backtest`.
        files: What was generated.
        result: The result file.
        private: Whether the bot sees the targets; without, it sees the sources.
    """

    code: Mount
    files: Mount
    result: Mount
    private: bool

    @classmethod
    def of(cls, run: Run, capabilities: EngineCapabilities) -> Layout:
        """Lay out a run that has a workspace."""
        workspace = run.workspace
        assert workspace is not None, "a workspace is prepared before it is laid out"  # noqa: S101 - for the type checker
        return cls(
            code=Mount(source=str(workspace.code), target=f"/{run.executable.entrypoint}"),
            files=Mount(source=str(workspace.files), target=FILES_TARGET),
            result=Mount(source=str(workspace.result), target=RESULT_TARGET),
            private=capabilities.private_filesystem,
        )

    def seen(self, mount: Mount) -> str:
        """Return where the bot sees it."""
        return mount.target if self.private else mount.source

    def context(self, run: Run) -> ExecutionContext:
        """Return what the wrapper must know."""
        assert run.allowance is not None and run.allowance.limits.result is not None, "settled before"  # noqa: S101, PT018 - for the type checker
        executable = run.executable
        return ExecutionContext(
            id=executable.id,
            entrypoint=executable.entrypoint,
            script=run.script,
            config=executable.config,
            code_dir=self.seen(self.code),
            files_dir=self.seen(self.files),
            result_file=self.seen(self.result),
            result_limit=run.allowance.limits.result,
            variables={**executable.env, **executable.secrets},
        )

    def spec(self, run: Run, *, owner: str) -> ContainerSpec:
        """Return the container of a run; what the bot is told is in its files, where no engine keeps a copy of it."""
        assert run.allowance is not None and run.runtime is not None, "settled before"  # noqa: S101, PT018 - for the type checker
        return ContainerSpec(
            name=container_name(run.execution_id),
            image=run.image.id or run.image.reference,  # a tag may have been moved since it was looked at
            command=("/bin/sh", f"{self.seen(self.files)}/{ENTRYPOINT_SCRIPT}"),
            environment={},
            labels=labels(run, owner),
            working_dir=self.seen(self.code),
            code=self.code,
            files=self.files,
            result=self.result,
            limits=run.allowance.limits,
            network=run.allowance.network,
            interpreters=run.runtime.interpreters,
            is_long_running=run.executable.is_long_running,
        )


def labels(run: Run, owner: str) -> dict[str, str]:
    """Return what says whose container it is."""
    found = {
        LABEL_OWNER: owner,
        LABEL_EXECUTION: run.execution_id,
        LABEL_EXECUTABLE: run.executable.id,
        LABEL_DIGEST: run.digest(),
        LABEL_ENTRYPOINT: run.executable.entrypoint,
        LABEL_RUNTIME: run.runtime.name if run.runtime else "",
    }
    if run.executable.segment is not None:
        found[LABEL_SEGMENT] = str(run.executable.segment)
    return found
