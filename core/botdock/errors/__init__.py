"""Every error that botdock raises.

The tree:

    BotdockError
     +-- UserError                     the caller can mend it by changing what was asked for
     |    +-- ConfigError              a configuration file, variable or argument
     |    +-- ExecutableError          a field of an `Executable`
     |    +-- PolicyError              more than the operator's policy allows
     |    +-- NotFoundError            a name that is not registered (runtime, engine ...)
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

from botdock.errors._machine import (
    EXIT_INFRASTRUCTURE,
    EXIT_USAGE,
    BotdockError,
    CapabilityError,
    ContainerConflictError,
    ContainerError,
    ContainerNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    EntrypointError,
    ImageError,
    LogError,
    MetricsError,
    PluginLoadError,
    StorageError,
    StorageUnavailableError,
)
from botdock.errors._user import (
    ArchiveError,
    CodeError,
    ConfigError,
    ExecutableError,
    NotFoundError,
    ObjectNotFoundError,
    PluginConflictError,
    PolicyError,
    StorageKeyError,
    UserError,
    meant,
    nearest,
)

__all__ = [
    "EXIT_INFRASTRUCTURE",
    "EXIT_USAGE",
    "ArchiveError",
    "BotdockError",
    "CapabilityError",
    "CodeError",
    "ConfigError",
    "ContainerConflictError",
    "ContainerError",
    "ContainerNotFoundError",
    "EngineTimeoutError",
    "EngineUnavailableError",
    "EntrypointError",
    "ExecutableError",
    "ImageError",
    "LogError",
    "MetricsError",
    "NotFoundError",
    "ObjectNotFoundError",
    "PluginConflictError",
    "PluginLoadError",
    "PolicyError",
    "StorageError",
    "StorageKeyError",
    "StorageUnavailableError",
    "UserError",
    "meant",
    "nearest",
]
