"""What is allowed: the configuration's own policy, and those of operators' files, of which each must allow it.

This is the one place where policies are asked. So a caller, who may write each source of the configuration, can only
tighten what an operator's file allows.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

import attrs

from botdock.config.operator import OperatorFile, check_bounds, check_engine_settings, read_operator_files
from botdock.config.rules import spelling
from botdock.config.sections import Policy
from botdock.errors import PolicyError, nearest
from botdock.model.image_reference import ImagePattern, ImageReference
from botdock.model.limits import Limits
from botdock.model.restart import RestartPolicy

if TYPE_CHECKING:
    from botdock.config.config import Config
    from botdock.model.runtime import Runtime

LOADER_VARIABLES = frozenset({"LD_AUDIT", "LD_PRELOAD"})
"""By these the dynamic loader takes further code into each program."""


_LIMITS = frozenset(attrs.fields_dict(Limits))


@attrs.frozen(kw_only=True)
class Ceiling:
    """The largest value that callers may ask for.

    Attributes:
        value: The value.
        setting: What sets it, such as `policy.max_limits.memory`.
        file: The operator's file that holds it; empty for the configuration.
    """

    value: float
    setting: str
    file: str = ""


@attrs.frozen(kw_only=True)
class _Ruling:
    """One policy.

    Attributes:
        policy: What it allows.
        file: The operator's file that holds it; empty for the configuration's own.
        images: Images that the operator has set for runtimes.
        ceilings: Those of the policy: each start of a bot asks for all of them.
    """

    policy: Policy
    file: str = ""
    images: frozenset[str] = frozenset()
    ceilings: Mapping[str, tuple[str, float]] = attrs.field(init=False)

    @ceilings.default
    def _of_the_policy(self) -> Mapping[str, tuple[str, float]]:
        return self.policy.ceilings()

    def refuse(self, message: str, setting: str, *, hint: str = "") -> PolicyError:
        return PolicyError(message, setting=f"policy.{setting}", file=self.file, hint=hint or None)


class Policies:
    """All policies that bind a runner.

    Args:
        own: That of the configuration.
        operators: Files of operators.

    Example:
        >>> Policies(Policy(max_timeout=60)).ceiling("timeout").value
        60.0
    """

    def __init__(self, own: Policy | None = None, operators: Iterable[OperatorFile] = ()) -> None:
        self.operators = tuple(operators)
        theirs = (
            _Ruling(policy=one.policy, file=one.path, images=frozenset(one.runtime.images.values()))
            for one in self.operators
        )
        self._rulings = (*theirs, _Ruling(policy=own or Policy()))  # what only an operator can mend is told first

    @classmethod
    def of(cls, config: Config, environ: Mapping[str, str] | None = None) -> Self:
        """Return the policies that bind a configuration on this machine.

        Args:
            config: The configuration.
            environ: In place of `os.environ`.

        Raises:
            ConfigError: An operator's file is wrong, or others than the operator could write it.
            PolicyError: The configuration itself sets more than an operator's file allows.
        """
        operators = read_operator_files(os.environ if environ is None else environ)
        check_bounds(operators, config)
        return cls(config.policy, operators)

    def ceiling(self, name: str) -> Ceiling | None:
        """Return the least ceiling of a limit, or of a time; None for none.

        Args:
            name: A field of `Limits`, or `timeout`, `start_timeout` or `silence_timeout`.
        """
        found: Ceiling | None = None
        for ruling in self._rulings:
            setting, value = ruling.ceilings.get(name, ("", None))
            if value is not None and (found is None or value < found.value):
                found = Ceiling(value=value, setting=f"policy.{setting}", file=ruling.file)
        return found

    def check_bound(self, name: str, wanted: float) -> None:
        """Refuse a limit, or a time, that is more than its ceiling; raises a PolicyError."""
        ceiling = self.ceiling(name)
        if ceiling is not None and wanted > ceiling.value:
            shown, unit = (f"limits.{name}", "") if name in _LIMITS else (name, " s")
            raise PolicyError(
                f"{shown}: {wanted}{unit} is more than the {ceiling.value}{unit} that the policy allows",
                setting=ceiling.setting,
                file=ceiling.file,
            )

    def check_restart(self, wanted: RestartPolicy) -> None:
        """Refuse a restart policy that restarts more than is allowed; raises a PolicyError."""
        for ruling in self._rulings:
            if wanted.within(ceiling := RestartPolicy.parse(ruling.policy.max_restart)) != wanted:
                told = f"restart: '{wanted}' is more than the '{ceiling}' that the policy allows"
                raise ruling.refuse(told, "max_restart")

    def restart_of_manifest(self, asked: RestartPolicy) -> tuple[RestartPolicy, str]:
        """Return what a manifest gets of the restarts that it asks for, and the operator's file that has bounded it."""
        held, file = asked, ""
        for ruling in self._rulings:
            for ceiling in map(RestartPolicy.parse, (ruling.policy.manifest_restart, ruling.policy.max_restart)):
                if held.within(ceiling) != held:
                    held, file = ceiling, ruling.file
        return held, file

    def check_network(self, network: str) -> None:
        """Refuse a network that is not allowed; raises a PolicyError that names those that are."""
        for ruling in self._rulings:
            if network not in (allowed := ruling.policy.networks):
                near = nearest(network, allowed)
                meant = f"; did you mean {near[0]}?" if near else ""
                there = ", ".join(allowed) or "none at all"
                raise ruling.refuse(f"network {network!r} is not allowed; allowed: {there}{meant}", "networks")

    def check_runtime(self, runtime: Runtime) -> None:
        """Refuse a runtime that is listed neither by name nor by alias; raises a PolicyError."""
        for ruling in self._rulings:
            if (allowed := ruling.policy.runtimes) and not any(map(runtime.knows, allowed)):
                there = ", ".join(allowed)
                raise ruling.refuse(f"runtime {runtime.name!r} is not allowed here; allowed: {there}", "runtimes")

    def check_engine(self, name: str) -> None:
        """Refuse an engine that is not listed; raises a PolicyError."""
        for ruling in self._rulings:
            if (allowed := ruling.policy.engines) and spelling(name) not in map(spelling, allowed):
                there = ", ".join(allowed)
                raise ruling.refuse(f"engine {name!r} is not allowed here; allowed: {there}", "engines")

    def check_settings(self, engine: str, settings: object) -> None:
        """Refuse settings of an engine that an operator has not made; raises as `check_engine_settings` does."""
        check_engine_settings(self.operators, engine, settings)

    def allows_engine(self, name: str) -> bool:
        """Tell whether an engine is listed."""
        with suppress(PolicyError):
            self.check_engine(name)
            return True
        return False

    def check_local_code(self, what: str) -> None:
        """Refuse code of this machine where only the storage's may run.

        Args:
            what: What it is, for the message.

        Raises:
            PolicyError: It is refused.
        """
        for ruling in self._rulings:
            if not ruling.policy.local_code:
                raise ruling.refuse(f"{what}, and only code of the storage is allowed here", "local_code")

    @property
    def only_storage(self) -> str:
        """Why folders, archives and bytes of this machine may not be code; empty where they may."""
        off = [ruling.file for ruling in self._rulings if not ruling.policy.local_code]
        return f"policy.local_code is off{' in ' if off[0] else ''}{off[0]}" if off else ""

    def unenforced_on(self, engine: str) -> tuple[str, ...]:
        """Return the features of the strict profile that an engine may lack."""
        first, *others = (ruling.policy.unenforced_on(engine) for ruling in self._rulings)
        return tuple(name for name in first if all(name in other for other in others))

    def check_variables(self, names: Collection[str]) -> None:
        """Refuse variables, secret or not, that callers may not set.

        Args:
            names: Their names.

        Raises:
            PolicyError: Naming each that one policy refuses.
        """
        for ruling in self._rulings:
            policy = ruling.policy
            loading = LOADER_VARIABLES.intersection(names).difference(policy.loader_variables)
            if told := ", ".join(sorted(loading)):
                said = "lets the loader bring other code into the bot's interpreter, which is not allowed here"
                raise ruling.refuse(f"{told} {said}", "loader_variables")
            if told := ", ".join(sorted(_matching(names, policy.refused_variables))):
                refused = ", ".join(policy.refused_variables)
                raise ruling.refuse(f"{told} may not be set here; refused: {refused}", "refused_variables")
            if told := ", ".join(sorted(set(names).difference(_matching(names, policy.variables)))):
                allowed = ", ".join(policy.variables) or "none at all"
                raise ruling.refuse(f"{told} may not be set here; allowed: {allowed}", "variables")

    def check_image(
        self, image: str, *, configured: Collection[str], builtin: Collection[str], source: str = "", wish: bool = True
    ) -> None:
        """Refuse an image that is neither one of a runtime nor allowed by a pattern.

        Args:
            image: Its name.
            configured: Those of the runtimes, as the configuration has them.
            builtin: Those that the runtimes name themselves: what the configuration says of them is a caller's word to
                an operator.
            source: The manifest that names it; empty for the caller.
            wish: Whether it is asked for; else it is what the configuration has for a runtime.

        Raises:
            PolicyError: It is refused.
        """
        for ruling in self._rulings:
            known = {*builtin, *ruling.images} if ruling.file else configured
            named = image in known or any(same_image(image, one) for one in known)
            if not named and not _matches(image, ruling.policy.images):
                raise _image_refusal(ruling, image, source, wish=wish)


