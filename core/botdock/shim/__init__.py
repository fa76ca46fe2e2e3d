"""Engines without a daemon: a container is a folder with a shim, the small process that outlives the runner.

    class BareEngine(ShimEngine):
        name = "bare"

        def plan(self, new, folder, template, run):
            return Plan(command=[*template.command, run.context], environment={}, working_dir=run.code)

`ShimEngine` has all else that an engine does but `capabilities` and `ensure_image`. The shim starts what the plan says,
keeps its log whether or not a runner reads it, obeys `stop`, and records the end. `kill_all` and `remove_all` end what
is in control groups and remove them, for an engine that starts something in groups of its own.
"""

from botdock.shim._container import Plan
from botdock.shim._engine import ShimEngine
from botdock.shim._program.cgroups import kill_all, remove_all

__all__ = ["Plan", "ShimEngine", "kill_all", "remove_all"]
