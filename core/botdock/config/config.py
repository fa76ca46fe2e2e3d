"""The root of the configuration."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from botdock.config import rules
from botdock.config.section import Section, spelling
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
from botdock.errors import BotdockError, ConfigError, UserError
from botdock.model._validation import path_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock.plugin_manager import PluginManager

T = TypeVar("T")

CONFIG_FILE_NAME = "botdock.toml"
CONFIG_VARIABLE = "BOTDOCK_CONFIG"
"""Names the configuration file; else `botdock.toml` of the working folder over that of the platform's config folder."""

_ANOTHER_HOME = "BOTDOCK_HOME=DIR names another state folder."


def platform_folder(kind: str) -> Path:
    """Return the user's own folder of a kind, `config` or `state`.

    Raises:
        ConfigError: It would be one of the working folder, which may be a stranger's.
    """
    import platformdirs

    folder = Path()
    with suppress(RuntimeError):  # there is neither HOME nor an entry of this user
        folder = Path(getattr(platformdirs, f"user_{kind}_dir")("botdock", appauthor=False))
    if not folder.is_absolute():
        name = f"XDG_{kind.upper()}_HOME"
        raise ConfigError([f"HOME: is not set to an absolute path, nor {name}: where is botdock's {kind}?"])
    return folder


def _make_or_problem(home: Path) -> str:
    """Make the state folder where it is not there, and return why nothing can be written to it; else nothing."""
    from botdock._ownership import make_private

    try:
        make_private(home)
    except OSError as error:
        return error.strerror or str(error)
    if not home.is_dir():
        return os.strerror(errno.ENOTDIR)
    return "" if os.access(home, os.W_OK | os.X_OK) else "permission denied, or a file system that is read-only"


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
        home = self.home or str(platform_folder("state"))
        try:
            problem = path_problem(home) or path_problem(str(path := Path(home).expanduser().absolute()))
        except OSError as error:
            problem = f"the working folder is gone: {error.strerror}"
        if problem:
            raise ConfigError([f"home: {problem}"], hint=_ANOTHER_HOME)
        return path

    def checked_home(self, *, make: bool = False) -> Path:
        """Return the state folder, after a look that no other user can write it, replace it, or write its parts.

        Each use of it begins so: what others can write there is code and records that botdock would believe.

        Args:
            make: Whether it is made, readable by this user alone, when it is not there.

        Raises:
            UserError: Others can; names the path, the fault, and the command that mends it.
            BotdockError: It is to be made, and cannot be written.
        """
        from botdock._ownership import fault_of, part_fault

        home = self.home_dir
        problem = _make_or_problem(home) if make else ""
        fault = fault_of(home)
        if fault is None:
            with suppress(OSError):  # not there yet; or not ours to read, which its first use tells
                fault = next(filter(None, map(part_fault, sorted(home.iterdir()))), None)
        if fault is None and problem:
            raise BotdockError(
                f"cannot write the state folder {home}: {problem}", hint=f"Make it writable. {_ANOTHER_HOME}"
            )
        if fault is None:
            return home
        left = f"; then remove {home / 'cache'}, where others may have left code" if fault.path == home else ""
        raise UserError(f"the state folder {home} is not used: {fault}", hint=f"{fault.remedy}{left}. {_ANOTHER_HOME}")

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
        from botdock.config.problems import InvalidDataError, dotted

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
