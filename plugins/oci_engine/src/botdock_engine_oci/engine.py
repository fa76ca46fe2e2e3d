"""The engine `oci`: an OCI runtime beside a shim, and no daemon."""

# ruff: noqa: ARG002 - the parameters are those of every engine; the machine's own programs need no image

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from botdock.errors import ContainerError
from botdock.model import (
    ContainerRun,
    ContainerTemplate,
    EngineCapabilities,
    Feature,
    ImageInfo,
    PullPolicy,
    PullProgress,
)
from botdock.shim import Plan, ShimEngine
from botdock_engine_oci.cgroups import folders_of, group_of

RUNTIMES = ("runc", "crun")
"""What is looked for on PATH, in this order."""
USER = 65532
"""User id of the bot, and its group's."""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
"""Of this machine, what the bot sees, read-only."""
INIT = ("/bin/sh", "-c", 'exec 3>&2 2>/dev/null\n(exec "$@" 2>&3 3>&-)\nexit $?', "sh")
"""The first process of a container, which reaps what the bot leaves behind, and ends as the bot does.

The kernel keeps signals without a handler from a first process, so without this one a plain bot would not end on
SIGTERM, nor by a signal of its own. What a shell says of a bot that a signal ended is not the bot's, and goes nowhere.
"""
NAMESPACES = ("pid", "mount", "ipc", "uts", "network")


class OciEngine(ShimEngine):
    """Runs each bot as a container of an OCI runtime.

    Args:
        state: The folder that holds a folder for each container.
    """

    name = "oci"

    def capabilities(self) -> EngineCapabilities:
        """Say what it enforces."""
        missing = dict.fromkeys(Feature, "not probed on this machine")
        return EngineCapabilities(engine=self.name, version=self._runtime(), missing=missing)

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        """Say that it is there: the bot sees this machine's programs."""
        return ImageInfo(reference=image)

    def plan(self, new: Path, folder: Path, template: ContainerTemplate, run: ContainerRun) -> Plan:
        """Write the bundle, and say how the runtime is started."""
        runtime = self._runtime("create")
        self._require_program(template, run)
        for shown in (run.code, template.program, run.context, run.result):
            if not Path(shown).exists():
                hint = "It was to be shown to the bot; was it removed meanwhile?"
                raise ContainerError(f"{shown} does not exist", engine=self.name, operation="create", hint=hint)
        pid_file = str(folder / "pid")
        (new / "rootfs").mkdir()
        (new / "config.json").write_text(
            json.dumps(_config(attrs.evolve(template, command=(*INIT, *template.command)), run)), encoding="utf-8"
        )
        return Plan(
            command=[
                *(runtime, "--root", str(folder / "runtime"), "--log", str(folder / "runtime.log"), "run", "--detach"),
                *("--bundle", str(folder), "--pid-file", pid_file, run.name),
            ],
            environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            working_dir="/",
            pid_file=pid_file,
            cgroups=folders_of(run.name),
        )

    def _require_program(self, template: ContainerTemplate, run: ContainerRun) -> None:
        """Refuse a program that the bot would not find: its init would start, and say so in an exit code alone."""
        program = template.command[0]
        for target, source in _shown(template, run).items():
            if program == target or program.startswith(f"{target}/"):
                program = source + program.removeprefix(target)
        if not Path(program).exists():
            hint = "Set runtime.images to an image that has it, or install it on this machine."
            problem = f"the bot's program {template.command[0]} is not there"
            raise ContainerError(problem, engine=self.name, operation="create", hint=hint)

    def _runtime(self, operation: str = "capabilities") -> str:
        for name in RUNTIMES:
            if found := shutil.which(name):
                return found
        hint = "Install one of them: apt-get install crun."
        raise ContainerError("neither crun nor runc is on PATH", engine=self.name, operation=operation, hint=hint)


def _config(template: ContainerTemplate, run: ContainerRun) -> dict[str, Any]:
    shown = _shown(template, run)
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "USER": "bot", "LOGNAME": "bot", "LANG": "C.UTF-8"}  # noqa: S108 - the bot's own
    writable = {"type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "noexec", "mode=1777"]}
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "botdock",
        "process": {
            "user": {"uid": USER, "gid": USER},
            "args": [*template.command, template.context_target],
            "env": [f"{name}={value}" for name, value in {**environment, **template.environment}.items()],
            "cwd": template.code_target,
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", **writable, "options": ["nosuid", "mode=755"]},
            {"destination": "/tmp", **writable},  # noqa: S108 - the bot's own, in its container
            *([{"destination": run.secrets_target, **writable}] if run.secrets_target else ()),
            *(_bind(path, path, "ro") for path in SYSTEM if Path(path).exists()),
            *(_bind(source, target, "rw" if source == run.result else "ro") for target, source in shown.items()),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES], "cgroupsPath": group_of(run.name)},
    }


def _shown(template: ContainerTemplate, run: ContainerRun) -> dict[str, str]:
    return {
        template.code_target: run.code,
        template.program_target: template.program,
        template.context_target: run.context,
        template.result_target: run.result,
    }


def _bind(source: str, target: str, mode: str) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": source, "options": ["bind", mode, "nosuid", "nodev"]}
