"""The hooks of botdock: everything that a plugin can add or observe.

A plugin is a module that holds only functions marked with `hookimpl`, named in the entry-point group `botdock`:

    [project.entry-points.botdock]
    ruby = "my_package.plugin"

A `botdock_<plural>` hook registers: it yields frozen descriptions, whose factories import what is heavy.
The event hooks observe: what they return is ignored, and one that raises is reported and changes nothing.

What a plugin may rely on has a version, `INTERFACE`: the hooks, and the names in `__all__` of the public modules. A
name or a parameter is added without a new one. What is to go works on, with a DeprecationWarning that names what takes
its place, for at least one minor version of botdock, and goes with the next `INTERFACE`. A module that sets
`BOTDOCK_INTERFACE = 1` says which one it was written for: under another it is not loaded, and the reason is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdock.errors import BotdockError
    from botdock.model import (
        EnginePlugin,
        Executable,
        ExecutionResult,
        LogSinkPlugin,
        MetricsExporterPlugin,
        Notification,
        Runtime,
        StorageBackendPlugin,
    )

PROJECT = "botdock"
"""Name of the project for pluggy, and of the entry-point group."""

INTERFACE = 1
"""The version of what a plugin may rely on."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function as an implementation of the hook of the same name."""


class BotdockSpecs:
    """The hook specifications."""

    @hookspec
    def botdock_runtimes(self) -> Iterable[Runtime]:
        r"""Register languages that bots can be written in.

        Yields:
            One `Runtime` for each; `botdock_testing.RuntimeContract` holds it to what is asked.

        Example:
            ```python
            from botdock import ResultFormat, Runtime, RuntimeCapabilities, hookimpl, shell_entrypoint

            @hookimpl
            def botdock_runtimes():
                yield Runtime(
                    name="perl5",
                    image="perl:5-slim",
                    interpreters=("perl",),
                    suffixes=(".pl",),
                    scripts={"bot": ("main.pl",), "backtest": ("backtest.pl",)},
                    files=lambda: {"entrypoint.sh": shell_entrypoint("perl")},
                    capabilities=RuntimeCapabilities(result=ResultFormat.VALUE),
                )
            ```
        """
        yield from ()

    @hookspec
    def botdock_storage_backends(self) -> Iterable[StorageBackendPlugin]:
        """Register places that code comes from and results go to.

        Yields:
            One `StorageBackendPlugin` for each, whose factory gets the configuration and the area (`code`, `results` or
            `logs`), and returns a `StorageBackend`; `botdock_testing.StorageContract` holds that to what is asked.

        Example:
            ```python
            import attrs
            from botdock import StorageBackendPlugin, hookimpl
            from botdock.config import setting

            @attrs.frozen(kw_only=True)
            class GcsSettings:
                bucket: str
                token: str = setting("", secret=True, variable="GCS_TOKEN")

            def open_backend(config, area):
                from my_package.gcs import GoogleBackend  # heavy, so it is imported here

                return GoogleBackend(config.options_for("gcs", GcsSettings), prefix=area)

            @hookimpl
            def botdock_storage_backends():
                yield StorageBackendPlugin(name="gcs", factory=open_backend, settings=GcsSettings)
            ```
        """
        yield from ()

    @hookspec
    def botdock_engines(self) -> Iterable[EnginePlugin]:
        """Register engines that run containers.

        Yields:
            One `EnginePlugin` for each, whose factory returns an `Engine`; `botdock_testing.EngineContract` holds that
            to what is asked. `automatic=True` lets botdock choose it when none is named; only for those that isolate.

        Example:
            ```python
            from botdock import EnginePlugin, hookimpl

            def open_engine(config):
                from my_package.podman import PodmanEngine

                return PodmanEngine(config.home_dir / "podman")

            @hookimpl
            def botdock_engines():
                yield EnginePlugin(name="podman", factory=open_engine, automatic=True)
            ```
        """
        yield from ()

    @hookspec
    def botdock_log_sinks(self) -> Iterable[LogSinkPlugin]:
        """Register sinks that get every line of every bot.

        Yields:
            One `LogSinkPlugin` for each; those named in `logging.sinks` are used. `botdock_testing.LogSinkContract`
            holds a sink to what is asked.

        Example:
            ```python
            from botdock import LogSink, LogSinkPlugin, hookimpl

            class Shout(LogSink):
                def write(self, source, lines):
                    for line in lines:
                        print(source.id, line.text.upper())

                def close(self):
                    pass

            @hookimpl
            def botdock_log_sinks():
                yield LogSinkPlugin(name="shout", factory=lambda config: Shout())
            ```
        """
        yield from ()

    @hookspec
    def botdock_metrics_exporters(self) -> Iterable[MetricsExporterPlugin]:
        """Register exporters of botdock's own metrics.

        Yields:
            One `MetricsExporterPlugin` for each; those named in `metrics.exporters` are used. One that sets
            `wants_total` is given the sum over all runners of the state folder as well, as `snapshot.total`.
            `botdock_testing.MetricsExporterContract` holds an exporter to what is asked.

        Example:
            ```python
            from botdock import MetricsExporter, MetricsExporterPlugin, hookimpl

            class Print(MetricsExporter):
                def export(self, snapshot):
                    print(len(snapshot.operations), "operations")

                def close(self):
                    pass

            @hookimpl
            def botdock_metrics_exporters():
                yield MetricsExporterPlugin(name="print", factory=lambda config: Print())
            ```
        """
        yield from ()

    @hookspec
    def botdock_before_execution(self, execution_id: str, executable: Executable) -> None:
        """Observe that an execution begins: it was validated, nothing of it exists yet.

        Args:
            execution_id: The run.
            executable: What is run.

        Example:
            ```python
            from botdock import hookimpl

            @hookimpl
            def botdock_before_execution(execution_id, executable):
                print("starting", executable.id, "as", execution_id)
            ```
        """

    @hookspec
    def botdock_after_execution(self, executable: Executable, result: ExecutionResult) -> None:
        """Observe that an execution has ended, whatever its outcome; its container is gone, its log complete.

        Args:
            executable: What was run.
            result: How it went.

        Example:
            ```python
            from botdock import hookimpl

            @hookimpl
            def botdock_after_execution(executable, result):
                print(executable.id, result.outcome)
            ```
        """

    @hookspec
    def botdock_on_execution_error(self, execution_id: str, executable: Executable, error: BotdockError) -> None:
        """Observe that botdock could not do its part; `error.phase` says where.

        Args:
            execution_id: The run.
            executable: What was to be run.
            error: What the caller gets to see.

        Example:
            ```python
            from botdock import hookimpl

            @hookimpl
            def botdock_on_execution_error(execution_id, executable, error):
                print(execution_id, "failed in", error.phase, "-", error.message)
            ```
        """

    @hookspec
    def botdock_on_notification(self, notification: Notification) -> None:
        """Observe what the supervisor tells an operator: what `notify.command` and `notify.webhook` get, when they do.

        It is called in a thread of its own, one notification after another, and keeps nothing else waiting.

        Args:
            notification: What happened; `kind` says what it is about.

        Example:
            ```python
            from botdock import hookimpl

            @hookimpl
            def botdock_on_notification(notification):
                print(notification.kind, notification.id, "-", notification.message)
            ```
        """
