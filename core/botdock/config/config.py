"""The root of the configuration; and the whole of it as plain data and as TOML, to be shown or written down."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from botdock.config import rules
from botdock.config.locations import checked_home, home_dir
from botdock.config.pool import PoolConfig
from botdock.config.rules import SECRET, InvalidDataError, Section, dotted, spelling
from botdock.config.sections import (
    CodeConfig,
    ContainersConfig,
    Features,
    LoggingConfig,
    MetricsConfig,
    NotifyConfig,
    OutboxConfig,
    PluginsConfig,
    Policy,
    RetentionConfig,
    RuntimeConfig,
    SupervisorConfig,
)
from botdock.errors import ConfigError

if TYPE_CHECKING:
    from botdock.plugin_manager import PluginManager

T = TypeVar("T")

MASK = "***"

_SECRET_KEY = re.compile(r"secret|passw|token|key|credential", re.IGNORECASE)
_LEAST = 8
"""Characters of the shortest secret, as of a secret key of MinIO; a user `admin` shall not mask that word."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


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
        supervisor: How many bots run at once, and how soon one is restarted.
        pool: Which containers wait for a run, and how many.
        notify: Whom the supervisor tells of what an operator should know.
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
    supervisor: SupervisorConfig = attrs.field(factory=SupervisorConfig)
    pool: PoolConfig = attrs.field(factory=PoolConfig)
    notify: NotifyConfig = attrs.field(factory=NotifyConfig)
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
            BotdockError: It is not a folder; or it is to be made, and cannot be written.
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
        from botdock.config.converter import structure

        try:
            return structure(given, settings)
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


def document(config: Config, *, show_secrets: bool = False) -> dict[str, Any]:
    """Return the configuration as plain nested data, such as JSON and TOML can hold.

    Args:
        config: The configuration.
        show_secrets: Whether secrets stand there as they are; otherwise as `***`. In `options`, whose meaning only
            plugins know, everything counts as secret whose key looks like it.
    """
    return _table(config, show_secrets=show_secrets)


def secrets_of(config: Config) -> list[str]:
    """Return the secrets of a configuration: what `document` would mask, but for texts that are too short for one."""
    return [text for text in _differences(document(config, show_secrets=True), document(config)) if len(text) >= _LEAST]


def _differences(shown: Any, masked: Any) -> Iterator[str]:
    if masked == MASK != shown:
        yield str(shown)
    elif isinstance(masked, Mapping):
        for key, inner in masked.items():
            yield from _differences(shown[key], inner)


def _table(section: Any, *, show_secrets: bool, of_plugin: bool = False) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for field in attrs.fields(type(section)):
        value = getattr(section, field.name)
        if attrs.has(type(value)):
            table[field.name] = _table(value, show_secrets=show_secrets, of_plugin=of_plugin)
        elif field.metadata.get(SECRET) and value and not show_secrets:
            table[field.name] = MASK
        elif of_plugin:
            table[field.name] = _option(field.name, value, mask=not show_secrets)
        else:
            table[field.name] = _plain(value, mask=not show_secrets and field.name == "options")
    return table


def _plain(value: object, *, mask: bool) -> Any:
    match value:
        case _ if attrs.has(type(value)):
            return _table(value, show_secrets=not mask, of_plugin=True)
        case Mapping():
            return {str(key): _option(str(key), inner, mask=mask) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, mask=mask) for inner in value]
        case Enum():
            return value.value
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value) if isinstance(value, Path) else value


def _option(key: str, value: object, *, mask: bool) -> Any:
    is_table = isinstance(value, Mapping) or attrs.has(type(value))
    hidden = mask and not is_table and value and _SECRET_KEY.search(key)
    return MASK if hidden else _plain(value, mask=mask)


def to_toml(document: Mapping[str, Any]) -> str:
    """Return plain nested data as TOML, which has no null: what is None is left out.

    Example:
        >>> print(to_toml({"engine": "mine", "code": {"depth": 9, "ratio": None}}), end="")
        engine = "mine"
        <BLANKLINE>
        [code]
        depth = 9
    """
    return "\n".join(_lines(document, ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping) and value is not None}
    if path and (values or not table):
        yield from ("", f"[{'.'.join(map(_key, path))}]")
    for key, value in values.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*path, key))


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case Mapping():
            pairs = (f"{_key(key)} = {_value(inner)}" for key, inner in value.items() if inner is not None)
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            return f"[{', '.join(_value(inner) for inner in value if inner is not None)}]"
        case _:
            return repr(value)


def _text(text: str) -> str:
    """Return a TOML string; JSON's escapes are TOML's too, and DEL must be escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
