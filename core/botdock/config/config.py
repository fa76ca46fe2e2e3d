"""The root of the configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from botdock.config import rules
from botdock.config.locations import checked_home, home_dir
from botdock.config.rules import Section, spelling
from botdock.config.sections import (
    CodeConfig,
    ContainersConfig,
    Features,
    LoggingConfig,
    MetricsConfig,
    OutboxConfig,
    PluginsConfig,
    Policy,
    RetentionConfig,
    RuntimeConfig,
)
from botdock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from botdock.plugin_manager import PluginManager

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Config(Section):
    """Everything that can be set, with defaults that are safe; a section may be a mapping, as a file has it.

    Example:
        >>> Config(runtime=RuntimeConfig(timeout=60)).runtime.timeout
        60.0

    Attributes:
        engine: Name of the engine; empty means the first isolating one that answers.
        storage: Name of the storage backend.
        home: Where state lies; empty means the platform's state folder.
        logging: The bots' output.
        metrics: Botdock's own metrics.
        runtime: Defaults of every execution.
        containers: How the engine is spoken to.
        code: Bounds of code archives.
        outbox: What waits for the storage.
        retention: How long executions are kept.
        policy: What callers may ask for.
        plugins: Which plugins are loaded.
        features: Feature flags.
        options: Settings of plugins by their names, each an object of the plugin's settings class or a mapping, which
            is read as that class when it is used: `{"local-fs": {"root": "/srv/bots"}}`.
    """

    engine: str = ""
    storage: str = attrs.field(default="local-fs", validator=rules.NAME)
    home: str = attrs.field(default="", validator=rules.PATH)
    logging: LoggingConfig = attrs.field(factory=LoggingConfig)
    metrics: MetricsConfig = attrs.field(factory=MetricsConfig)
    runtime: RuntimeConfig = attrs.field(factory=RuntimeConfig)
    containers: ContainersConfig = attrs.field(factory=ContainersConfig)
    code: CodeConfig = attrs.field(factory=CodeConfig)
    outbox: OutboxConfig = attrs.field(factory=OutboxConfig)
    retention: RetentionConfig = attrs.field(factory=RetentionConfig)
    policy: Policy = attrs.field(factory=Policy)
    plugins: PluginsConfig = attrs.field(factory=PluginsConfig)
    features: Features = attrs.field(factory=Features)
    options: dict[str, Any] = attrs.field(factory=dict, repr=lambda value: f"<of {sorted(value)}>")

    @property
    def home_dir(self) -> Path:
        """The state folder: `home`, else BOTDOCK_HOME through the environment, else the platform's.

        Raises:
            ConfigError: No folder can have that name.
        """
        return home_dir(self.home)

    def checked_home(self, *, make: bool = False) -> Path:
        """Return the state folder, after a look that no other user can write it, replace it, or write its parts.

        Each use of it begins so: what others can write there is code and records that botdock would believe.

        Args:
            make: Whether it is made, readable by this user alone, when it is not there.

        Raises:
            UserError: Others can; names the path, the fault, and the command that mends it.
            BotdockError: It is to be made, and cannot be written.
        """
        return checked_home(self.home_dir, make=make)

    def options_for(self, plugin: str, settings: type[T]) -> T:
        """Return the settings of a plugin; their defaults when nothing sets any.

        Args:
            plugin: Its name.
            settings: The attrs class that it names as its `settings`.

        Raises:
            ConfigError: With every setting that is wrong, as `options.<plugin>.<key>: problem`.
        """
        given: object = next((given for name, given in self.options.items() if spelling(name) == spelling(plugin)), {})
        if isinstance(given, settings):
            return given
        from botdock.config.converter import structure_or_problems
        from botdock.config.layers import InvalidDataError, dotted

        try:
            return structure_or_problems(given, settings)
        except InvalidDataError as error:
            told = [f"{dotted(('options', plugin, *problem.path))}: {problem.text}" for problem in error.problems]
            raise ConfigError(told) from None

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        code: str | os.PathLike[str] | None = None,
        plugins: PluginManager | None = None,
    ) -> Self:
        """Read files, environment and arguments; arguments win over the environment, which wins over the files.

        A `botdock.toml` of the working folder that the user has not trusted (`botdock config trust`) can only tighten;
        one that other users could write is not read, which the log says.

        Args:
            path: The file; None means BOTDOCK_CONFIG's, else that of the platform's config folder and `botdock.toml`
                here over it.
            environ: In place of `os.environ`: BOTDOCK_<SECTION>__<KEY>, and the names that plugins read besides.
            overrides: Nested like the file, such as `{"runtime": {"timeout": "30s"}}`.
            code: The folder that is to be run with it: a `botdock.toml` here that lies in that folder is not read.
            plugins: Whose settings `options` holds; None means what is installed.

        Raises:
            ConfigError: With every problem: `source: key.path: problem`.
        """
        from botdock.config.loading import load

        return load(cls, path, os.environ if environ is None else environ, overrides or {}, code, plugins=plugins)[0]
