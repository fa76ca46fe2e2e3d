"""Collects what containers write: one thread reads, few keep, and a stream that breaks is read on where it broke."""

from botdock.services.logs.collection import CollectionStatus
from botdock.services.logs.collector import LogCollector

__all__ = ["CollectionStatus", "LogCollector"]
