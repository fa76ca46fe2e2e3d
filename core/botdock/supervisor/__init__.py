"""A runner that stays: it takes what `submit` has asked for, watches over it, and outlives the one who asked.

    from botdock import Executable
    from botdock.supervisor import submit

    record = submit(Executable(id="sma", file_path="/srv/bots/sma", is_long_running=True))
    print(record.execution_id, record.state)

There is one supervisor for each state folder: `botdock supervise` for a service manager, or one that the first `submit`
starts in the background, and that ends once nothing is left to watch. Whatever becomes of it, bots run on, and the next
one goes on where it stopped. `botdock.executions` says how they are, and asks them to stop.
"""

from typing import TYPE_CHECKING

from botdock._lazy import importing as _importing

if TYPE_CHECKING:
    from botdock.supervisor._seat import is_taken
    from botdock.supervisor._submission import submit
    from botdock.supervisor._supervisor import Supervisor, SupervisorRunsError

_HOMES = {"_seat": "is_taken", "_submission": "submit", "_supervisor": "Supervisor SupervisorRunsError"}

__all__ = ["Supervisor", "SupervisorRunsError", "is_taken", "submit"]

if not TYPE_CHECKING:  # a type checker is to see unknown names as errors
    __getattr__ = _importing(__name__, _HOMES)
