"""botdock runs other people's code in single-use, locked-down containers.

    from botdock import Config, Executable, Runner

    with Runner(Config.load()) as runner:
        bot = Executable(id="hello", runtime="python3.11", file_path="examples/hello-python")
        print(runner.run(bot).value)

Names are imported on first use, so that `import botdock` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdock._lazy import importing as _importing

if TYPE_CHECKING:
    from botdock.config import Config
    from botdock.docker_runner import DockerRunner
    from botdock.entrypoints import shell_entrypoint, wrapper_entrypoint
    from botdock.errors import BotdockError
    from botdock.hookspecs import hookimpl
    from botdock.model import (
        Check,
        CheckStatus,
        Engine,
        EngineCapabilities,
        EnginePlugin,
        Executable,
        ExecutionResult,
        Feature,
        Limits,
        LogSink,
        LogSinkPlugin,
        MetricsExporter,
        MetricsExporterPlugin,
        Outcome,
        Packages,
        ResultFormat,
        Runtime,
        RuntimeCapabilities,
        StorageBackend,
        StorageBackendPlugin,
        read_code,
    )
    from botdock.plugin_manager import PluginManager
    from botdock.runner import Execution, Runner

_HOMES = {
    "config": "Config",
    "docker_runner": "DockerRunner",
    "entrypoints": "shell_entrypoint wrapper_entrypoint",
    "errors": "BotdockError",
    "hookspecs": "hookimpl",
    "model": "Check CheckStatus Engine EngineCapabilities EnginePlugin Executable ExecutionResult Feature Limits "
    "LogSink LogSinkPlugin MetricsExporter MetricsExporterPlugin Outcome Packages ResultFormat Runtime "
    "RuntimeCapabilities StorageBackend StorageBackendPlugin read_code",
    "plugin_manager": "PluginManager",
    "runner": "Execution Runner",
}
"""Which names live in which module."""

__all__ = [
    "BotdockError",
    "Check",
    "CheckStatus",
    "Config",
    "DockerRunner",
    "Engine",
    "EngineCapabilities",
    "EnginePlugin",
    "Executable",
    "Execution",
    "ExecutionResult",
    "Feature",
    "Limits",
    "LogSink",
    "LogSinkPlugin",
    "MetricsExporter",
    "MetricsExporterPlugin",
    "Outcome",
    "Packages",
    "PluginManager",
    "ResultFormat",
    "Runner",
    "Runtime",
    "RuntimeCapabilities",
    "StorageBackend",
    "StorageBackendPlugin",
    "hookimpl",
    "read_code",
    "shell_entrypoint",
    "wrapper_entrypoint",
]


if not TYPE_CHECKING:  # a type checker is to see unknown names as errors
    __getattr__ = _importing(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
