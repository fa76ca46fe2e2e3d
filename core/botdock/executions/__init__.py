"""What executions there are and were, for command lines, applications and servers, from any process.

Nothing here needs an engine, a runner or a plugin: it reads the state folder, and asks by writing into it. What reads
logs is imported on first use.
"""

from typing import TYPE_CHECKING, Any

from botdock.executions._executions import Executions
from botdock.executions._lease import count_runners
from botdock.executions._records import ExecutionRecord, ExecutionState

if TYPE_CHECKING:
    from botdock.services.log_store import StoredLog as StoredLog
    from botdock.services.log_store.verify import Comparison as Comparison
    from botdock.services.log_store.verify import Finding as Finding
    from botdock.services.log_store.verify import Verification as Verification

__all__ = [
    "Comparison",
    "ExecutionRecord",
    "ExecutionState",
    "Executions",
    "Finding",
    "StoredLog",
    "Verification",
    "count_runners",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from botdock.services.log_store import StoredLog, verify

    return StoredLog if name == "StoredLog" else getattr(verify, name)
