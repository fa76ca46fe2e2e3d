"""The hooks: each is described, and each example of a description runs."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, get_type_hints

import pytest

from botdock import model
from botdock.errors import BotdockError
from botdock.hookspecs import PROJECT, BotdockSpecs
from botdock.model import Executable, ExecutionResult
from botdock.plugin_manager import PluginManager

HOOKS: dict[str, Callable[..., Any]] = {
    name: hook for name, hook in vars(BotdockSpecs).items() if name.startswith(f"{PROJECT}_")
}
REGISTERS = {
    "botdock_runtimes": ("runtime:perl5",),
    "botdock_storage_backends": ("storage:gcs",),
    "botdock_engines": ("engine:podman",),
    "botdock_log_sinks": ("sink:shout",),
    "botdock_metrics_exporters": ("exporter:print",),
}
"""What the example of each register hook provides."""

EXECUTABLE = Executable(id="bot")
EVENTS: dict[str, tuple[dict[str, object], str]] = {
    "botdock_before_execution": ({"execution_id": "01", "executable": EXECUTABLE}, "starting bot as 01"),
    "botdock_after_execution": (
        {
            "executable": EXECUTABLE,
            "result": ExecutionResult(execution_id="01", id="bot", outcome=model.Outcome.SUCCEEDED),
        },
        "bot succeeded",
    ),
    "botdock_on_execution_error": (
        {"execution_id": "01", "executable": EXECUTABLE, "error": BotdockError("no image")},
        "01 failed in None - no image",
    ),
    "botdock_on_notification": (
        {
            "notification": model.Notification(
                kind=model.NotificationKind.CRASH_LOOP,
                message="failed 3 times in a row",
                at=datetime.now(UTC),
                home="/srv",
                id="bot",
            )
        },
        "crash_loop bot - failed 3 times in a row",
    ),
}
"""What the example of each event hook prints, and when."""


def example_of(hook: str) -> ModuleType:
    """Return the example of a hook as the module that a plugin's author would write."""
    (code,) = re.findall(r"```python\n(.*?)```", inspect.getdoc(HOOKS[hook]) or "", re.DOTALL)
    module = ModuleType(f"example_of_{hook}")
    exec(compile(textwrap.dedent(code), module.__name__, "exec"), vars(module))
    return module


def test_every_hook_is_either_a_register_or_an_event_hook() -> None:
    assert set(HOOKS) == set(REGISTERS) | set(EVENTS)


@pytest.mark.parametrize("hook", REGISTERS)
def test_the_example_of_a_register_hook_registers(hook: str) -> None:
    manager = PluginManager()
    manager.register(example_of(hook), name="example")
    assert manager.records[0].provides == REGISTERS[hook]


@pytest.mark.parametrize("hook", EVENTS)
def test_the_example_of_an_event_hook_observes(hook: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, printed = EVENTS[hook]
    manager = PluginManager()
    manager.register(example_of(hook), name="example")
    manager.notify(hook, **arguments)
    assert capsys.readouterr().out == f"{printed}\n"
    assert manager.records[0].reason == ""


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_types_that_resolve_and_all_its_parameters_described(hook: str) -> None:
    names = {name: getattr(model, name) for name in model.__all__}
    hints = get_type_hints(HOOKS[hook], names | {"BotdockError": BotdockError, "Iterable": list})
    parameters = set(inspect.signature(HOOKS[hook]).parameters) - {"self"}
    assert set(hints) == parameters | {"return"}
    documented = inspect.getdoc(HOOKS[hook]) or ""
    assert all(f"\n    {name}: " in documented for name in parameters)


def test_an_unimplemented_hook_yields_nothing() -> None:
    specs = BotdockSpecs()
    assert all(list(getattr(specs, hook)()) == [] for hook in REGISTERS)
    assert all(getattr(specs, hook)(**arguments) is None for hook, (arguments, _) in EVENTS.items())
