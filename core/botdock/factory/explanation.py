"""What a run would be, and why: each value with who set it, and all that would refuse it; nothing is started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from botdock.config import Ceiling
from botdock.errors import BotdockError, CapabilityError, ImageError, UserError
from botdock.model import ContainerTemplate, EngineCapabilities, Executable, ImageInfo, Limits
from botdock.model.execution import new_execution_id
from botdock.orchestrator.journal import Journal
from botdock.orchestrator.members import SECRETS, STARTUP, unfit, usual_template
from botdock.orchestrator.plan import Bound, Plan, Source, breaches, held_bounds, recognise
from botdock.orchestrator.preparation import Setting, bring
from botdock.orchestrator.run import Run, template_of
from botdock.pool import read_reports
from botdock.services.code import read_manifest
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
        run.bounds = held_bounds(executable, setting.config, setting.policies, defaults=setting.limits)
        self._refusals += breaches(executable, setting.config, setting.policies)
        with self._refusing():
            if engine.containers is not None:
                engine.containers.check_enforcement()
        with self._refusing("the code"):
            try:
                bring(run, self._code, shared=True)
                run.plan = self._plan(run)
            finally:
                self._code.cleanup_workspace(run.workspace)
        self._values |= run.bounds.sources
        template, cold = None, "its template is not known"
        if run.plan is not None and run.plan.script:
            script = self._entrypoints.create_entrypoint_script(run.plan.runtime, folder / "programs")
            kept = self._programs / script.parent.name / script.name
            template = template_of(executable, run.bounds, run.plan, kept, private=engine.private)
            cold = self._why_cold(run, run.plan, template, kept)
        for refusal in self._refusals:
            run.mask.error(refusal)
        self._unknown = run.mask(self._unknown)
        return self._told(executable, template, run.plan, cold)

    def _why_cold(self, run: Run, plan: Plan, template: ContainerTemplate, script: Path) -> str:
        if reason := unfit(run.executable, plan.runtime):
            return _UNFIT[reason]
        kinds = [kind for report in read_reports(self._home) for kind in report.kinds]
        waiting = [kind.waiting for kind in kinds if kind.digest == template.digest]
        if any(waiting):
            return ""
        if waiting:
            return "none of its template is left just now"
        if not kinds:
            return "no runner keeps containers waiting; `[pool]` of the configuration lets the supervisor do so"
        own = list[str]()
        with suppress(BotdockError):  # where that has none, there is no usual template
            reference = self._entrypoints.get_docker_image(plan.runtime.name)
            other = self._engine.images and reference != plan.image.reference
            usual = usual_template(
                self._setting,
                attrs.evolve(plan, image=ImageInfo(reference=reference)) if other else plan,
                script,
                entrypoint=run.executable.entrypoint,
                is_long_running=run.executable.is_long_running,
                private=self._engine.private,
            )
            own = _differing(attrs.asdict(template), attrs.asdict(usual))
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

    def _plan(self, run: Run) -> Plan:
        """Return what the code tells of the run, and note who said so."""
        executable, engine, manifest = run.executable, self._engine, read_manifest(run.workspace.code)
        plan = recognise(
            run,
            self._setting,
            code=self._code,
            entrypoints=self._entrypoints,
            containers=engine.containers,
            tolerate=self._refusing,
        )
        asked, theirs, wish = None, None, None
        if manifest:
            asked, theirs, wish = manifest.runtime, manifest.entrypoints.get(executable.entrypoint), manifest.image
        self._values["runtime"] = _first(plan.runtime.name, caller=executable.runtime, manifest=asked)
        if plan.script:
            named = executable.entrypoint_files.get(executable.entrypoint)
            self._values["script"] = _first(plan.script, caller=named, manifest=theirs)
        if (reference := plan.image.reference) and engine.images:
            usual = Source.DEFAULT if reference == plan.runtime.image else Source.CONFIGURATION
            self._values["image"] = _first(reference, caller=executable.image, manifest=wish, other=usual)
        return attrs.evolve(plan, image=self._image(reference))

    def _image(self, reference: str) -> ImageInfo:
        """Return an image as the engine has it; without its digest where that does not say."""
        if not (reference and self._engine.images):
            return ImageInfo(reference="")
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


def _first(value: str, *, caller: str | None, manifest: str | None, other: Source = Source.CODE) -> Bound:
    return Bound(value=value, source=Source.CALLER if caller else Source.MANIFEST if manifest else other)


def _differing(template: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """Return by which of what a run may ask for two templates differ."""
    limits = [name for name, limit in template["limits"].items() if limit != usual["limits"][name]]
    return limits + [name for name in ("network", "image") if template[name] != usual[name]]
