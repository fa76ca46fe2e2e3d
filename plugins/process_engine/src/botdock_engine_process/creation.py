"""Making the folder of a container."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botdock.errors import ContainerError
from botdock.model import ContainerSpec
from botdock_engine_process.capabilities import ENGINE, REMEDY, resource_limits
from botdock_engine_process.environment import basic_environment, missing_interpreters
from botdock_engine_process.folder import HOME, SPEC, TEMP, make_folder
from botdock_engine_process.supervisor import layout
from botdock_engine_process.supervisor.log import make_log_file
from botdock_engine_process.supervisor.records import write_record


def create(path: Path, spec: ContainerSpec) -> None:
    """Make the folder of a container that is ready to start.

    Raises:
        FileExistsError: The name is taken.
        ContainerError: Something that it needs is not there.
    """
    for problem, hint in _problems(spec):
        raise ContainerError(problem, engine=ENGINE, operation="create", hint=hint)

    def fill(new: Path) -> None:
        for name in (HOME, TEMP, layout.BELLS):
            (new / name).mkdir(mode=0o700)
        os.mkfifo(new / layout.CONTROL, 0o600)
        make_log_file(0, folder=str(new))
        write_record(str(new / SPEC), _remembered(spec))
        write_record(str(new / layout.PLAN), _plan(spec, path))

    make_folder(path, fill)


def _problems(spec: ContainerSpec) -> Iterator[tuple[str, str]]:
    for mount in (spec.code, spec.files, spec.result):
        if not Path(mount.source).exists():
            yield f"there is no {mount.source}", "It was to be shown to the bot; was it removed meanwhile?"
    if missing := missing_interpreters(spec.interpreters):
        names = " or ".join(missing)
        yield f"the bot needs {names}, which is not on PATH", f"Install {names} on this machine, or {REMEDY}."


def _remembered(spec: ContainerSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "image": spec.image,
        "labels": dict(spec.labels),
        "result": spec.result.source,
        "created_at": time.time(),
    }


def _plan(spec: ContainerSpec, path: Path) -> dict[str, Any]:
    basic = basic_environment(spec.interpreters, home=path / HOME, temp=path / TEMP)
    return {
        "command": list(spec.command),
        "environment": {**basic, **spec.environment},
        "working_dir": spec.working_dir,
        "limits": dict(resource_limits(spec.limits)),
        "output": spec.limits.output,
        "endless": spec.is_long_running,
    }
