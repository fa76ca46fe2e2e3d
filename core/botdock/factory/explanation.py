"""What a run would be, and why: each value with who set it, and all that would refuse it; nothing is started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from botdock.config import Ceiling
from botdock.errors import BotdockError, CapabilityError, ImageError, UserError
from botdock.model import ContainerTemplate, EngineCapabilities, Executable, ImageInfo, Limits, Runtime
from botdock.model.execution import new_execution_id
from botdock.orchestrator.journal import Journal
from botdock.orchestrator.members import SECRETS, STARTUP, unfit
from botdock.orchestrator.plan import Bound, Plan, Source, breaches, check_variables, held_bounds, runtime_of
from botdock.orchestrator.preparation import Setting
from botdock.orchestrator.run import Run, template_of
from botdock.pool import read_reports
from botdock.services.code import CodeKind, Manifest, code_root, read_manifest
from botdock.services.code.workspace import Workspace
from botdock.services.interfaces import Code, Containers, Entrypoints


@attrs.frozen(kw_only=True)
class Explanation:
    """What a run would be, as far as it could be found out.

    Attributes:
        values: Each value with its source, by name: `engine`, `runtime`, `script`, `image`, a limit, a time, `network`.
        settings: The key of the configuration that such a value has, or would have, come from.
        ceilings: The largest values that callers may ask for, by the same names.
        variables: Names of the variables that it would get from its caller, each with `env` or `secret`.
        template: What its container would be made from; None where that could not be found out.
        cold: Why no container that waits now would take it, in words; empty where one would.
        capabilities: What the engine enforces; None where it was not asked.
        refusals: All that would refuse it, by what found it: the policy, the code, the engine.
        unknown: What could not be asked, in words.
        policies: The operators' files that bind.
    """

    values: Mapping[str, Bound]
    settings: Mapping[str, str]
    ceilings: Mapping[str, Ceiling]
    variables: Mapping[str, str]
    template: ContainerTemplate | None
    cold: str
    capabilities: EngineCapabilities | None
    refusals: tuple[BotdockError, ...]
    unknown: tuple[str, ...]
    policies: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        template = attrs.asdict(self.template) if self.template else None
        return {
            "schema": 1,
            "values": {name: self._value(name) for name in self.values},
            "variables": dict(self.variables),
            "template": template,
            "pool": {"warm": not self.cold, "why": self.cold or None},
            "enforced": sorted(self.capabilities.enforced) if self.capabilities else None,
            "refusals": [
                {
                    "message": error.message,
                    "hint": error.hint,
                    "setting": getattr(error, "setting", None),
                    "file": getattr(error, "file", None) or None,
                }
                for error in self.refusals
            ],
            "unknown": list(self.unknown),
            "policies": list(self.policies),
        }

    def _value(self, name: str) -> dict[str, Any]:
        bound, ceiling = self.values[name], self.ceilings.get(name)
        told: dict[str, Any] = {"value": bound.value, "source": bound.source.value, "setting": self.settings.get(name)}
        told |= {key: found for key in ("file", "asked") if (found := getattr(bound, key))}
        if ceiling is not None:
            told["ceiling"] = {"value": ceiling.value, "setting": ceiling.setting, "file": ceiling.file or None}
        return told


@attrs.frozen(kw_only=True)
class EngineFacts:
    """What is known of the engine.

    Attributes:
        name: Its name; empty where none is named, and none answers.
        named: Whether the configuration names it; else it is the first that answers.
        images: Whether it runs images.
        private: Whether the bot sees things at their targets; where it was not asked, what is usual.
        containers: Speaks to it, and pulls nothing; None where it does not answer, or is not allowed.
        settings: By limit, the key of its own settings that has a default for it.
    """

    name: str
    named: bool
    images: bool = True
    private: bool = True
    containers: Containers | None = None
    settings: Mapping[str, str] = attrs.field(factory=dict)


class Explainer:
    """Finds out what a run would be.

    Args:
        setting: That of the runner which would run it.
        code: Fetches code; keeps none.
        entrypoints: Know the runtimes.
        engine: What is known of the engine.
        home: The state folder of that runner.
    """

    def __init__(
        self, setting: Setting, *, code: Code, entrypoints: Entrypoints, engine: EngineFacts, home: Path
    ) -> None:
        self._setting = setting
        self._home = home
        self._programs = Journal(home, new_execution_id()).programs
        self._code = code
        self._entrypoints = entrypoints
        self._engine = engine
        self._refusals: list[BotdockError] = []
        self._unknown: list[str] = []
        self._values: dict[str, Bound] = {}

    def explain(self, executable: Executable, folder: Path) -> Explanation:
        """Return what a run would be.

        Args:
            executable: What would be run.
            folder: Of nothing else; what is fetched or generated lies there, and is removed.
        """
        setting, engine = self._setting, self._engine
        source = Source.CONFIGURATION if engine.named else Source.DEFAULT
        self._values["engine"] = Bound(value=engine.name or None, source=source)
        run = Run(executable=executable, engine=engine.name, storage="", journal=Journal(folder, new_execution_id()))
        self._refusals += breaches(executable, setting.config, setting.policies)
        with self._refusing():
            if engine.containers is not None:
                engine.containers.check_enforcement()
        plan, manifest = None, None
        with self._refusing("the code"):
            run.workspace = self._code.prepare_workspace(folder / "workspace")
            try:
                run.workspace = self._fetched(executable, run.workspace)
                manifest = read_manifest(run.workspace.code)
                plan = self._plan(run, manifest)
            finally:
                self._code.cleanup_workspace(run.workspace)
        run.bounds = held_bounds(
            executable, setting.config, setting.policies, defaults=setting.limits, manifest=manifest
        )
        self._values |= run.bounds.sources
        template, cold = None, "its template is not known"
        if plan is not None:
            script = self._entrypoints.create_entrypoint_script(plan.runtime, folder / "programs")
            kept = self._programs / script.parent.name / script.name
            template = template_of(run, plan, kept, private=engine.private)
            cold = self._why_cold(run, plan, template)
        for refusal in self._refusals:
            run.mask.error(refusal)
        self._unknown = run.mask(self._unknown)
        return self._told(executable, template, plan, cold)

    def _why_cold(self, run: Run, plan: Plan, template: ContainerTemplate) -> str:
        if reason := unfit(run.executable, plan.runtime):
            return _UNFIT[reason]
        kinds = [kind for report in read_reports(self._home) for kind in report.kinds]
        waiting = [kind.waiting for kind in kinds if kind.digest == template.digest]
        if any(waiting):
            return ""
        if waiting:
            return "none of its template is left just now"
        if not kinds:
            return "no runner keeps containers waiting; `[pool]` and `Runner.warm` do"
        usual = Executable(id="pool", entrypoint=run.executable.entrypoint, is_long_running=run.bounds.keeps_newest)
        bounds = held_bounds(usual, self._setting.config, self._setting.policies, defaults=self._setting.limits)
        own = [name for name, limit in attrs.asdict(run.bounds.limits).items() if limit != getattr(bounds.limits, name)]
        own += ["network"] * (run.bounds.network != bounds.network)
        image = self._values.get("image")
        own += ["image"] * (image is not None and image.source in {Source.CALLER, Source.MANIFEST})
        return "none of its template waits" + (f"; other than usual: {', '.join(own)}" if own else "")

    def _told(
        self, executable: Executable, template: ContainerTemplate | None, plan: Plan | None, cold: str
    ) -> Explanation:
        policies, containers = self._setting.policies, self._engine.containers
        settings = {name: f"runtime.limits.{name}" for name in attrs.fields_dict(Limits)} | dict(self._engine.settings)
        settings |= {name: f"runtime.{name}" for name in self._values if name not in settings and name not in _OF_CODE}
        settings |= {"engine": "engine", "image": f"runtime.images.{plan.runtime.name}" if plan else "runtime.images"}
        ceilings = {name: ceiling for name in self._values if (ceiling := policies.ceiling(name))}
        return Explanation(
            values=dict(self._values),
            settings=settings,
            ceilings=ceilings,
            variables={**dict.fromkeys(executable.env, "env"), **dict.fromkeys(executable.secrets, "secret")},
            template=template,
            cold=cold,
            capabilities=containers.capabilities if containers else None,
            refusals=tuple(self._refusals),
            unknown=tuple(self._unknown),
            policies=tuple(one.path for one in policies.operators),
        )

    def _fetched(self, executable: Executable, workspace: Workspace) -> Workspace:
        source = self._code.download_code(
            executable.file_path, workspace, code=executable.code, code_digest=executable.code_digest
        )
        workspace = self._code.extract_code(source, workspace, shared=True)
        if source.kind in {CodeKind.FOLDER, CodeKind.SCRIPT}:
            return workspace
        return attrs.evolve(workspace, code=code_root(workspace.code, _script_of(executable)))

    def _plan(self, run: Run, manifest: Manifest | None) -> Plan | None:
        executable, tree, entrypoint = run.executable, run.workspace.code, run.executable.entrypoint
        theirs = manifest.entrypoints.get(entrypoint) if manifest else None
        named = _script_of(executable) or theirs or run.workspace.script or None
        runtime = runtime_of(tree, executable, manifest, named, self._entrypoints)
        asked = manifest.runtime if manifest else None
        self._values["runtime"] = _first(runtime.name, caller=executable.runtime, manifest=asked)
        with self._refusing():
            self._setting.policies.check_runtime(runtime)
        with self._refusing():
            check_variables(runtime, executable)
        image = self._image(executable, manifest, runtime)
        wished = bool(executable.image or (manifest and manifest.image))
        checked = attrs.evolve(runtime, check=lambda *_: ()) if wished else runtime
        script = self._code.validate_code_structure(tree, checked, entrypoint, named)
        self._values["script"] = _first(script, caller=_script_of(executable), manifest=theirs)
        return Plan(runtime=runtime, script=script, image=image)

    def _image(self, executable: Executable, manifest: Manifest | None, runtime: Runtime) -> ImageInfo:
        """Return the image that is named, or the runtime's, with its digest where the engine has it."""
        entrypoints, containers = self._entrypoints, self._engine.containers
        wish, source = executable.image, ""
        if wish is None and manifest and manifest.image:
            wish, source = manifest.image, manifest.source
        reference = wish or ""
        with self._refusing():
            if wish is None:
                reference = entrypoints.get_docker_image(runtime.name) if self._engine.images else ""
            else:
                if containers is not None:
                    containers.check_image(wish, source=source)
                reference = entrypoints.get_allowed_image(wish, source=source)
        if not (reference and self._engine.images):
            return ImageInfo(reference=reference)
        usual = Source.DEFAULT if reference == runtime.image else Source.CONFIGURATION
        named = Source.MANIFEST if source else Source.CALLER
        self._values["image"] = Bound(value=reference, source=usual if wish is None else named)
        return self._there(reference)

    def _there(self, reference: str) -> ImageInfo:
        try:
            if self._engine.containers is not None:
                return self._engine.containers.pull_image(reference)
        except ImageError:
            self._unknown.append(f"the engine does not have the image {reference} yet, so its digest is not known")
        except BotdockError as error:
            self._unknown.append(f"the image: {error.message}")
        return ImageInfo(reference=reference)

    @contextmanager
    def _refusing(self, what: str = "") -> Iterator[None]:
        """Keep what refuses a run, and what could not be asked."""
        try:
            yield
        except (UserError, CapabilityError) as error:
            self._refusals.append(error)
        except BotdockError as error:
            self._unknown.append(f"{what}{what and ': '}{error.message}")


_UNFIT = {
    SECRETS: "it has secrets, and its runtime takes none once the interpreter has started",
    STARTUP: "it has variables that the interpreter reads when it starts",
}
_OF_CODE = frozenset({"runtime", "script", "engine", "image"})


def _script_of(executable: Executable) -> str | None:
    return executable.entrypoint_files.get(executable.entrypoint)


def _first(value: str, *, caller: str | None, manifest: str | None) -> Bound:
    return Bound(value=value, source=Source.CALLER if caller else Source.MANIFEST if manifest else Source.CODE)
