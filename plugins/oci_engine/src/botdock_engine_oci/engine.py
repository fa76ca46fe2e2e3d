"""The engine `oci`: an OCI runtime beside a shim, and no daemon."""

# ruff: noqa: ARG002 - the parameters are those of every engine; the machine's own programs need no image

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

RUNTIMES = ("runc", "crun")
"""What is looked for on PATH, in this order."""
USER = 65532
"""User id of the bot, and its group's."""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
"""Of this machine, what the bot sees, read-only."""
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
        for shown in (run.code, template.program, run.context, run.result):
            if not Path(shown).exists():
                hint = "It was to be shown to the bot; was it removed meanwhile?"
                raise ContainerError(f"{shown} does not exist", engine=self.name, operation="create", hint=hint)
        (new / "rootfs").mkdir()
        (new / "config.json").write_text(json.dumps(_config(template, run)), encoding="utf-8")
        return Plan(
            command=[runtime, "--root", str(folder / "runtime"), "run", "--bundle", str(folder), run.name],
            environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            working_dir="/",
        )

    def _runtime(self, operation: str = "capabilities") -> str:
        for name in RUNTIMES:
            if found := shutil.which(name):
                return found
        hint = "Install one of them: apt-get install crun."
        raise ContainerError("neither crun nor runc is on PATH", engine=self.name, operation=operation, hint=hint)


def _config(template: ContainerTemplate, run: ContainerRun) -> dict[str, Any]:
    shown = {
        template.code_target: run.code,
        template.program_target: template.program,
        template.context_target: run.context,
        template.result_target: run.result,
    }
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
            *(_bind(path, path, "ro") for path in SYSTEM if Path(path).exists()),
            *(_bind(source, target, "rw" if source == run.result else "ro") for target, source in shown.items()),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES], "cgroupsPath": f"/botdock/{run.name}"},
    }


def _bind(source: str, target: str, mode: str) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": source, "options": ["bind", mode, "nosuid", "nodev"]}
