"""Making the folder of a container."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botdock.errors import ContainerError
from botdock.model import ContainerRun, ContainerTemplate
from botdock_engine_process.capabilities import ENGINE, REMEDY, resource_limits
from botdock_engine_process.environment import basic_environment, missing_interpreters
from botdock_engine_process.folder import HOME, MADE, TEMP, make_folder
from botdock_engine_process.supervisor import layout
from botdock_engine_process.supervisor.log import make_log_file
from botdock_engine_process.supervisor.records import write_record


def create(path: Path, template: ContainerTemplate, run: ContainerRun) -> None:
    """Make the folder of a container that is ready to start.

    Raises:
        FileExistsError: The name is taken.
        ContainerError: Something that it needs is not there.
    """
    for problem, hint in _problems(template, run):
        raise ContainerError(problem, engine=ENGINE, operation="create", hint=hint)

    def fill(new: Path) -> None:
        for name in (HOME, TEMP, layout.BELLS):
            (new / name).mkdir(mode=0o700)
        os.mkfifo(new / layout.CONTROL, 0o600)
        make_log_file(0, folder=str(new))
        write_record(str(new / MADE), _remembered(template, run))
        write_record(str(new / layout.PLAN), _plan(template, run, path))

    make_folder(path, fill)


def _problems(template: ContainerTemplate, run: ContainerRun) -> Iterator[tuple[str, str]]:
    for shown in (run.code, template.program, run.context, run.result):
        if not Path(shown).exists():
            yield f"there is no {shown}", "It was to be shown to the bot; was it removed meanwhile?"
    if missing := missing_interpreters(template.interpreters):
        names = " or ".join(missing)
        yield f"the bot needs {names}, which is not on PATH", f"Install {names} on this machine, or {REMEDY}."


def _remembered(template: ContainerTemplate, run: ContainerRun) -> dict[str, Any]:
    return {
        "name": run.name,
        "image": template.image,
        "labels": {**run.annotations, **run.selectors},
        "result": run.result,
        "created_at": time.time(),
    }


def _plan(template: ContainerTemplate, run: ContainerRun, path: Path) -> dict[str, Any]:
    basic = basic_environment(template.interpreters, home=path / HOME, temp=path / TEMP)
    return {
        "command": [*template.command, run.context],
        "environment": {**basic, **template.environment},
        "working_dir": run.code,
        "limits": dict(resource_limits(template.limits)),
        "output": template.limits.output,
        "endless": template.keeps_newest,
    }
