"""Starting the bot: a process group and session of its own, limits, and word of what went wrong."""

# ruff: noqa: PTH102, PTH123 - importing pathlib would lengthen the start of every bot

from __future__ import annotations

import fcntl
import os
import resource
import signal
from contextlib import suppress

from .processes import processes_below, signal_groups

TYPE_CHECKING = False  # type checkers take it for typing's, whose import alone would take a third of our start
if TYPE_CHECKING:
    from typing import Any, NoReturn

RESTORED = (
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGPIPE,
    signal.SIGTERM,
    signal.SIGXFSZ,
)
"""Signals that Python or a runner's parent may have set to be ignored, which a program inherits."""

GO = b"!"
SAID_BYTES = 2000
"""Of what a runtime says of its failure."""


class Child:
    """The bot's process, which waits for `release` before it becomes the bot.

    Until then it ends when the shim does, so there is no moment at which a bot runs that no record names.

    Attributes:
        pid: Of the process; once a runtime has left the bot to us, of the bot.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        stdout, stdout_write = os.pipe()
        stderr, stderr_write = os.pipe()
        go_read, self._go = os.pipe()
        self._errors, errors_write = os.pipe()
        self._pid_file: str = plan["pid_file"]
        self.stdout = stdout
        self.stderr = stderr
        self._reaped = False
        self.pid = os.fork()
        if self.pid == 0:  # pragma: no cover - the forked child, where nothing is measured
            os.close(self._go)
            _become_bot(plan, go=go_read, stdout=stdout_write, stderr=stderr_write, errors=errors_write)
        for descriptor in (stdout_write, stderr_write, go_read, errors_write):
            os.close(descriptor)

    def release(self) -> str:
        """Let it become the bot; return what went wrong with that, or an empty text."""
        os.write(self._go, GO)
        os.close(self._go)
        with open(self._errors, "rb") as errors:  # ends when the descriptor is closed by a successful exec
            problem = errors.read().decode("utf-8", "replace")
        return self._take_over() if self._pid_file and not problem else problem

    def _take_over(self) -> str:
        """Wait until the runtime has left the bot to us, its subreaper; return what went wrong with that."""
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        pid = 0
        with suppress(OSError, ValueError), open(self._pid_file, encoding="ascii") as file:
            pid = int(file.read())
        if not (pid and ended and ended.si_code == os.CLD_EXITED and ended.si_status == 0):
            return self._said() or "the runtime ended, and said nothing"  # it is not reaped, as with any bot
        os.waitpid(self.pid, 0)
        self.pid = pid
        return ""

    def _said(self) -> str:
        """Return what a runtime that started nothing wrote to stderr."""
        os.set_blocking(self.stderr, False)
        with suppress(BlockingIOError):
            return os.read(self.stderr, SAID_BYTES).decode("utf-8", "replace").strip()
        return ""

    def hold(self, folder: str) -> None:
        """Lock the bot's temporary folder, as systemd-tmpfiles removes what is old in others below /tmp."""
        with suppress(OSError):  # the bot has removed it
            self._held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._held, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def signal(self, number: int) -> None:
        """Signal it and all that it has started; until it has been reaped, its number is its own."""
        signal_groups([*([] if self._reaped else [self.pid]), *processes_below(os.getpid())], number)

    def reap(self) -> int:
        """Return, once it has ended, how, as of `wait`."""
        _, status = os.waitpid(self.pid, 0)
        self._reaped = True
        return status

    def has_ended(self) -> bool:
        """Reap orphans that have ended; return whether it has ended itself.

        Then it is not reaped yet, so that its number stays its own, and its group can still be signalled safely.
        """
        if self._reaped:
            return True
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == self.pid:
                return True
            os.waitpid(ended.si_pid, 0)
        return False


def _become_bot(
    plan: dict[str, Any], *, go: int, stdout: int, stderr: int, errors: int
) -> NoReturn:  # pragma: no cover - the forked child, where nothing is measured
    doing = "cannot start"
    try:
        os.setsid()
        if os.read(go, 1) != GO:
            os._exit(127)
        for number in RESTORED:
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.umask(0o022)
        if plan["temporary"]:
            doing = f"cannot make the folder {plan['temporary']}"
            os.mkdir(plan["temporary"], 0o700)
        doing = f"cannot enter the folder {plan['working_dir']}"
        os.chdir(plan["working_dir"])
        doing = "cannot set the limits"
        for name, value in plan["limits"].items():
            _limit(getattr(resource, name), value)
        doing = f"cannot run {plan['command'][0]}"
        os.execvpe(plan["command"][0], plan["command"], plan["environment"])  # noqa: S606 - no shell is the point
    except BaseException as error:  # noqa: BLE001 - whatever it is, the shim must be told
        os.write(errors, f"{doing}: {getattr(error, 'strerror', None) or error}".encode())
    os._exit(127)


def _limit(kind: int, value: int) -> None:  # pragma: no cover - the forked child, where nothing is measured
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
