"""The nouns of botdock, and the seams that plugins fill in. Needs nothing but attrs.

Names are imported on first use: a command that lists executions needs few of these classes.
"""

from typing import TYPE_CHECKING

from botdock._lazy import importing as _importing

if TYPE_CHECKING:
    from botdock.model._validation import JSON, MAX_ENVIRONMENT_STRING
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
    from botdock.model.engine import (
        Engine,
        EngineCapabilities,
        EngineEvents,
        Feature,
        LayerProgress,
        LayerState,
        PullProgress,
    )
    from botdock.model.executable import ENTRYPOINTS, Executable
    from botdock.model.execution import ExecutionResult, MapProgress, Outcome, Phase, Progress, Status, new_execution_id
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
    from botdock.model.notification import Notification, NotificationKind
    from botdock.model.plugins import (
        Check,
        CheckStatus,
        EnginePlugin,
        LogSinkPlugin,
        MetricsExporterPlugin,
        StorageBackendPlugin,
    )
    from botdock.model.restart import RestartOn, RestartPolicy
    from botdock.model.runtime import ExecutionContext, Packages, ResultFormat, Runtime, RuntimeCapabilities, read_code
    from botdock.model.storage import (
        ByteReader,
        DeleteFailure,
        ObjectInfo,
        ObjectReader,
        OutboxStatus,
        Receipt,
        StorageArea,
        StorageBackend,
        validate_key,
    )

_HOMES = {
    "_validation": "JSON MAX_ENVIRONMENT_STRING",
    "container": "ContainerHandle ContainerInfo ContainerRun ContainerState ContainerStatus ContainerTemplate "
    "ImageInfo PullPolicy",
    "engine": "Engine EngineCapabilities EngineEvents Feature LayerProgress LayerState PullProgress",
    "executable": "ENTRYPOINTS Executable",
    "execution": "ExecutionResult MapProgress Outcome Phase Progress Status new_execution_id",
    "limits": "DEFAULT_LIMITS Limits",
    "logs": "GapReason LogChunk LogCursor LogGap LogLine LogSink LogSource LogStream LogSummary Stream",
    "metrics": "DURATION_BUCKETS MetricsExporter MetricsSnapshot OperationStats",
    "notification": "Notification NotificationKind",
    "plugins": "Check CheckStatus EnginePlugin LogSinkPlugin MetricsExporterPlugin StorageBackendPlugin",
    "restart": "RestartOn RestartPolicy",
    "runtime": "ExecutionContext Packages ResultFormat Runtime RuntimeCapabilities read_code",
    "storage": "ByteReader DeleteFailure ObjectInfo ObjectReader OutboxStatus Receipt StorageArea StorageBackend "
    "validate_key",
}
"""Which names live in which module."""

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
    "LayerProgress",
    "LayerState",
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
    "MapProgress",
    "MetricsExporter",
    "MetricsExporterPlugin",
    "MetricsSnapshot",
    "Notification",
    "NotificationKind",
    "ObjectInfo",
    "ObjectReader",
    "OperationStats",
    "OutboxStatus",
    "Outcome",
    "Packages",
    "Phase",
    "Progress",
    "PullPolicy",
    "PullProgress",
    "Receipt",
    "RestartOn",
    "RestartPolicy",
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


if not TYPE_CHECKING:  # a type checker is to see unknown names as errors
    __getattr__ = _importing(__name__, _HOMES)
