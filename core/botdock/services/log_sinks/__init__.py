"""Hands lines to sinks, none of which can hold up a bot, the collection or another sink."""

from botdock.services.log_sinks.lane import SinkCounts
from botdock.services.log_sinks.sinks import SinkFanOut

__all__ = ["SinkCounts", "SinkFanOut"]
