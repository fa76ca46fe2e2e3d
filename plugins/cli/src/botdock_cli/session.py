"""What the global options hold, for the commands, and what all of them open."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing's own takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any, TextIO

    from loguru import Message

    from botdock import Runner
    from botdock.config import Config
    from botdock.executions import Executions
    from botdock.plugin_manager import PluginManager


class Session:
    """One call of `botdock`.

    Attributes:
        config_file: The file that `--config-file` named, before or after the verb.
        debug: Whether an error shows its traceback, and botdock its whole log.
    """

    __slots__ = ("_loaded", "config_file", "debug")

    def __init__(self) -> None:
        self._loaded: tuple[Config, PluginManager] | None = None
        self.config_file: str | None = None
        self.debug = False

    def load_config(self, overrides: Mapping[str, Any] | None = None, *, code: str | None = None) -> Config:
        """Read the configuration, and say so when the file of the working folder is not read.

        Args:
            overrides: What options change in it, nested like the file.
            code: The folder that is to be run.

        Raises:
            ConfigError: With every problem of it.
        """
        from botdock.config import Config, find_config_files, load
        from botdock_cli.report import say

        files = find_config_files(self.config_file, os.environ, code)
        if files.ignored:
            say(f"{files.folder} is not read: {files.ignored}\n{files.remedy}")
        self._loaded = load(Config, self.config_file, os.environ, overrides or {}, code)
        return self._loaded[0]

    @property
    def is_loaded(self) -> bool:
        """Whether a configuration was read, and is right."""
        return self._loaded is not None

    @property
    def config(self) -> Config:
        """The configuration that was read last; it is read where none was. Raises as `load_config` does."""
        return self._loaded[0] if self._loaded else self.load_config()

    @property
    def plugins(self) -> PluginManager:
        """What is installed, as that configuration says. Raises as `load_config` does."""
        if self._loaded is None:
            self.load_config()
        assert self._loaded is not None  # noqa: S101 - else the configuration is wrong
        return self._loaded[1]

    def home(self) -> Path:
        """Return the configured state folder; no plugin is loaded for it.

        Raises:
            ConfigError: The configuration is wrong.
            UserError: Other users could write the state folder.
            BotdockError: It is not a folder.
        """
        from botdock.config import load_home

        return self._loaded[0].checked_home() if self._loaded else load_home(self.config_file)

    def executions(self) -> Executions:
        """Return the executions of that folder. Raises as `home` does."""
        from botdock.executions import Executions

        return Executions(self.home())

    def open_runner(self, engine: str | None = None) -> Runner:
        """Return the facade, set up by the configuration, for another engine where one is named."""
        import attrs

        from botdock.runner import Runner

        config = attrs.evolve(self.config, engine=engine) if engine else self.config
        return Runner(config, plugins=self.plugins)

    def leftovers(self, engine: str = "") -> list[Any]:
        """Return what `recover` would do on an engine, the configured one if none is named; changes nothing."""
        import attrs

        from botdock.factory import ServiceFactory

        return ServiceFactory(attrs.evolve(self.config, engine=engine or self.config.engine), self.plugins).leftovers()

    def show_log(self, level: str = "WARNING") -> None:
        """Send the log of botdock and its plugins to stderr: of that level and worse, or with `debug` all of it."""
        from loguru import logger

        from botdock.logging import enable

        enable()
        logger.remove()
        logger.add(_show, level="TRACE" if self.debug else level, format="{message}")


def _show(message: Message) -> None:
    from botdock_cli.report import say

    record = message.record
    details = ", ".join(f"{name}={value}" for name, value in record["extra"].items())
    level = record["level"].name.lower()
    say(f"{level}: {record['message']}{f' ({details})' if details else ''}")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` is there and is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()
