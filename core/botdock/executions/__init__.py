"""What executions there are and were, for command lines, applications and servers, from any process.

Nothing here needs an engine, a runner or a plugin: it reads the state folder, and asks by writing into it.
"""

from botdock.executions._executions import Executions
from botdock.executions._record import ExecutionRecord, ExecutionState
from botdock.services.log_store import StoredLog
from botdock.services.log_store.verify import Comparison, Finding, Verification

__all__ = ["Comparison", "ExecutionRecord", "ExecutionState", "Executions", "Finding", "StoredLog", "Verification"]
