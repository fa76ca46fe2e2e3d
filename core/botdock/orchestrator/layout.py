"""What a container is made from, and where things appear to the bot."""

from __future__ import annotations

from pathlib import Path

from botdock.model import ContainerRun, ContainerTemplate, ExecutionContext
from botdock.model.container import (
    LABEL_DIGEST,
    LABEL_ENTRYPOINT,
    LABEL_EXECUTABLE,
    LABEL_EXECUTION,
    LABEL_OWNER,
    LABEL_RUNTIME,
    LABEL_SEGMENT,
    segment_selector,
)
from botdock.model.execution import container_name
from botdock.orchestrator.run import Run

PROGRAM_TARGET = "/botdock/program"
CONTEXT_TARGET = "/botdock/context"
RESULT_TARGET = "/botdock/result"


def template_of(run: Run, script: Path, *, private: bool) -> ContainerTemplate:
    """Return what the container of a run has in common with others.

    Args:
        run: The run, of which all is settled.
        script: The program's `entrypoint.sh`, in a folder that is named by its digest.
        private: Whether the bot sees things at their targets; without, where they are.
    """
    assert run.allowance is not None and run.runtime is not None, "settled before"  # noqa: S101, PT018 - for the type checker
    program = script.parent
    return ContainerTemplate(
        image=run.image.id or run.image.reference,  # a tag may have been moved since it was looked at
        command=("/bin/sh", f"{PROGRAM_TARGET if private else program}/{script.name}"),
        program=str(program),
        program_digest=program.name,
        program_target=PROGRAM_TARGET,
        code_target=_code_target(run),
        context_target=CONTEXT_TARGET,
        result_target=RESULT_TARGET,
        limits=run.allowance.limits,
        keeps_newest=run.executable.is_long_running,
        network=run.allowance.network,
        interpreters=run.runtime.interpreters,
    )


def container_run(run: Run, *, owner: str) -> ContainerRun:
    """Return what a run adds to its template; what the bot is told is in its context, of which no engine keeps a copy.

    Args:
        run: The run, which has a workspace.
        owner: Names the state folder.
    """
    workspace, executable = run.workspace, run.executable
    assert workspace is not None and run.runtime is not None, "settled before"  # noqa: S101, PT018 - for the type checker
    selectors = {LABEL_OWNER: owner, LABEL_EXECUTION: run.execution_id}
    if executable.segment is not None:
        selectors[LABEL_SEGMENT] = segment_selector(executable.segment)
    return ContainerRun(
        name=container_name(run.execution_id),
        selectors=selectors,
        annotations={
            LABEL_EXECUTABLE: executable.id,
            LABEL_DIGEST: run.digest(),
            LABEL_ENTRYPOINT: executable.entrypoint,
            LABEL_RUNTIME: run.runtime.name,
        },
        code=str(workspace.code),
        context=str(workspace.context),
        result=str(workspace.result),
    )


def context_of(run: Run, *, private: bool) -> ExecutionContext:
    """Return what the wrapper must know, with places as the bot sees them."""
    workspace, allowance, executable = run.workspace, run.allowance, run.executable
    assert workspace is not None and allowance is not None and allowance.limits.result is not None, "settled before"  # noqa: S101, PT018 - for the type checker
    return ExecutionContext(
        id=executable.id,
        entrypoint=executable.entrypoint,
        script=run.script,
        config=executable.config,
        code_dir=_code_target(run) if private else str(workspace.code),
        context_dir=CONTEXT_TARGET if private else str(workspace.context),
        result_file=RESULT_TARGET if private else str(workspace.result),
        result_limit=allowance.limits.result,
        variables={**executable.env, **executable.secrets},
    )


def _code_target(run: Run) -> str:
    return f"/{run.executable.entrypoint}"
