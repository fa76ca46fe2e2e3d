"""What the sections of the configuration share: how they check themselves, and how a secret is marked."""

from __future__ import annotations

from typing import Any, cast

import attrs

SECRET = "secret"  # noqa: S105 - the name of a mark, not a secret
"""Metadata key of fields that no repr, log or listing may show."""


def _masked(value: object) -> str:
    return "'***'" if value else "''"


class Section:
    """What the sections of the configuration share: they check all that they are constructed of, at once."""

    __slots__ = ()

    def __attrs_post_init__(self) -> None:
        """Check every field as strictly as that of a file.

        Raises:
            ConfigError: With every problem as `field: problem`.
        """
        fields = attrs.fields(cast("Any", type(self)))
        if not all(_is_default(getattr(self, field.name), field.default) for field in fields):
            from botdock.config.converter import settle

            settle(self)


def _is_default(value: object, default: Any) -> bool:
    """Tell whether nothing was given, so that the converter, slow to import, has nothing to look at."""
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type] # attrs says it is a function
        return type(value) is default.factory and (attrs.has(type(value)) or not value)
    return type(value) is type(default) and value == default


def secret() -> Any:
    """Return an attrs field for a text that is never shown."""
    return attrs.field(default="", repr=_masked, metadata={SECRET: True})
