"""Runs that go into containers which waited for them, and the templates of those that are to wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from botdock._boot_clock import moment
from botdock._log import logger
from botdock.config.pool import PoolConfig
from botdock.executions._files import PROGRAMS
from botdock.model import ENTRYPOINTS, ContainerTemplate, Executable, Phase, Runtime
from botdock.orchestrator.plan import Plan, bounds_of
from botdock.orchestrator.run import Created, Run, template_of
from botdock.pool import Kind, Member, Pool, PoolReport, deliver

if TYPE_CHECKING:
    from botdock.orchestrator.preparation import End, Preparation, Setting
    from botdock.services.interfaces import Services

SECRETS, STARTUP = "secrets", "startup"
"""Why no container that waits can take a run: its interpreter has started, and the run has secrets, or variables that
are read then."""
EVIDENCE = "pool"
_BACKTEST, _LONG = "-backtest", "-long-running"
_SUFFIXES = (_BACKTEST, _LONG, "")
"""What stands behind the name of a runtime for runs that are not bots with an end."""


class Members:
    """The pool of one runner, as its preparation uses it.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
        preparation: Collects logs, and writes what a bot is told.
        home: The state folder.
        runner: The id of the runner.
    """

    def __init__(
        self, services: Services, setting: Setting, preparation: Preparation, *, home: Path, runner: str
    ) -> None:
        self._services = services
        self._setting = setting
        self._preparation = preparation
        self._home = home
        self._settings: PoolConfig = setting.config.pool
        self._pool = Pool(
            services.containers,
            self._settings,
            home=home.absolute(),
            owner=setting.owner,
            runner=runner,
            record=services.metrics.record,
        )

    def keep(self, sizes: Mapping[str, int]) -> None:
        """Keep so many waiting, by the name of a runtime, with `-backtest` or `-long-running` behind it for such runs.

        Raises:
            NotFoundError: It is not installed.
            PolicyError: The policy does not allow it.
        """
        self._pool.keep([self._kind(name, count) for name, count in sizes.items() if count])

    def wait(self, timeout: float) -> PoolReport:
        """Wait until they wait, or cannot, at most `timeout` seconds; return how it stands."""
        return self._pool.wait(timeout)

    def close(self, timeout: float) -> None:
        """Remove those that wait."""
        self._pool.close(timeout)

    def enter(
        self, run: Run, plan: Plan, template: ContainerTemplate, end: End, proceed: Callable[[], None]
    ) -> Created | None:
        """Let a container that waits go on as this run; None where it needs one of its own.

        From the moment on at which `context.json` is there, the container may go on without us; what it writes before
        its log is collected is in its stream, and stays with the engine.
        """
        with run.phase(Phase.CREATE):
            member, reason = self._claim(run, plan, template)
        run.evidence[EVIDENCE] = {"miss": reason} if member is None else {"waited": _since(member)}
        if member is None:
            return None
        created = Created(plan=plan, container=member.container)
        try:
            try:
                with run.phase(Phase.START):
                    run.container = member.container
                    run.stay_in(member.files)
                    if not run.executable.secrets:  # else it goes before the outcome, and so do they
                        run.dispose = partial(self._pool.dispose, member)
                    run.journal.event("entered", container_id=run.container_id, member=member.slot)
                    proceed()
                    run.started_ns, run.started = time.time_ns(), moment()
                    run.journal.save(run, plan, template.program_digest)
                    member.mark(run.execution_id)
                    self._preparation.tell(run, plan)
            finally:
                member.release()  # without a `context.json`, it ends
            with run.phase(Phase.ATTACH):  # while it begins: what it writes is in its stream
                run.storing = self._preparation.storing(run)
                self._preparation.collect(run, created, member.stream, end)
        except BaseException:
            member.stream.close()
            raise
        finally:
            self._pool.refill()
        return created

    def _claim(self, run: Run, plan: Plan, template: ContainerTemplate) -> tuple[Member | None, str]:
        """Return a member that holds the code of a run, or why there is none."""
        executable, name = run.executable, f"{plan.runtime.name} {run.executable.entrypoint}"
        if reason := unfit(executable, plan.runtime):
            return None, self._pool.miss(reason, name)
        found = self._pool.claim(template, name, partial(self._fill, run.workspace.code))
        return (None, found) if isinstance(found, str) else (found, "")

    def _fill(self, code: Path, member: Member) -> bool:
        bounds = {"entries": self._settings.code_entries, "size": self._settings.code_bytes}
        try:
            return deliver(code, member.files.code, **bounds)
        except OSError as error:
            logger.bind(error=str(error)).warning("code could not be delivered to a container that waited")
            return False

    def _kind(self, name: str, count: int) -> Kind:
        suffix = next(suffix for suffix in _SUFFIXES if name.endswith(suffix))
        found = self._services.entrypoints.validate_runtime(name.removesuffix(suffix))
        entrypoint, long = ENTRYPOINTS[suffix == _BACKTEST], suffix == _LONG
        make = partial(self._template, found.name, entrypoint, is_long_running=long)
        return Kind(name=f"{found.name} {entrypoint}{' long-running' if long else ''}", count=count, make=make)

    def _template(self, runtime: str, entrypoint: str, *, is_long_running: bool) -> ContainerTemplate:
        """Return the template of a run that asks for nothing, as it is now.

        Raises:
            BotdockError: There can be no such run now.
        """
        services, setting = self._services, self._setting
        found = services.entrypoints.validate_runtime(runtime)
        setting.policies.check_runtime(found)
        services.containers.check_enforcement()
        image = services.containers.pull_image(services.entrypoints.get_docker_image(runtime))
        plan = Plan(runtime=found, script="", image=image)
        script = services.entrypoints.create_entrypoint_script(found, self._home / PROGRAMS)
        private = services.containers.capabilities.private_filesystem
        return usual_template(
            setting, plan, script, entrypoint=entrypoint, is_long_running=is_long_running, private=private
        )


def usual_template(
    setting: Setting, plan: Plan, script: Path, *, entrypoint: str, is_long_running: bool, private: bool
) -> ContainerTemplate:
    """Return the template of a run that asks for nothing; see `template_of`.

    Raises:
        PolicyError: There can be no such run.
    """
    usual = Executable(id="pool", entrypoint=entrypoint, is_long_running=is_long_running)
    bounds = bounds_of(usual, setting.config, setting.policies, defaults=setting.limits)
    return template_of(usual, bounds, plan, script, private=private)


def unfit(executable: Executable, runtime: Runtime) -> str:
    """Return why no container that waits can take a run, whatever its template; an empty text where that is not so."""
    if executable.secrets and not runtime.capabilities.late_secrets:
        return SECRETS
    return STARTUP if runtime.startup_names(executable.env) else ""


def _since(member: Member) -> float:
    return round(time.monotonic() - member.since, 3)
