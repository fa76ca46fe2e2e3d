"""Contracts, strategies and fakes for those who test botdock's plugins, or their use of botdock.

Needs pytest and hypothesis, which botdock itself does not; so nothing of botdock imports this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botdock_testing.bots import BotCase as BotCase
    from botdock_testing.contained_runtime import ContainedRuntimeContract as ContainedRuntimeContract
    from botdock_testing.engine import EngineContract as EngineContract
    from botdock_testing.engine import EngineMachine as EngineMachine
    from botdock_testing.fake_engine import FakeEngine as FakeEngine
    from botdock_testing.fake_logs import FakeLogs as FakeLogs
    from botdock_testing.fake_services import FakeCode as FakeCode
    from botdock_testing.fake_services import FakeContainers as FakeContainers
    from botdock_testing.fake_services import FakeEntrypoints as FakeEntrypoints
    from botdock_testing.fake_services import FakeMetrics as FakeMetrics
    from botdock_testing.fake_services import FakeStorage as FakeStorage
    from botdock_testing.faults import Fault as Fault
    from botdock_testing.faults import FaultKind as FaultKind
    from botdock_testing.faulty_engine import FaultyEngine as FaultyEngine
    from botdock_testing.log_sink import LogSinkContract as LogSinkContract
    from botdock_testing.metrics import MetricsExporterContract as MetricsExporterContract
    from botdock_testing.runtime import RuntimeContract as RuntimeContract
    from botdock_testing.script import Script as Script
    from botdock_testing.storage import StorageContract as StorageContract
    from botdock_testing.storage import StorageMachine as StorageMachine

_HOMES = {
    "BotCase": "bots",
    "ContainedRuntimeContract": "contained_runtime",
    "EngineContract": "engine",
    "EngineMachine": "engine",
    "FakeCode": "fake_services",
    "FakeContainers": "fake_services",
    "FakeEngine": "fake_engine",
    "FakeEntrypoints": "fake_services",
    "FakeLogs": "fake_logs",
    "FakeMetrics": "fake_services",
    "FakeStorage": "fake_services",
    "Fault": "faults",
    "FaultKind": "faults",
    "FaultyEngine": "faulty_engine",
    "LogSinkContract": "log_sink",
    "MetricsExporterContract": "metrics",
    "RuntimeContract": "runtime",
    "Script": "script",
    "StorageContract": "storage",
    "StorageMachine": "storage",
}

__all__ = [
    "BotCase",
    "ContainedRuntimeContract",
    "EngineContract",
    "EngineMachine",
    "FakeCode",
    "FakeContainers",
    "FakeEngine",
    "FakeEntrypoints",
    "FakeLogs",
    "FakeMetrics",
    "FakeStorage",
    "Fault",
    "FaultKind",
    "FaultyEngine",
    "LogSinkContract",
    "MetricsExporterContract",
    "RuntimeContract",
    "Script",
    "StorageContract",
    "StorageMachine",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'botdock_testing' has no attribute {name!r}")
    return getattr(import_module(f"botdock_testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
