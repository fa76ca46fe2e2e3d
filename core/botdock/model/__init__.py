"""The nouns of botdock, and the seams that plugins fill in. Needs nothing but attrs."""

from botdock.model._validation import JSON, MAX_ENVIRONMENT_STRING
from botdock.model.checks import Check, CheckStatus
from botdock.model.container import (
    ContainerHandle,
    ContainerInfo,
    ContainerRun,
    ContainerState,
    ContainerStatus,
    ContainerTemplate,
    ImageInfo,
    PullPolicy,
)
from botdock.model.engine import Engine, EngineCapabilities, EngineEvents, Feature, PullProgress
from botdock.model.executable import ENTRYPOINTS, Executable
from botdock.model.execution_id import new_execution_id
from botdock.model.limits import DEFAULT_LIMITS, Limits
from botdock.model.logs import (
    GapReason,
    LogChunk,
    LogCursor,
    LogGap,
    LogLine,
    LogSink,
    LogSource,
    LogStream,
    LogSummary,
    Stream,
)
from botdock.model.metrics import DURATION_BUCKETS, MetricsExporter, MetricsSnapshot, OperationStats
from botdock.model.outbox import OutboxStatus, Receipt
from botdock.model.outcome import Outcome, Phase, Status
from botdock.model.plugins import EnginePlugin, LogSinkPlugin, MetricsExporterPlugin, StorageBackendPlugin
from botdock.model.progress import Progress
from botdock.model.result import ExecutionResult
from botdock.model.runtime import (
    ExecutionContext,
    ResultFormat,
    Runtime,
    RuntimeCapabilities,
    read_code,
)
from botdock.model.storage import (
    ByteReader,
    DeleteFailure,
    ObjectInfo,
    ObjectReader,
    StorageArea,
    StorageBackend,
    validate_key,
)

__all__ = [
    "DEFAULT_LIMITS",
    "DURATION_BUCKETS",
    "ENTRYPOINTS",
    "JSON",
    "MAX_ENVIRONMENT_STRING",
    "ByteReader",
    "Check",
    "CheckStatus",
    "ContainerHandle",
    "ContainerInfo",
    "ContainerRun",
    "ContainerState",
    "ContainerStatus",
    "ContainerTemplate",
    "DeleteFailure",
    "Engine",
    "EngineCapabilities",
    "EngineEvents",
    "EnginePlugin",
    "Executable",
    "ExecutionContext",
    "ExecutionResult",
    "Feature",
    "GapReason",
    "ImageInfo",
    "Limits",
    "LogChunk",
    "LogCursor",
    "LogGap",
    "LogLine",
    "LogSink",
    "LogSinkPlugin",
    "LogSource",
    "LogStream",
    "LogSummary",
    "MetricsExporter",
    "MetricsExporterPlugin",
    "MetricsSnapshot",
    "ObjectInfo",
    "ObjectReader",
    "OperationStats",
    "OutboxStatus",
    "Outcome",
    "Phase",
    "Progress",
    "PullPolicy",
    "PullProgress",
    "Receipt",
    "ResultFormat",
    "Runtime",
    "RuntimeCapabilities",
    "Status",
    "StorageArea",
    "StorageBackend",
    "StorageBackendPlugin",
    "Stream",
    "new_execution_id",
    "read_code",
    "validate_key",
]
