"""What plugins register: small descriptions, whose factories do the heavy imports."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from botdock.config import Config
    from botdock.model.engine import Engine
    from botdock.model.logs import LogSink
    from botdock.model.metrics import MetricsExporter
    from botdock.model.storage import StorageArea, StorageBackend


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not all of it, or not as safely."""
    FAILED = "failed"
    """It does not work."""


@attrs.frozen(kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What, such as `docker.memory`.
        status: How it ended.
        detail: What was seen.
        remedy: The command or setting that mends it; empty when there is nothing to mend.
    """

    name: str
    status: CheckStatus
    detail: str
    remedy: str = ""

    @classmethod
    def ok(cls, name: str, detail: str) -> Self:
        """Return what works."""
        return cls(name=name, status=CheckStatus.OK, detail=detail)

    @classmethod
    def warning(cls, name: str, detail: str, remedy: str = "") -> Self:
        """Return what works, but not all of it, or is not needed."""
        return cls(name=name, status=CheckStatus.WARNING, detail=detail, remedy=remedy)

    @classmethod
    def failed(cls, name: str, detail: str, remedy: str = "") -> Self:
        """Return what does not work."""
        return cls(name=name, status=CheckStatus.FAILED, detail=detail, remedy=remedy)


def _no_checks(_config: Config) -> Iterable[Check]:
    return ()


@attrs.frozen(kw_only=True)
class EnginePlugin:
    """An engine that can be had.

    Attributes:
        name: As in `--engine NAME`.
        summary: One line for `botdock plugins`.
        factory: Makes the engine; imports its client library here. May raise `EngineUnavailableError`.
        automatic: Whether it may be chosen when no engine is named; only for engines that isolate.
        checks: What `botdock doctor` asks; does not raise.
        settings: The attrs class of `[options.<name>]`, which the factory gets by `config.options_for(name, settings)`;
            None means that there are none.
        section: Another name of that section, at the top of the file: `docker` for `[docker]`.
        images: Whether it runs images, or what tells so of a configuration; one that does not takes interpreters from
            PATH. What tells may raise `ConfigError`.
    """

    name: str
    summary: str = ""
    factory: Callable[[Config], Engine]
    automatic: bool = False
    checks: Callable[[Config], Iterable[Check]] = _no_checks
    settings: type | None = None
    section: str = ""
    images: bool | Callable[[Config], bool] = True

    def runs_images(self, config: Config) -> bool:
        """Tell whether it runs images under a configuration.

        Raises:
            ConfigError: The engine's settings are wrong.
        """
        return self.images if isinstance(self.images, bool) else self.images(config)


@attrs.frozen(kw_only=True)
class StorageBackendPlugin:
    """A storage that can be had.

    Attributes:
        name: As in `storage = NAME`.
        summary: One line for `botdock plugins`.
        factory: Opens the backend of one area; imports its client library here.
        checks: What `botdock doctor` asks; does not raise.
        settings: The attrs class of `[options.<name>]`, which the factory gets by `config.options_for(name, settings)`;
            None means that there are none.
        section: Another name of that section, at the top of the file.
    """

    name: str
    summary: str = ""
    factory: Callable[[Config, StorageArea], StorageBackend]
    checks: Callable[[Config], Iterable[Check]] = _no_checks
    settings: type | None = None
    section: str = ""


@attrs.frozen(kw_only=True)
class LogSinkPlugin:
    """A sink of log lines that can be had.

    Attributes:
        name: As in `logging.sinks`.
        summary: One line for `botdock plugins`.
        factory: Opens the sink.
        settings: The attrs class of `[options.<name>]`, which the factory gets by `config.options_for(name, settings)`;
            None means that there are none.
    """

    name: str
    summary: str = ""
    factory: Callable[[Config], LogSink]
    settings: type | None = None


@attrs.frozen(kw_only=True)
class MetricsExporterPlugin:
    """An exporter of metrics that can be had.

    Attributes:
        name: As in `metrics.exporters`.
        summary: One line for `botdock plugins`.
        factory: Opens the exporter.
        settings: The attrs class of `[options.<name>]`, which the factory gets by `config.options_for(name, settings)`;
            None means that there are none.
    """

    name: str
    summary: str = ""
    factory: Callable[[Config], MetricsExporter]
    settings: type | None = None
