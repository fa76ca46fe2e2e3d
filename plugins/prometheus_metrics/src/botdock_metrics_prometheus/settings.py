"""The settings of this plugin: `[options.prometheus]`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from botdock import Config
from botdock.config import Section, setting
from botdock.config.rules import Rule, number
from botdock.errors import ConfigError

NAME = "prometheus"
SUFFIX = ".prom"
"""What the node exporter's textfile collector reads; it ignores all other files."""
_LAST_PORT = 65_535


def _textfile_problem(name: str) -> str | None:
    if not name or name.endswith(SUFFIX):
        return None
    return f"{name!r} must end with {SUFFIX}, or the node exporter ignores it"


@attrs.frozen(kw_only=True)
class PrometheusSettings(Section):
    """Where metrics go; at least one of `port` and `textfile` must be set.

    Attributes:
        port: Of the HTTP endpoint; 0 means none.
        address: That the endpoint listens on.
        textfile: File for the node exporter, written anew after each execution; empty means none.
    """

    port: int = setting(0, rule=number(0, _LAST_PORT))
    address: str = "127.0.0.1"
    textfile: str = setting("", rule=Rule(_textfile_problem))


def read_settings(config: Config) -> PrometheusSettings:
    """Return the settings.

    Raises:
        ConfigError: With every setting that is wrong.
    """
    settings = config.options_for(NAME, PrometheusSettings)
    if problems := [f"options.{NAME}.{problem}" for problem in _problems(settings)]:
        raise ConfigError(problems)
    return settings


def _problems(settings: PrometheusSettings) -> Iterator[str]:
    if not settings.port and not settings.textfile:
        yield "port: set port or textfile, or both; without either, nothing is exported"
    if settings.port and not settings.address:
        yield "address: must not be empty; 127.0.0.1 is this machine alone, 0.0.0.0 every interface"
    if settings.textfile and not Path(settings.textfile).expanduser().parent.is_dir():
        yield f"textfile: the folder of {settings.textfile!r} does not exist; create it"
