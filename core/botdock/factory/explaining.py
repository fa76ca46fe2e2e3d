"""Finds out what a run would be, with the services of a runner that is never made."""

from __future__ import annotations

from contextlib import closing, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from botdock.config import Config
from botdock.config.options import limits_of
from botdock.errors import BotdockError, PolicyError
from botdock.factory.explanation import EngineFacts, Explainer, Explanation
from botdock.factory.service_factory import ServiceFactory
from botdock.model import Engine, Executable, PullPolicy
from botdock.orchestrator import Setting
from botdock.orchestrator.plan import Bound
from botdock.plugin_manager import PluginManager
from botdock.services.container import ContainerService

__all__ = ["Bound", "Explanation", "explain"]


def explain(config: Config, plugins: PluginManager, executable: Executable) -> Explanation:
    """Find out what a run would be, and why; no container is started, and nothing is left behind.

    An engine or a storage that does not answer is not an error: what it could not say is told.

    Args:
        config: The configuration.
        plugins: What is installed.
        executable: What would be run.

    Raises:
        ConfigError: The configuration, or an operator's file, is wrong.
        NotFoundError: It names an engine or a storage that is not installed.

    Example:
        ```python
        from botdock import Config, Executable, PluginManager
        from botdock.factory import explain

        found = explain(Config.load(), PluginManager.load(), Executable(id="hello", file_path="examples/hello-python"))
        print(found.values["memory"].value, found.values["memory"].source, [str(why) for why in found.refusals])
        ```
    """
    factory = ServiceFactory(config, plugins)
    engine, refusals, unknown = _open(factory, config)
    name = engine[0] if engine else plugins.engine(config.engine).name if config.engine else ""
    setting = Setting(
        config=config,
        engine=name,
        owner="",
        limits=factory.default_limits_on(name) if name else config.runtime.limits,
        policies=factory.policies,
    )
    with closing(engine[1]) if engine else nullcontext(), TemporaryDirectory(prefix="botdock-explain-") as folder:
        explainer = Explainer(
            setting,
            code=factory.create_code_service(attrs.evolve(config.code, cache_bytes=0)),
            entrypoints=factory.create_entrypoint_manager(),
            engine=_facts(name, engine and engine[1], config, factory, plugins, home=Path(folder)),
            home=config.home_dir,
        )
        found = explainer.explain(executable, Path(folder))
    return attrs.evolve(found, refusals=(*refusals, *found.refusals), unknown=(*unknown, *found.unknown))


def _open(
    factory: ServiceFactory, config: Config
) -> tuple[tuple[str, Engine] | None, tuple[BotdockError, ...], tuple[str, ...]]:
    """Return the engine and its name; or why it would not be used, or what it could not be asked for."""
    try:
        name, engine = factory.open_engine()
        try:
            engine.capabilities()
        except BaseException:
            engine.close()
            raise
    except PolicyError as error:
        return None, (error,), ()
    except BotdockError as error:
        if error.exit_code == PolicyError.exit_code:  # it is not installed
            raise
        return None, (), (f"the engine {config.engine}".rstrip() + f": {error.message}",)
    return (name, engine), (), ()


def _facts(
    name: str, engine: Engine | None, config: Config, factory: ServiceFactory, plugins: PluginManager, *, home: Path
) -> EngineFacts:
    if not name:
        return EngineFacts(name="", named=False)
    plugin = plugins.engine(name)
    own = limits_of(config.options_for(name, plugin.settings)) if plugin.settings else {}
    containers, images = None, plugin.runs_images(config)
    if engine is not None:
        patience = attrs.evolve(config.containers, pull=PullPolicy.NEVER, retries=0)
        unenforced = factory.policies.unenforced_on(name)
        containers = ContainerService(
            engine, patience, home=home, unenforced=unenforced, images=plugin.runs_images(config)
        )
    return EngineFacts(
        name=name,
        named=bool(config.engine),
        images=images,
        private=containers.capabilities.private_filesystem if containers else plugin.automatic,
        containers=containers,
        settings={limit: f"options.{name}.{key}" for limit, (key, _) in own.items()},
    )
