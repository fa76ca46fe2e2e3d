"""What all sections share: how they check themselves, and what a field says of itself, a plugin's like the core's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdock.config.rules import Rule

SECRET = "secret"  # noqa: S105 - the name of a mark, not a secret
"""Metadata key of fields that no repr, log or listing may show."""
VARIABLE = "variable"
"""Metadata key: an environment variable of another name that sets the field too; an empty one counts as absent."""
TIGHTENS = "tightens"
"""Metadata key: what tells, of a value and another, whether the other is stricter."""
LIMIT = "limit"
"""Metadata key: the field of `Limits` whose default it is on that engine, unless it is 0."""


def spelling(name: str) -> str:
    """Return a plugin's name as it is compared: case does not matter, and `_` and `.` stand for `-`."""
    return re.sub(r"[-_.]+", "-", name).casefold()


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


def setting(
    default: Any,
    *,
    rule: Rule | None = None,
    secret: bool = False,
    variable: str = "",
    tightens: Callable[[Any, Any], bool] | None = None,
    limit: str = "",
) -> Any:
    """Return an attrs field for a plugin's settings.

    Args:
        default: Its value when nothing sets it.
        rule: What its value must be.
        secret: Whether it is never shown.
        variable: An environment variable that sets it as well, such as one that others read too.
        tightens: Given a value and another, whether the other is stricter; then a `botdock.toml` of the working folder
            that the user has not trusted may set it. Without, it may not.
        limit: For an engine: the field of `Limits` whose default it is, unless it is 0.
    """
    said = {SECRET: secret, VARIABLE: variable, TIGHTENS: tightens, LIMIT: limit}
    metadata = {key: value for key, value in said.items() if value}
    return attrs.field(default=default, validator=rule, repr=_masked if secret else True, metadata=metadata)
