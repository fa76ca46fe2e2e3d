"""Makes the services that need no engine: a request is looked at without those of a runner.

Each is imported when it is made: `botdock start` waits for none that it does not need.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from botdock.config import CodeConfig, Config, MetricsConfig, Policies, RuntimeConfig
from botdock.model import Runtime, StorageArea, StorageBackend
from botdock.plugin_manager import PluginManager

if TYPE_CHECKING:
    from botdock.entrypoints import EntrypointManager
    from botdock.services.code import CodeService
    from botdock.services.code_cache import CodeCache
    from botdock.services.metrics import MetricsService
    from botdock.services.storage import StorageService


class BaseFactory:
    """Makes the services that look at what is to be run, and need no engine: code, storage, entrypoints, metrics.

    Args:
        config: The configuration; every `create_*` method can be given another section in its place.
        plugins: Where engines, runtimes, storages, sinks and exporters come from.
        metrics: Counts for several runners, in place of a service of this one's own; the caller closes it.

    Attributes:
        policies: What is allowed: the configuration's policy, and that of the operator of this machine.

    Raises:
        ConfigError: Settings of a plugin are wrong, or no plugin's; or an operator's file is.
        PolicyError: The configuration sets more than an operator's file allows.
        UserError: Other users could write the state folder.
    """

    def __init__(self, config: Config, plugins: PluginManager, *, metrics: MetricsService | None = None) -> None:
        self._config = plugins.configured(config) if config.options else config
        self.policies = Policies.of(self._config)
        self._home = config.checked_home()
        self._plugins = plugins
        self._is_lent = metrics is not None
        self._metrics = metrics

    @property
    def metrics(self) -> MetricsService:
        """The one metrics service that the others report to."""
        if self._metrics is None:
            self._metrics = self.create_metrics_service()
        return self._metrics

    def create_metrics_service(self, config: MetricsConfig | None = None) -> MetricsService:
        """Make the metrics service, with the exporters that the configuration names; it opens them when it starts.

        Raises:
            NotFoundError: No exporter of that name is installed.
        """
        from botdock.services.metrics import MetricsService, metrics_folder

        section = config or self._config.metrics
        if not self._config.features.metrics:
            return MetricsService()
        plugins = [self._plugins.metrics_exporter(name) for name in section.exporters]
        openers = {plugin.name: partial(plugin.factory, self._config) for plugin in plugins}
        return MetricsService(openers, folder=metrics_folder(self._home), interval=section.interval)

    def create_code_service(
        self, config: CodeConfig | None = None, *, storage: StorageService | None = None
    ) -> CodeService:
        """Make the code service, over `storage` or one of its own."""
        from botdock.services.code import CodeService, CodeStore

        source = storage or self.create_storage_service()
        section = config or self._config.code
        store = CodeStore(
            name=self._config.storage,
            open=source.retrieve_code,
            stat=lambda key: source.backend(StorageArea.CODE).stat(key),
            location=lambda: source.backend(StorageArea.CODE).location,
        )
        return CodeService(
            section,
            store=store,
            policies=self.policies,
            cache=self._code_cache(section),
            on_operation=lambda operation, seconds, size, success: self.metrics.record(
                operation, seconds=seconds, size=size, success=bool(success)
            ),
        )

    def _code_cache(self, config: CodeConfig) -> CodeCache | None:
        if not config.cache_bytes:
            return None
        from botdock.services.code import archive_limits
        from botdock.services.code_cache import CodeCache

        limits, unused = attrs.asdict(archive_limits(config)), self._config.retention.caches or math.inf
        return CodeCache(self._home / "cache", limit=config.cache_bytes, limits=limits, unused=unused)

    def create_storage_service(self, name: str | None = None) -> StorageService:
        """Make the storage service over the storage backend of that name, by default the configured one.

        Raises:
            NotFoundError: No storage backend of that name is installed.
        """
        from botdock.services.outbox import outbox_folder
        from botdock.services.storage import StorageService

        plugin = self._plugins.storage_backend(name or self._config.storage)

        def open_backend(area: StorageArea) -> StorageBackend:
            return plugin.factory(self._config, area)

        return StorageService(
            open_backend,
            outbox=outbox_folder(self._home, plugin.name),
            config=self._config.outbox,
            on_operation=self._storage_operation,
        )

    def create_entrypoint_manager(self, config: RuntimeConfig | None = None) -> EntrypointManager:
        """Make the entrypoint manager, with every runtime that is installed."""
        from botdock.entrypoints import EntrypointManager

        runtimes = {name: self._with_settings(runtime) for name, runtime in self._plugins.runtimes().items()}
        return EntrypointManager(
            runtimes,
            (config or self._config.runtime).images,
            policies=self.policies,
            find=lambda name: self._with_settings(self._plugins.runtime(name)),
        )

    def _with_settings(self, runtime: Runtime) -> Runtime:
        if runtime.settings is None:
            return runtime
        given: object = self._config.options_for(runtime.name, runtime.settings)
        return attrs.evolve(runtime, files=partial(runtime.files, given), settings=None)

    def _storage_operation(self, operation: str, seconds: float, size: int, success: Any) -> None:
        self.metrics.record_storage_operation(operation, size, bool(success), seconds)
