"""Times the phases of an execution, and names the one that failed."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botdock.errors import BotdockError
from botdock.model.execution import Phase


class PhaseClock:
    """Seconds per phase; a phase that is entered again goes on counting.

    Args:
        on_phase: Told of each phase that begins.
    """

    def __init__(self, on_phase: Callable[[Phase], None] = lambda _phase: None) -> None:
        self.seconds: dict[str, float] = {}
        self._on_phase = on_phase

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Time what is done inside, and write the phase into the error that comes out.

        Raises:
            BotdockError: What was raised inside; an `OSError` becomes one.
        """
        started = time.monotonic()
        self._on_phase(phase)
        try:
            yield
        except BotdockError as error:
            error.phase = error.phase or phase.value
            raise
        except OSError as error:
            wrapped = _of_the_machine(error, phase)
            raise wrapped from error
        finally:
            self.seconds[phase.value] = self.seconds.get(phase.value, 0.0) + time.monotonic() - started


def _of_the_machine(error: OSError, phase: Phase) -> BotdockError:
    hint = None
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        hint = "Free some space, or move the state folder with BOTDOCK_HOME."
    where = f" ({error.filename})" if error.filename else ""
    wrapped = BotdockError(f"{phase}: {error.strerror or error}{where}", hint=hint)
    wrapped.phase = phase.value
    return wrapped
