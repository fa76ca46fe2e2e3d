"""The base of all errors, and what botdock, an engine or a storage could not do."""

from __future__ import annotations

from typing import Any, ClassVar

EXIT_USAGE = 2
"""What a command line exits with where the caller can mend it."""
EXIT_INFRASTRUCTURE = 125
"""What it exits with where botdock could not do its part."""


class BotdockError(Exception):
    """The base of all errors of botdock.

    Attributes:
        message: What went wrong, and where it came from; one or two lines.
        hint: How to mend it, or None where that is not known.
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

    def __reduce__(self) -> tuple[Any, ...]:
        """Be copied and pickled whole, whatever the constructor asks for: errors cross pools of processes."""
        return _bare, (type(self), self.args), self.__dict__

    def __str__(self) -> str:
        """Return the message and, after it, the hint."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


def _bare(kind: type[BotdockError], args: tuple[Any, ...]) -> BotdockError:
    return kind.__new__(kind, *args)


class PluginLoadError(BotdockError):
    """A plugin that was asked for by name did not load.

    To mend it, see `botdock plugins` for the reason with its file and line, and update, mend or uninstall the
    distribution.

    Attributes:
        distribution: Where the plugin comes from.
        reason: Why it did not load.
    """

    def __init__(self, message: str, *, distribution: str, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.distribution = distribution
        self.reason = reason


class EntrypointError(BotdockError):
    """The files that start a bot could not be generated.

    To mend it, update or mend the plugin of the runtime; `botdock plugins` names its distribution.
    """


class StorageError(BotdockError):
    """The storage could not do its part.

    To mend it, see what the storage answered: space, rights, the name of a bucket. `botdock doctor` asks it.

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
    """The storage does not answer; trying again later may help.

    To mend it, see that the storage runs and that its address is right, and try again. What was to be stored waits in
    the outbox meanwhile.
    """


class ContainerError(BotdockError):
    """The engine could not do its part.

    To mend it, see what the engine answered, and what `botdock doctor` says of it.

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
    """The engine does not answer, refuses us, or is too old.

    To mend it, start the engine, name it where it is (`DOCKER_HOST`, `[docker] host`), give your user the right to it,
    or name another with `--engine`. `botdock doctor` says which of these it is.
    """


class EngineTimeoutError(ContainerError):
    """The engine did not answer in time.

    To mend it, try again when the engine has less to do, or give it longer with `containers.call_timeout`.
    """


class CapabilityError(ContainerError):
    """The engine cannot enforce what the policy asks for.

    To mend it, do what the hint says on the engine's machine, take an engine that enforces it, or accept the lack for
    this engine in `policy.unenforced`.

    Attributes:
        missing: Each feature that is not enforced, with the engine's reason.
    """

    def __init__(self, message: str, *, engine: str, missing: dict[str, str], hint: str | None = None) -> None:
        super().__init__(message, engine=engine, operation="create", hint=hint)
        self.missing = missing


class ImageError(ContainerError):
    """The image is absent and cannot be pulled.

    To mend it, see that the name is right and that the registry can be reached and lets you in, or bring the image to
    the engine yourself; `containers.pull` says when one is pulled.

    Attributes:
        image: The reference that was asked for.
        transient: Whether trying again may help: the registry stumbled, it did not refuse.
        is_absent: Whether the engine knows that the image is absent; else it cannot tell which it has.
    """

    def __init__(
        self,
        message: str,
        *,
        image: str,
        engine: str = "",
        hint: str | None = None,
        transient: bool = False,
        is_absent: bool = True,
    ) -> None:
        super().__init__(message, engine=engine, operation="ensure_image", hint=hint)
        self.image = image
        self.transient = transient
        self.is_absent = is_absent


class ContainerNotFoundError(ContainerError):
    """The engine knows no such container.

    To mend it, start the bot again, and leave its container to botdock: another program has removed it.
    """


class ContainerConflictError(ContainerError):
    """The name is taken: an execution never has two containers.

    To mend it, let `botdock recover` take over the execution that has the container, or remove it there.
    """


class LogError(BotdockError):
    """The log could not be written or read.

    To mend it, see that the disk of the state folder has space and can be written; `botdock logs --verify` says what
    is damaged.
    """


class MetricsError(BotdockError):
    """Metrics could not be exported.

    To mend it, see that the address or the folder of the exporter is free and can be used.
    """