def _matching(names: Iterable[str], patterns: Iterable[str]) -> Iterator[str]:
    patterns = tuple(patterns)
    return (name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))


def same_image(one: str, other: str) -> bool:
    """Tell whether two texts name one image; an id names none."""
    with suppress(ValueError):
        return ImageReference.read(one) == ImageReference.read(other)
    return False


def _matches(image: str, patterns: Iterable[str]) -> bool:
    with suppress(ValueError):  # it is named by its id, which no pattern means
        reference = ImageReference.read(image)
        return any(ImagePattern.read(pattern).matches(reference) for pattern in patterns)
    return False


def _image_refusal(ruling: _Ruling, image: str, source: str, *, wish: bool) -> PolicyError:
    allowed = ruling.policy.images
    there = f"policy.images has {', '.join(allowed)}" if allowed else "policy.images is empty"
    mend = f'An operator can allow it: images = ["{image}"] below [policy] in {ruling.file or "botdock.toml"}'
    if not wish:
        return ruling.refuse(
            f"image {image!r} of runtime.images is not allowed here; {there}", "images", hint=f"{mend}."
        )
    if source:
        problem = f"{source}: image {image!r} is not allowed here, and a manifest can allow itself none; {there}"
        return ruling.refuse(problem, "images", hint=f"{mend}; --image names another one.")
    once = "" if ruling.file else f"; for one run --set 'policy.images=[\"{image}\"]'"
    problem = f"image {image!r} is neither that of a runtime nor allowed here; {there}"
    return ruling.refuse(problem, "images", hint=f"{mend}{once}.")
