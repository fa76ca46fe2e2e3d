"""Makes the services, each from its section of the configuration and the plugins that were found.

This is the one place where feature flags are looked at.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import attrs

from botdock.config import ContainersConfig, LoggingConfig
from botdock.config.options import default_limits
from botdock.errors import BotdockError, EngineUnavailableError
from botdock.executions._files import owner_of
from botdock.factory.base import BaseFactory
from botdock.model import Engine, EnginePlugin, ExecutionResult, Limits
from botdock.model.container import LABEL_OWNER
from botdock.model.metrics import Labels
from botdock.orchestrator import BotOrchestrator, Services, Setting
from botdock.orchestrator.retention import Removed, remove_old
from botdock.orchestrator.strays import Leftover, leftovers
from botdock.services.container import ContainerService
from botdock.services.log_sinks import SinkFanOut
from botdock.services.logs import LogCollector
from botdock.services.metrics import MetricsService
from botdock.services.pulled_images import PulledImages


class ServiceFactory(BaseFactory):
    """Makes the services of one runner; see `BaseFactory`."""

    def create_container_service(self, config: ContainersConfig | None = None) -> ContainerService:
        """Make the container service over the configured engine, or over the first isolating one that answers.

        Raises:
            NotFoundError: No engine of that name is installed.
            EngineUnavailableError: None answers.
        """
        return self._container_service(*self.open_engine(), config)

    def create_log_collector(self, config: LoggingConfig | None = None) -> LogCollector:
        """Make the log collector, with the sinks that the configuration names.

        Raises:
            NotFoundError: No sink of that name is installed.
        """
        section = config or self._config.logging
        names = section.sinks if self._config.features.log_sinks else ()
        sinks = {name: self._plugins.log_sink(name).factory(self._config) for name in names}
        report = self.metrics.record_log_operation
        return LogCollector(
            section,
            sinks=SinkFanOut(sinks, capacity=section.sink_queue, on_operation=report) if sinks else None,
            on_operation=report,
            reconnect_timeout=self._config.containers.reconnect_timeout,
        )

    def create_orchestrator(self) -> BotOrchestrator:
        """Make everything, joined."""
        self._config.checked_home(make=True)
        engine_name, engine = self.open_engine()
        storage = self.create_storage_service()
        services = Services(
            containers=self._container_service(engine_name, engine, None),
            code=self.create_code_service(storage=storage),
            storage=storage,
            entrypoints=self.create_entrypoint_manager(),
            logs=self.create_log_collector(),
            metrics=_Lent(self.metrics) if self._is_lent else self.metrics,
        )
        setting = Setting(
            config=self._config,
            engine=engine_name,
            owner=self.owner,
            limits=self.default_limits_on(engine_name),
            policies=self.policies,
        )
        self.metrics.start()
        if self._config.features.persistence:
            storage.resume()
        return BotOrchestrator(services, setting, home=self._home, notify=self._plugins.notify)

    @property
    def owner(self) -> str:
        """Names the state folder in the labels of containers, so that a runner touches only its own."""
        older = hashlib.sha256(os.fsencode(f"{platform.node()}:{self._home}")).hexdigest()[:16]
        return owner_of(self._home, older=older)

    def open_engine(self) -> tuple[str, Engine]:
        """Open the configured engine, or the first isolating one that answers; return its name too.

        Raises:
            NotFoundError: No engine of that name is installed.
            PolicyError: The policy does not allow it, or its settings.
            EngineUnavailableError: None answers.
        """
        if not (wanted := self._config.engine):
            return self._first_that_answers()
        plugin = self._plugins.engine(wanted)
        self.policies.check_engine(plugin.name)
        self._check_settings(plugin)
        return plugin.name, plugin.factory(self._config)

    def _check_settings(self, plugin: EnginePlugin) -> None:
        if plugin.settings is not None:
            self.policies.check_settings(plugin.name, self._config.options_for(plugin.name, plugin.settings))

    def _first_that_answers(self) -> tuple[str, Engine]:
        refusals: list[tuple[str, BotdockError]] = []
        engines = self._plugins.engines()
        for name, plugin in sorted(engines.items()):
            if not plugin.automatic or not self.policies.allows_engine(name):
                continue
            self._check_settings(plugin)
            try:
                engine = plugin.factory(self._config)
                engine.capabilities()
            except BotdockError as error:
                refusals.append((name, error))
            else:
                return name, engine
        mends = [error.hint for _, error in refusals if error.hint] or ["`botdock doctor` says what is missing."]
        others = [
            f"`--engine {name}`" + ("" if plugin.runs_images(self._config) else ", which does not isolate")
            for name, plugin in sorted(engines.items())
            if not plugin.automatic
        ]
        if others:
            mends.append(f"Or name an engine: {' or '.join(others)}.")
        reasons = "; ".join(f"{name}: {error.message}" for name, error in refusals) or "none that isolates is installed"
        raise EngineUnavailableError(f"no engine to run on ({reasons})", operation="open", hint=" ".join(mends))

    def leftovers(self) -> list[Leftover]:
        """Return what `recover` would take over or remove, as `Runner.leftovers` does, without a runner.

        Raises:
            BotdockError: The engine does not answer.
        """
        name, engine = self.open_engine()
        with closing(engine):
            containers = engine.list({LABEL_OWNER: self.owner}, timeout=self._config.containers.call_timeout)
        return leftovers(self._home, name, containers)

    def remove_old(
        self, *, executions: Mapping[str, Any], caches: float | None, images: float | None, dry_run: bool = False
    ) -> Iterator[Removed]:
        """Remove what is old, and yield each thing once it is gone; what is in use stays.

        Args:
            executions: Arguments of `Executions.prune` that say which executions are old; empty where all stay.
            caches: Seconds that unpacked code and programs of runtimes may go unused; None where those stay.
            images: Seconds that images which botdock pulled may go unused; None where those stay.
            dry_run: Whether to remove nothing.

        Raises:
            BotdockError: Something could not be removed; what was yielded before is gone.
        """
        bounds: dict[str, Any] = {"executions": executions, "caches": caches, "images": images}
        return remove_old(self._home, self._config, **bounds, containers=self._that_pulled(), dry_run=dry_run)

    def _that_pulled(self) -> Iterator[ContainerService]:
        """Yield the container service of each engine that has images which botdock pulled."""
        for name in sorted({image.engine for image in PulledImages(self._home).all()}):
            with closing(self._plugins.engine(name).factory(self._config)) as engine:
                yield self._container_service(name, engine, None)

    def default_limits_on(self, engine: str) -> Limits:
        """Return what an execution may use on an engine where its caller does not say."""
        settings = self._plugins.engine(engine).settings
        return default_limits(settings and self._config.options_for(engine, settings), self._config.runtime.limits)

    def _container_service(self, name: str, engine: Engine, config: ContainersConfig | None) -> ContainerService:
        return ContainerService(
            engine,
            config or self._config.containers,
            home=self._home,
            unenforced=self.policies.unenforced_on(name),
            images=self._plugins.engine(name).runs_images(self._config),
            on_operation=self.metrics.record_container_operation,
        )


@attrs.frozen
class _Lent:
    """The metrics of several runners, which go on when one of these is closed."""

    _metrics: MetricsService

    def record_execution(self, result: ExecutionResult) -> None:
        self._metrics.record_execution(result)

    def record(
        self, name: str, *, labels: Labels = (), seconds: float | None = None, size: int = 0, success: bool = True
    ) -> None:
        self._metrics.record(name, labels=labels, seconds=seconds, size=size, success=success)

    def close(self) -> None:
        pass
