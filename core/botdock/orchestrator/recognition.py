"""What is to run, and in which image: what the caller, the code and its manifest say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from botdock.model import Executable, ImageInfo, Runtime
from botdock.orchestrator.bounds import bounds_of, check_runtime, check_variables
from botdock.orchestrator.run import Plan, Run
from botdock.services.code import Manifest, detect_runtime, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from botdock.orchestrator.preparation import Services, Setting


def recognise(run: Run, services: Services, setting: Setting) -> Plan:
    """Find out runtime, script and image, and tighten the limits, now that the code's own manifest can be read.

    Raises:
        UserError: The code cannot be run, or asks for what the policy does not allow.
        CapabilityError: It asks for an image, and the engine has none.
    """
    tree, executable = run.workspace.code, run.executable
    manifest = read_manifest(tree)
    scripts = {**(manifest.entrypoints if manifest else {}), **executable.entrypoint_files}
    named_script = scripts.get(executable.entrypoint) or run.workspace.script or None
    runtime = _runtime_of(tree, executable, manifest, named_script, services)
    check_runtime(runtime, setting.config)
    check_variables(runtime, executable)
    if manifest:
        run.bounds = bounds_of(executable, setting.config, defaults=setting.limits, manifest=manifest.limits)
    image = _named_image(executable, manifest, services)
    # a check knows the language as the runtime's own image has it
    checked = attrs.evolve(runtime, check=lambda *_: ()) if image else runtime
    script = services.code.validate_code_structure(tree, checked, executable.entrypoint, named_script)
    reference = image or services.entrypoints.get_docker_image(runtime.name)
    return Plan(runtime=runtime, script=script, image=ImageInfo(reference=reference))


def allowed_image(image: str, services: Services, *, source: str = "") -> str:
    """Return what the engine is to be asked for where the caller, or a manifest, names an image.

    Args:
        image: The name.
        services: Know what is allowed, and whether the engine has images.
        source: The manifest that names it; empty for the caller.

    Raises:
        CapabilityError: The engine has no images.
        PolicyError: The policy does not allow it.
    """
    services.containers.check_image(image, source=source)
    return services.entrypoints.get_allowed_image(image, source=source)


def _named_image(executable: Executable, manifest: Manifest | None, services: Services) -> str:
    if executable.image:
        return allowed_image(executable.image, services)
    if manifest and manifest.image:
        return allowed_image(manifest.image, services, source=manifest.source)
    return ""


def _runtime_of(
    tree: Path, executable: Executable, manifest: Manifest | None, script: str | None, services: Services
) -> Runtime:
    entrypoints = services.entrypoints
    if named := executable.runtime or (manifest.runtime if manifest else None):
        return entrypoints.validate_runtime(named)
    known = [entrypoints.validate_runtime(name) for name in entrypoints.get_supported_runtimes()]
    return detect_runtime(tree, executable.entrypoint, known, script)
