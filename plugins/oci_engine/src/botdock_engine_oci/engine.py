"""The engine `oci`: an OCI runtime beside a shim, and no daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from botdock.errors import ContainerError
from botdock.model import (
    ContainerHandle,
    ContainerRun,
    ContainerTemplate,
    EngineCapabilities,
    ImageInfo,
    PullPolicy,
    PullProgress,
)
from botdock.shim import Plan, ShimEngine
from botdock_engine_oci.bundle import bundle
from botdock_engine_oci.capabilities import capabilities
from botdock_engine_oci.cgroups import folders_of
from botdock_engine_oci.ids import Ids, Reservations, find_users
from botdock_engine_oci.image import Images
from botdock_engine_oci.probing import Probe, group_for, probe, this_machine
from botdock_engine_oci.rootfs import RootFs, describe, find_rootfs
from botdock_engine_oci.roots import Root, Roots
from botdock_engine_oci.runtimes import SYSTEM_PATH
from botdock_engine_oci.settings import OciSettings

if TYPE_CHECKING:
    from botdock.config import Config

USER = "user"
"""The file of a container that holds its user id on this machine."""
NO_USER = "Let a bot end, remove what is left (`botdock gc`), or widen options.oci.users."


class OciEngine(ShimEngine):
    """Runs each bot as a container of an OCI runtime.

    Args:
        state: The folder that holds a folder for each container.
        settings: The operator's.
    """

    name = "oci"
    forks = True

    def __init__(self, state: Path, settings: OciSettings | None = None) -> None:
        super().__init__(state)
        self._settings = settings or OciSettings()
        self._images = Images(state.with_name(f"{state.name}-images"), state)
        self._roots = Roots(folder=state.with_name(f"{state.name}-roots"), containers=state)
        self._users = find_users(self._settings.user_range)
        self._reserved = Reservations.of(state)
        self._probing = Lock()
        self._found: Probe | None = None

    @classmethod
    def from_config(cls, config: Config) -> OciEngine:
        """Return the engine of a configuration.

        Raises:
            ConfigError: Its settings are wrong.
        """
        return cls(config.home_dir / "oci", config.options_for("oci", OciSettings))

    def capabilities(self) -> EngineCapabilities:
        """Say what a container that was tried was held to."""
        return capabilities(self._probed(), describe(self._settings.rootfs))

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        """Have it fetched and unpacked, once; where bots see another root file system, say that it is there."""
        if not self._settings.has_images:
            return ImageInfo(reference=image)
        return self._images.ensure(image, policy=policy, timeout=timeout, progress=progress)

    def remove_image(self, reference: str, image_id: str, *, dry_run: bool, timeout: float) -> int | None:  # noqa: ARG002 - what is done here is bounded by itself
        """Remove the files of an image that no container uses, and that has no other name."""
        return self._images.remove(reference, image_id, dry_run=dry_run)

    def plan(self, new: Path, folder: Path, template: ContainerTemplate, run: ContainerRun) -> Plan:
        """Write the bundle, and say how the runtime is started."""
        found = self._probed()
        if folder.exists():
            raise FileExistsError(folder)
        ids = self._pick(folder)
        try:
            (new / USER).write_text(str(ids.outside), encoding="ascii")
            image = self._images.use(template.image, new) if self._settings.has_images else None
            rootfs = find_rootfs(
                new,
                folder,
                source=str(image.root) if image else self._settings.rootfs,
                interpreters=template.interpreters,
                user=ids.user,
                variables=image.variables if image else None,
            )
            self._require_program(template, run, rootfs)
            cgroup = group_for(run.name, self._users, found.enforced)
            machine = this_machine(found.enforced)
            document = bundle(template, run, rootfs=rootfs, machine=machine, cgroup=cgroup, ids=ids)
            document["root"]["path"] = self._roots.use(Root.of(rootfs, document["mounts"]), new, folder)
            (new / "config.json").write_text(json.dumps(document), encoding="utf-8")
        except BaseException:
            self._reserved.give_back(ids.outside, folder)
            raise
        pid_file = str(folder / "pid")
        return Plan(
            command=[
                *(found.runtime.path, "--root", str(folder / "runtime"), "--log", str(folder / "runtime.log")),
                *("run", "--detach", "--bundle", str(folder), "--pid-file", pid_file, run.name),
            ],
            environment={"PATH": SYSTEM_PATH},
            working_dir="/",
            pid_file=pid_file,
            cgroups=folders_of(run.name) if cgroup else (),
        )

    def remove(self, container: ContainerHandle, *, timeout: float) -> None:
        """Kill what runs, remove the folder, and let another have its user id."""
        path, user = self._state / container.id, None
        with suppress(OSError, ValueError):
            user = int((path / USER).read_bytes())
        super().remove(container, timeout=timeout)
        if user is not None:
            self._reserved.give_back(user, path)

    def _probed(self) -> Probe:
        with self._probing:
            if self._found is None:
                self._found = probe(self._state, self._settings)
            return self._found

    def _pick(self, container: Path) -> Ids:
        try:
            return self._users.pick(lambda user: self._reserved.take(user, container))
        except LookupError as error:
            raise ContainerError(str(error), engine=self.name, operation="create", hint=NO_USER) from error

    def _require_program(self, template: ContainerTemplate, run: ContainerRun, rootfs: RootFs) -> None:
        """Refuse a program that the bot would not find: its init would start, and say so in an exit code alone."""
        program = template.command[0]
        shown = {template.code_target: run.code, template.program_target: template.program, **rootfs.binds}
        for target, source in shown.items():
            if program.startswith(f"{target}/"):
                program = source + program.removeprefix(target)
        if program.startswith("/") and not os.path.lexists(program):
            hint = "Install it on this machine, or set options.oci.rootfs to a root file system that has it."
            problem = f"the bot's program {template.command[0]} is not there"
            raise ContainerError(problem, engine=self.name, operation="create", hint=hint)
