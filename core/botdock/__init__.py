"""botdock runs other people's code in single-use, locked-down containers.

    from botdock import Config, DockerRunner, Executable

    with DockerRunner(Config.load()) as runner:
        bot = Executable(id="hello", runtime="python3.11", file_path="examples/hello-python")
        print(runner.run(bot).value)

Names are imported on first use, so that `import botdock` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botdock.config import Config as Config
    from botdock.docker_runner import DockerRunner as DockerRunner
    from botdock.docker_runner import Execution as Execution
    from botdock.entrypoints import shell_entrypoint as shell_entrypoint
    from botdock.entrypoints import wrapper_entrypoint as wrapper_entrypoint
    from botdock.errors import BotdockError as BotdockError
    from botdock.hookspecs import hookimpl as hookimpl
    from botdock.model import Check as Check
    from botdock.model import CheckStatus as CheckStatus
    from botdock.model import Engine as Engine
    from botdock.model import EngineCapabilities as EngineCapabilities
    from botdock.model import EnginePlugin as EnginePlugin
    from botdock.model import Executable as Executable
    from botdock.model import ExecutionResult as ExecutionResult
    from botdock.model import Feature as Feature
    from botdock.model import Limits as Limits
    from botdock.model import LogSink as LogSink
    from botdock.model import LogSinkPlugin as LogSinkPlugin
    from botdock.model import MetricsExporter as MetricsExporter
    from botdock.model import MetricsExporterPlugin as MetricsExporterPlugin
    from botdock.model import Outcome as Outcome
    from botdock.model import Packages as Packages
    from botdock.model import ResultFormat as ResultFormat
    from botdock.model import Runtime as Runtime
    from botdock.model import RuntimeCapabilities as RuntimeCapabilities
    from botdock.model import StorageBackend as StorageBackend
    from botdock.model import StorageBackendPlugin as StorageBackendPlugin
    from botdock.model import read_code as read_code
    from botdock.plugin_manager import PluginManager as PluginManager

_HOMES = {
    "BotdockError": "botdock.errors",
    "Config": "botdock.config",
    "DockerRunner": "botdock.docker_runner",
    "Execution": "botdock.docker_runner",
    "PluginManager": "botdock.plugin_manager",
    "hookimpl": "botdock.hookspecs",
    "shell_entrypoint": "botdock.entrypoints",
    "wrapper_entrypoint": "botdock.entrypoints",
}
"""Where a name lives, if not in `botdock.model`."""

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
    "Runtime",
    "RuntimeCapabilities",
    "StorageBackend",
    "StorageBackendPlugin",
    "hookimpl",
    "read_code",
    "shell_entrypoint",
    "wrapper_entrypoint",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'botdock' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "botdock.model")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
