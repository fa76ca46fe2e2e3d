"""What the caller can mend, and the names that may have been meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from botdock.errors._machine import EXIT_USAGE, BotdockError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONGEST = 64
"""Characters of a name that are compared with others: the time of it grows with their square, and the name may be a
stranger's."""
_MOST_SHOWN = 30
"""Problems that a message holds; a file that is something else may have thousands."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to two of `known` that `name` may have been meant to be, the nearest first."""
    by_fold = {candidate.casefold(): candidate for candidate in known if len(candidate) <= _LONGEST}
    if len(name) > _LONGEST:
        return []
    return [by_fold[fold] for fold in difflib.get_close_matches(name.casefold(), by_fold, n=2, cutoff=0.6)]


def meant(name: str, known: Iterable[str]) -> str:
    """Return what follows a name that is not known: the one of `known` that it may have been meant to be, else all."""
    names = list(known)
    near = nearest(name, names)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"


class UserError(BotdockError):
    """The caller asked for something that cannot be; changing the request mends it."""

    exit_code = EXIT_USAGE


class _ProblemsError(UserError):
    """Several problems at once, so that a user mends them in one go."""

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        more = [f"and {len(problems) - _MOST_SHOWN:,} more"] if len(problems) > _MOST_SHOWN else []
        super().__init__("\n".join([*problems[:_MOST_SHOWN], *more]), hint=hint)
        self.problems = tuple(problems)


class ConfigError(_ProblemsError):
    """The configuration is wrong.

    To mend it, change each line that is named; `botdock config --path` says which files are read.

    Attributes:
        problems: One line each, as `source: key.path: problem`.
    """


class ExecutableError(_ProblemsError):
    """An `Executable` is wrong.

    To mend it, change each field that is named.

    Attributes:
        problems: One line each, as `field: problem`.
    """


class PolicyError(UserError):
    """The request exceeds what the operator's policy allows.

    To mend it, ask for less, or have the operator change the setting that is named.

    Attributes:
        setting: The configuration key that decides it, such as `policy.networks`.
        file: The operator's file in which it stands; empty for the configuration.
    """

    def __init__(self, message: str, *, setting: str, file: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint or f"An operator can allow it with {setting} in {file or 'botdock.toml'}.")
        self.setting = setting
        self.file = file


class NotFoundError(UserError):
    """Nothing of that name is registered.

    To mend it, write one of the names that the message lists, or install the plugin that has it: `botdock plugins`
    says what is installed, and what could not be loaded and why.

    Attributes:
        kind: What was looked for: `runtime`, `engine`, `storage backend` ...
        name: The name that was asked for.
        known: The names that there are.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str | None = None) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(sorted(known))
        near = nearest(name, self.known)
        there = f"known: {', '.join(self.known)}" if self.known else f"no {kind} is installed"
        choices = f"did you mean {' or '.join(near)}? ({there})" if near else there
        super().__init__(
            f"unknown {kind} {name!r}; {choices}",
            hint=hint or "`botdock plugins` lists what is installed, and what could not be loaded and why.",
        )


class PluginConflictError(UserError):
    """Two distributions registered the same name, so neither is used.

    To mend it, say which you trust in `[plugins.prefer]`, or uninstall the other.

    Attributes:
        kind: The kind of the name: `runtime`, `engine` ...
        name: The name both claim.
        distributions: The distributions that claim it.
    """

    def __init__(self, kind: str, name: str, distributions: Sequence[str]) -> None:
        self.kind = kind
        self.name = name
        self.distributions = tuple(distributions)
        key = f"{kind.split(maxsplit=1)[0]}:{name}"
        choices = " or ".join(f'"{distribution}"' for distribution in self.distributions)
        super().__init__(
            f"{kind} {name!r} is registered by {' and by '.join(self.distributions)}; neither is used",
            hint=f'Say which you trust in botdock.toml: [plugins.prefer] "{key}" = {choices}; or uninstall the other.',
        )


class CodeError(UserError):
    """The bot's code is absent, is not code, or is not what its runtime needs.

    To mend it, do what the hint says to the code; nothing of it was run.

    Attributes:
        source: The folder, archive or key that was given.
    """

    def __init__(self, message: str, *, source: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.source = source


class ArchiveError(UserError):
    """An archive is refused; nothing of it was made visible.

    To mend it, pack the code anew without that entry, as `botdock pack` does, or, where it is a limit, raise it in the
    section `[code]`.

    Attributes:
        entry: The name of the offending entry as it stands in the archive, or None for the archive as a whole.
        limit: The rule or the limit that refused it, such as `traversal` or `total_bytes=536870912`.
    """

    def __init__(self, message: str, *, entry: str | None = None, limit: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.entry = entry
        self.limit = limit


class StorageKeyError(UserError):
    """No storage may hold this key.

    To mend it, name a key as the message says one must be.

    Attributes:
        key: The key as it was given.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"storage key {key[:120]!r}: {problem}")
        self.key = key


class ObjectNotFoundError(UserError):
    """The storage holds no such object.

    To mend it, name one that is there: `botdock storage ls` lists them.

    Attributes:
        key: The key that was asked for.
        backend: The storage that was asked, and where it looked.
    """

    def __init__(self, key: str, *, backend: str, hint: str | None = None) -> None:
        super().__init__(f"no object {key!r} in {backend}", hint=hint)
        self.key = key
        self.backend = backend
