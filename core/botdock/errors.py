"""Every error that botdock raises.

The tree::

    BotdockError
     +-- UserError                     the caller can mend it by changing what was asked for
     |    +-- ConfigError              a configuration file, variable or argument
     |    +-- ExecutableError          a field of an `Executable`
     |    +-- PolicyError              more than the operator's policy allows
     |    +-- NotFoundError            a name nobody registered (runtime, engine, storage ...)
     |    +-- PluginConflictError      a name that two distributions registered
     |    +-- CodeError                the code tree: absent, not code, not what its runtime needs
     |    +-- ArchiveError             an archive that is refused, naming the entry and the limit
     |    +-- StorageKeyError          a key that no storage may hold
     |    +-- ObjectNotFoundError      no such object in the storage
     +-- PluginLoadError               a plugin that was asked for and does not load
     +-- EntrypointError               the files that start a bot could not be generated
     +-- StorageError                  the storage could not do its part
     |    +-- StorageUnavailableError  it does not answer; trying again may help
     +-- ContainerError                the engine could not do its part
     |    +-- EngineUnavailableError   it does not answer, refuses us, or is too old
     |    +-- EngineTimeoutError       it answered too late
     |    +-- CapabilityError          it cannot enforce what the policy asks for
     |    +-- ImageError               the image is absent and cannot be pulled
     |    +-- ContainerNotFoundError   it does not know that container
     |    +-- ContainerConflictError   the name is taken: that execution has a container already
     +-- LogError                      the log could not be written or read
     +-- MetricsError                  metrics could not be exported

An expected failure of a *bot* is never one of these: it is an `ExecutionResult`. An exception means
that botdock could not do its part.

Each error carries a message (what, and where it came from), an optional `hint` (how to mend it), and its data
as attributes. The orchestrator adds the `phase` that failed and the `execution_id`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EXIT_USAGE = 2
EXIT_INFRASTRUCTURE = 125


class BotdockError(Exception):
    """The base of all errors of botdock.

    Attributes:
        message: What went wrong, and where it came from; one or two lines.
        hint: How to mend it, or None where nobody can know.
        phase: The phase of the execution that failed, once the orchestrator has seen the error.
        execution_id: The execution it belongs to, if there is one.
    """

    exit_code: ClassVar[int] = EXIT_INFRASTRUCTURE
    """What a command line exits with: 2 where the caller can mend it, 125 where botdock failed."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.phase: str | None = None
        self.execution_id: str | None = None

    def __str__(self) -> str:
        """Return the message and, after it, the hint."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UserError(BotdockError):
    """The caller asked for something that cannot be; changing the request mends it."""

    exit_code = EXIT_USAGE


class _ProblemsError(UserError):
    """Several problems at once, so that a user mends them in one go."""

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = tuple(problems)


class ConfigError(_ProblemsError):
    """The configuration is wrong.

    Attributes:
        problems: One line each, as `source: key.path: problem`.
    """


class ExecutableError(_ProblemsError):
    """An `Executable` is wrong.

    Attributes:
        problems: One line each, as `field: problem`.
    """


class PolicyError(UserError):
    """The request exceeds what the operator's policy allows.

    Attributes:
        setting: The configuration key that decides it, such as `policy.networks`.
    """

    def __init__(self, message: str, *, setting: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint or f"An operator can allow it with {setting} in botdock.toml.")
        self.setting = setting


class NotFoundError(UserError):
    """Nothing of that name is registered.

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
        said = f"did you mean {' or '.join(near)}? ({there})" if near else there
        super().__init__(
            f"unknown {kind} {name!r}; {said}",
            hint=hint or "`botdock plugins` lists what is installed, and what could not be loaded and why.",
        )


class PluginConflictError(UserError):
    """Two distributions registered the same name, so neither is used.

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
        super().__init__(
            f"{kind} {name!r} is registered by {' and by '.join(self.distributions)}; neither is used",
            hint=f'Pick one in botdock.toml: [plugins.prefer] "{key}" = "{self.distributions[0]}"; '
            "or uninstall the other.",
        )


class CodeError(UserError):
    """The bot's code is absent, is no code, or is not what its runtime needs.

    Attributes:
        source: The folder, archive or key that was given.
    """

    def __init__(self, message: str, *, source: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.source = source


class ArchiveError(UserError):
    """An archive is refused; nothing of it was made visible.

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

    Attributes:
        key: The key as it was given.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"storage key {key[:120]!r}: {problem}")
        self.key = key


class ObjectNotFoundError(UserError):
    """The storage holds no such object.

    Attributes:
        key: The key that was asked for.
        backend: The storage that was asked, and where it looked.
    """

    def __init__(self, key: str, *, backend: str, hint: str | None = None) -> None:
        super().__init__(f"no object {key!r} in {backend}", hint=hint)
        self.key = key
        self.backend = backend


class PluginLoadError(BotdockError):
    """A plugin that was asked for by name did not load.

    Attributes:
        distribution: Where the plugin comes from.
        reason: Why it did not load.
    """

    def __init__(self, message: str, *, distribution: str, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.distribution = distribution
        self.reason = reason


class EntrypointError(BotdockError):
    """The files that start a bot could not be generated."""


class StorageError(BotdockError):
    """The storage could not do its part.

    Attributes:
        key: The key it was about, if any.
        backend: The storage, and where it is.
    """

    def __init__(
        self, message: str, *, backend: str = "storage", key: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.key = key
        self.backend = backend


class StorageUnavailableError(StorageError):
    """The storage does not answer; trying again later may help."""


class ContainerError(BotdockError):
    """The engine could not do its part.

    Attributes:
        engine: The name of the engine.
        operation: What was asked of it, such as `create`.
        container_id: The container it was about, if any.
    """

    def __init__(
        self,
        message: str,
        *,
        engine: str = "",
        operation: str = "",
        container_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.engine = engine
        self.operation = operation
        self.container_id = container_id


class EngineUnavailableError(ContainerError):
    """The engine does not answer, refuses us, or is too old."""


class EngineTimeoutError(ContainerError):
    """The engine did not answer in time."""


class CapabilityError(ContainerError):
    """The engine cannot enforce what the policy asks for.

    Attributes:
        missing: Each feature that is not enforced, with the engine's reason.
    """

    def __init__(self, message: str, *, engine: str, missing: dict[str, str], hint: str | None = None) -> None:
        super().__init__(message, engine=engine, operation="create", hint=hint)
        self.missing = missing


class ImageError(ContainerError):
    """The image is absent and cannot be pulled.

    Attributes:
        image: The reference that was asked for.
    """

    def __init__(self, message: str, *, image: str, engine: str = "", hint: str | None = None) -> None:
        super().__init__(message, engine=engine, operation="ensure_image", hint=hint)
        self.image = image


class ContainerNotFoundError(ContainerError):
    """The engine knows no such container."""


class ContainerConflictError(ContainerError):
    """The name is taken: an execution never has two containers."""


class LogError(BotdockError):
    """The log could not be written or read."""


class MetricsError(BotdockError):
    """Metrics could not be exported."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to two of `known` that `name` may have been meant to be, the nearest first."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    return [by_fold[fold] for fold in difflib.get_close_matches(name.casefold(), by_fold, n=2, cutoff=0.6)]
