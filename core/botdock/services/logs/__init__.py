"""Collects what containers write: one thread reads, few keep, and a stream that breaks is read on where it broke.

The way of a line: `LogLoop` sees that a stream has something; `Collection.pump` reads it, in few chunks; `Intake.store`
puts gaps where they belong, and gives lines to the sinks; `LogWriter.append` masks it, and holds it to the limit;
`Segment.append` writes its bytes, and then the record by which they count. What may wait is done by `Maintenance`.
"""

from botdock.services.logs.collector import LogCollector
from botdock.services.logs.intake import CollectionStatus

__all__ = ["CollectionStatus", "LogCollector"]
