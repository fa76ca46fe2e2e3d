"""The plugin manager, with plugins that an application registers itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from loguru import logger

from botdock import EnginePlugin, Executable, LogSinkPlugin, Runtime, StorageBackendPlugin, hookimpl
from botdock.config import Config, PluginsConfig
from botdock.errors import NotFoundError, PluginConflictError, PluginLoadError
from botdock.hookspecs import INTERFACE
from botdock.model import ExecutionResult, MetricsExporterPlugin
from botdock.plugin_manager import PluginManager, PluginRecord, PluginStage

NEVER_CALLED: Any = print


def a_runtime(name: Any, *aliases: str, **changes: Any) -> Runtime:
    fields: dict[str, Any] = {"image": "x:1", "interpreters": ("x",), "suffixes": (".x",), "scripts": {}, "files": dict}
    return Runtime(**{"name": name, "aliases": aliases, **fields, **changes})


def a_plugin(hook: str, items: object) -> SimpleNamespace:
    """Return a plugin one of whose hooks yields `items`."""
    return SimpleNamespace(**{hook: hookimpl(specname=hook)(lambda: items)})


def runtimes(*items: object) -> SimpleNamespace:
    return a_plugin("botdock_runtimes", items)


def reason_of(plugin: object) -> str:
    manager = PluginManager()
    with pytest.raises(PluginLoadError) as caught:
        manager.register(plugin, name="wrong")
    (record,) = manager.records
    assert record.failed
    assert record.provides == ()
    assert record.reason == caught.value.reason
    return record.reason


@pytest.mark.parametrize("version", [0, 2, "1"])
def test_a_plugin_for_another_version_of_the_interface_is_not_loaded_and_that_is_said(version: object) -> None:
    plugin = runtimes(a_runtime("x11"))
    PluginManager().register(SimpleNamespace(BOTDOCK_INTERFACE=INTERFACE, **vars(plugin)), name="fits")
    reason = reason_of(SimpleNamespace(BOTDOCK_INTERFACE=version, **vars(plugin)))
    assert f"written for version {version} of the plugin interface, and this botdock has version 1" in reason


def test_every_kind_of_object_is_found_by_its_name() -> None:
    manager = PluginManager()
    plugin = SimpleNamespace()
    plugin.runtimes = hookimpl(specname="botdock_runtimes")(lambda: [a_runtime("x11", "x1.1")])
    engine, storage = (
        EnginePlugin(name="podman", factory=NEVER_CALLED),
        StorageBackendPlugin(name="gcs", factory=NEVER_CALLED),
    )
    sink, exporter = (
        LogSinkPlugin(name="shout", factory=NEVER_CALLED),
        MetricsExporterPlugin(name="push", factory=NEVER_CALLED),
    )
    plugin.engines = hookimpl(specname="botdock_engines")(lambda: [engine])
    plugin.storages = hookimpl(specname="botdock_storage_backends")(lambda: [storage])
    plugin.sinks = hookimpl(specname="botdock_log_sinks")(lambda: [sink])
    plugin.exporters = hookimpl(specname="botdock_metrics_exporters")(lambda: [exporter])
    manager.register(plugin, name="all", version="1.2")

    assert manager.runtime("X1.1").name == "x11"
    assert manager.engine("podman") is manager.engines()["podman"] is engine
    assert manager.storage_backend("gcs") is manager.storage_backends()["gcs"] is storage
    assert manager.log_sink("shout") is manager.log_sinks()["shout"] is sink
    assert manager.metrics_exporter("push") is manager.metrics_exporters()["push"] is exporter
    assert manager.records == (
        PluginRecord(
            name="all",
            distribution="(application)",
            version="1.2",
            module="SimpleNamespace",
            provides=("runtime:x11", "engine:podman", "storage:gcs", "sink:shout", "exporter:push"),
        ),
    )


@pytest.mark.parametrize(
    ("yielded", "said"),
    [
        (None, "yields None, not a Runtime"),
        ("bash", "yields a str, not a Runtime"),
        (EnginePlugin(name="bash", factory=NEVER_CALLED), "yields a EnginePlugin, not a Runtime"),
        (a_runtime(""), "a name must be 1 to 64"),
        (a_runtime("a\nb"), "a name must be 1 to 64"),
        (a_runtime("x" * 65), "a name must be 1 to 64"),
        (a_runtime(None), "its name is None, not a str"),
        (a_runtime("x", "y", "X"), "it has one name twice"),
        (a_runtime("x", aliases="y"), "its aliases is a str, not a tuple"),
        (a_runtime("x", suffixes=(1,)), "its suffixes holds something that is not text"),
        (a_runtime("x", files={}), "its files is a dict, not a Callable"),
        (a_runtime("x", scripts=()), "its scripts is a tuple, not a Mapping"),
    ],
)
def test_an_object_that_cannot_be_used_is_refused(yielded: object, said: str) -> None:
    reason = reason_of(runtimes(yielded))
    assert reason.startswith("botdock_runtimes ")
    assert said in reason


def test_an_engine_says_by_itself_or_of_a_configuration_whether_it_has_images() -> None:
    odd = EnginePlugin(name="x", factory=NEVER_CALLED, images="yes")  # type: ignore[arg-type] # what is tried
    assert "its images is a str, not a bool or a Callable" in reason_of(a_plugin("botdock_engines", [odd]))
    by_home = EnginePlugin(name="x", factory=NEVER_CALLED, images=lambda config: config.home == "/with")
    assert [by_home.runs_images(Config(home=home)) for home in ("/with", "/without")] == [True, False]
    assert EnginePlugin(name="x", factory=NEVER_CALLED).runs_images(Config())


def test_one_bad_object_takes_the_plugin_with_it() -> None:
    manager = PluginManager()
    with pytest.raises(PluginLoadError):
        manager.register(runtimes(a_runtime("good"), None), name="half")
    assert not manager.runtimes()


def test_a_plugin_that_uses_a_name_twice_is_refused() -> None:
    assert reason_of(runtimes(a_runtime("x", "y"), a_runtime("z", "Y"))) == "registers runtime:y twice"


def test_a_hook_that_returns_no_iterable_is_refused() -> None:
    assert "returns no iterable" in reason_of(a_plugin("botdock_runtimes", 7))


def test_a_generator_that_never_ends_is_refused() -> None:
    def endless() -> Any:
        while True:
            yield a_runtime("x")

    assert "more than 1000" in reason_of(a_plugin("botdock_runtimes", endless()))


def test_a_wrapper_is_refused() -> None:
    def wrap() -> Any:
        return (yield)

    assert "is a wrapper" in reason_of(SimpleNamespace(botdock_runtimes=hookimpl(wrapper=True)(wrap)))


def test_a_hook_that_nobody_marked_is_refused() -> None:
    assert reason_of(SimpleNamespace(botdock_runtimes=lambda: None)).startswith(
        "botdock_runtimes is not marked with @hook"
    )


def test_something_without_hooks_is_no_plugin() -> None:
    assert "has no hook" in reason_of(object())


def test_a_hook_of_a_far_off_name_is_refused_with_the_list() -> None:
    plugin = SimpleNamespace(q=hookimpl(specname="zzz")(lambda: None))
    assert "there are: botdock_after_execution, " in reason_of(plugin)


def test_an_error_whose_message_cannot_be_shown_is_named() -> None:
    class EvilError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fail() -> Any:
        raise EvilError

    reason = reason_of(SimpleNamespace(botdock_runtimes=hookimpl(specname="botdock_runtimes")(fail)))
    assert reason.startswith("botdock_runtimes raised EvilError: (its message cannot be shown) (")


def test_ctrl_c_goes_through() -> None:
    def interrupt() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PluginManager().register(SimpleNamespace(botdock_runtimes=hookimpl(interrupt)), name="x")


def two(config: PluginsConfig | None = None, *, first: Runtime | None = None) -> PluginManager:
    manager = PluginManager(config)
    manager.register(runtimes(first or a_runtime("bash", "sh", "one")), name="a", distribution="Dist.A")
    manager.register(runtimes(a_runtime("bash", "sh", "two"), a_runtime("fine")), name="b", distribution="dist-b")
    return manager


@pytest.mark.parametrize("name", ["bash", "BASH", "sh", "one", "two"])
def test_of_two_plugins_with_one_name_neither_wins(name: str) -> None:
    manager = two()
    with pytest.raises(PluginConflictError) as caught:
        manager.runtime(name)
    assert caught.value.distributions == ("Dist.A", "dist-b")
    assert '[plugins.prefer] "runtime:' in str(caught.value)
    assert [record.stage for record in manager.records] == [PluginStage.CONFLICT, PluginStage.CONFLICT]


def test_what_is_not_in_conflict_stays_usable() -> None:
    manager = two()
    assert list(manager.runtimes()) == ["fine"]
    assert manager.runtime("fine").name == "fine"
    assert manager.records[1].provides == ("runtime:fine",)


@pytest.mark.parametrize("preferred", ["dist-a", "Dist_A", "a"])
def test_the_configuration_picks_a_winner(preferred: str) -> None:
    manager = two(PluginsConfig(prefer={"runtime:Bash": preferred}))
    assert manager.runtime("sh") is manager.runtime("bash") is manager.runtime("one")
    assert manager.records[0].provides == ("runtime:bash",)
    assert manager.records[1].provides == ("runtime:fine",)
    assert manager.records[1].stage is PluginStage.LOADED
    assert f"left to {preferred}" in manager.records[1].reason
    with pytest.raises(NotFoundError):
        manager.runtime("two")


def test_an_alias_that_is_anothers_name_is_a_conflict() -> None:
    manager = two(first=a_runtime("busybox", "bash"))
    assert set(manager.runtimes()) == {"busybox", "fine"}
    with pytest.raises(PluginConflictError):
        manager.runtime("bash")
    assert manager.runtime("busybox").name == "busybox"


def test_one_name_may_be_used_for_two_kinds() -> None:
    manager = two(PluginsConfig(prefer={"runtime:bash": "dist-b"}))
    manager.register(a_plugin("botdock_log_sinks", [LogSinkPlugin(name="bash", factory=NEVER_CALLED)]), name="c")
    assert manager.log_sink("bash").name == manager.runtime("bash").name


def test_an_unknown_name_says_the_nearest() -> None:
    manager = PluginManager()
    manager.register(runtimes(a_runtime("python311", "python3.11")), name="python311")
    with pytest.raises(NotFoundError, match=r"did you mean python3.11"):
        manager.runtime("python3.12")


def test_where_nothing_is_installed_the_error_says_what_to_install() -> None:
    with pytest.raises(NotFoundError, match=r"pip install \"botdock\[standard\]\""):
        PluginManager().engine("docker")


def test_a_name_whose_plugin_did_not_load_says_why() -> None:
    manager = PluginManager()
    with pytest.raises(PluginLoadError):
        manager.register(runtimes(None), name="python311", distribution="my-python", version="3")
    with pytest.raises(PluginLoadError, match=r"runtime 'python3.11' .* my-python 3 is not loaded: .* None"):
        manager.runtime("python3.11")


def test_what_is_blocked_is_not_loaded() -> None:
    manager = PluginManager(PluginsConfig(blocked=("Dist_A",), allowed=("other",)))
    manager.register(runtimes(a_runtime("bash")), name="bash", distribution="dist.a")
    manager.register(runtimes(a_runtime("fine")), name="fine")
    assert [record.stage for record in manager.records] == [PluginStage.BLOCKED, PluginStage.LOADED]
    with pytest.raises(PluginLoadError, match=r"blocked by plugins\.blocked"):
        manager.runtime("bash")


def test_an_event_reaches_every_plugin_whatever_one_of_them_does() -> None:
    seen: list[str] = []

    @hookimpl
    def botdock_after_execution(executable: Executable, result: ExecutionResult) -> None:
        raise SystemExit("{not a template} <red>")

    @hookimpl(specname="botdock_after_execution")
    def only_one_argument(result: ExecutionResult) -> None:
        seen.append(result.execution_id)

    manager = two(PluginsConfig(blocked=("c",)))
    manager.register(SimpleNamespace(botdock_after_execution=botdock_after_execution), name="bad")
    manager.register(SimpleNamespace(hook=only_one_argument), name="good")
    manager.register(SimpleNamespace(hook=only_one_argument), name="c")
    logged: list[str] = []
    logger.enable("botdock")
    handler = logger.add(lambda message: logged.append(message.record["extra"]["reason"]))
    try:
        executable, result = Executable(id="x"), ExecutionResult(execution_id="e1", id="x")
        manager.notify("botdock_after_execution", executable=executable, result=result)
    finally:
        logger.remove(handler)
        logger.disable("botdock")

    assert seen == ["e1"]
    (reason,) = logged
    assert reason.startswith("botdock_after_execution raised SystemExit: {not a template} <red> (")
    assert manager.records[2].stage is PluginStage.LOADED
    assert manager.records[2].reason == logged[0]


def test_an_event_that_there_is_not_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="not a hook of botdock"):
        PluginManager().notify("botdock_lunch")
