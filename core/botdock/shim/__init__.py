"""Engines without a daemon: a container is a folder with a shim, the small process that outlives the runner.

    class BareEngine(ShimEngine):
        name = "bare"

        def plan(self, new, folder, template, run):
            return Plan(command=[*template.command, run.context], environment={}, working_dir=run.code)

`ShimEngine` has all else that an engine does but `capabilities` and `ensure_image`. The shim starts what the plan says,
keeps its log whether or not a runner reads it, obeys `stop`, and records the end.
"""

from botdock.shim._container import Plan
from botdock.shim._engine import ShimEngine

__all__ = ["Plan", "ShimEngine"]
