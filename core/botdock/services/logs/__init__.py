"""Collects what containers write: one thread reads, few keep, and a stream that breaks is read on where it broke."""

from botdock.services.logs.collector import LogCollector
from botdock.services.logs.intake import CollectionStatus

__all__ = ["CollectionStatus", "LogCollector"]
