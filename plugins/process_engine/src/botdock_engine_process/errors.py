"""From the system's errors to botdock's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botdock.errors import ContainerConflictError, ContainerError, ContainerNotFoundError, EngineTimeoutError
from botdock_engine_process.capabilities import ENGINE


@contextmanager
def mapped(operation: str, container_id: str | None = None) -> Iterator[None]:
    """Raise what the operating system raises as the error of botdock that it means.

    Args:
        operation: What the engine was asked for.
        container_id: The container it is about, if it is about one.
    """
    try:
        yield
    except OSError as error:
        kind, message = _meaning(error, operation, container_id)
        raise kind(message, engine=ENGINE, operation=operation, container_id=container_id) from error


def _meaning(error: OSError, operation: str, container_id: str | None) -> tuple[type[ContainerError], str]:
    match error:
        case FileExistsError() if operation == "create":
            return ContainerConflictError, f"there is a container {container_id!r} already"
        case FileNotFoundError() if operation != "create":
            return ContainerNotFoundError, f"there is no container {container_id!r}"
        case TimeoutError():
            return EngineTimeoutError, f"{operation} of container {container_id!r}: {error}"
    return ContainerError, f"cannot {operation.replace('_', ' ')} container {container_id!r}: {error}"
