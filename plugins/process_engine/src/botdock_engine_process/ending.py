"""How a container is waited for, stopped and killed."""

from __future__ import annotations

import time

from botdock.model import ContainerState, ContainerStatus
from botdock_engine_process import processes
from botdock_engine_process.folder import ContainerFolder
from botdock_engine_process.supervisor import layout


def wait_for_exit(folder: ContainerFolder, *, timeout: float) -> ContainerStatus | None:
    """Return how the bot ended, or None when it still runs, or has not begun, after `timeout` seconds.

    Raises:
        FileNotFoundError: There is no such container, or no longer.
    """
    deadline = time.monotonic() + timeout
    while (status := folder.status()).state is not ContainerState.EXITED:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        processes.wait_for_end(folder.record(layout.SUPERVISOR), left)
    return status


def stop(folder: ContainerFolder, *, grace: float, timeout: float) -> None:
    """Let the supervisor stop the bot, if it runs.

    Raises:
        TimeoutError: It has not ended in time.
    """
    if folder.status().state is not ContainerState.RUNNING:
        return
    _tell_to_stop(folder, grace)
    if wait_for_exit(folder, timeout=grace + timeout) is None:
        raise TimeoutError(f"it has not ended {timeout:g} s after it was to be killed")


def kill(folder: ContainerFolder, *, timeout: float) -> None:
    """Kill the bot, by its supervisor or, where that is dead or does not answer, over its head."""
    folder.file(layout.PLAN).unlink(missing_ok=True)  # a supervisor that is late finds nothing to do
    if supervisor := folder.record(layout.SUPERVISOR):
        if _tell_to_stop(folder, 0.0):
            processes.wait_for_end(supervisor, timeout)
        processes.kill(supervisor)
    if bot := folder.record(layout.BOT):
        processes.kill_group(bot)


def _tell_to_stop(folder: ContainerFolder, grace: float) -> bool:
    return folder.tell(b"%s %f" % (layout.STOP, max(0.0, grace)))
