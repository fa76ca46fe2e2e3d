"""`botdock doctor`: what works here, and what it asks of the engines, and of the runtimes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING

import attrs

from botdock.errors import BotdockError, ConfigError, ImageError, PolicyError
from botdock.model import Check, CheckStatus, Feature, PullPolicy
from botdock_cli.check_machine import at_most_warning, guarded
from botdock_cli.commands import verb
from botdock_cli.layout import columns_of, table
from botdock_cli.options import json_option
from botdock_cli.output import print_json, print_text, wants_colour
from botdock_cli.report import printable
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from botdock.config import Config
    from botdock.model import Engine, EngineCapabilities, EnginePlugin
    from botdock.plugin_manager import PluginManager

HELP = """Looks at the configuration, the state folder, the plugins, the engines, the storages, and at what each
runtime needs. Changes nothing.

\b
Exit codes: 0 when an engine that isolates works and no check failed; 1 otherwise."""
_VERSION_TIMEOUT = 10.0
_NOT_RUN = {126, 127}
"""Exit codes that say that a program was not run, or not found."""
_COLOURS = {"ok": "32", "warning": "33", "failed": "31"}


@verb("doctor", HELP)
@json_option
def command(session: Session, *, as_json: bool) -> int:
    """Run all checks."""
    checks = tuple(examine(session))
    healthy = all(check.status is not CheckStatus.FAILED for check in checks)
    if as_json:
        listed = [attrs.asdict(check) for check in checks]
        print_json({"checks": listed, "ok": healthy})
    else:
        colour = wants_colour(sys.stdout)
        print_text(as_text(checks, colour=colour), colour=colour)
    return 0 if healthy else 1


def examine(session: Session) -> Iterator[Check]:
    """Yield the checks, each as soon as it is known; none raises."""
    from botdock.plugin_manager import PluginManager
    from botdock_cli import check_machine as machine

    config = yield from _check_config(session)
    yield from machine.check_state(config)
    manager = session.plugins if session.is_loaded else PluginManager.load(config.plugins)
    yield from machine.check_plugins(manager, config)
    engines = check_engines(manager, config)
    for found in engines.values():
        yield from found.checks
    working = [name for name, found in engines.items() if found.isolates]
    if working:
        yield Check.ok("isolation", f"{', '.join(working)} isolates bots")
    else:
        yield Check.failed("isolation", "no engine that isolates bots works here", "mend an engine above")
    yield from machine.check_runners(config)
    yield from machine.check_executions(config)
    yield from machine.check_strays(manager, config, working)
    yield from machine.check_storages(manager, config)
    yield from machine.check_outboxes(config)
    yield from check_interpreters(manager, config)
    yield from check_images(manager, config, working)


def _check_config(session: Session) -> Generator[Check, None, Config]:
    from botdock.config import Config
    from botdock_cli.commands.config import config_files, where

    try:
        config = session.load_config()
    except ConfigError as error:
        for problem in error.problems:
            yield Check.failed("config", problem, error.hint or "")
        return Config()
    files = config_files(session)
    status = CheckStatus.WARNING if files.ignored else CheckStatus.OK
    yield Check(name="config", status=status, detail=where(session), remedy=files.remedy)
    return config


def as_text(checks: Sequence[Check], *, colour: bool) -> Iterator[str]:
    """Yield a line for each check, and below it what mends it."""
    rows = [(check.status.value, _plain(check.name), _plain(" ".join(check.detail.split()))) for check in checks]
    for check, (line, *more) in zip(checks, table(rows, columns_of(sys.stdout)), strict=True):
        word = check.status.value
        yield f"\x1b[{_COLOURS[word]}m{word}\x1b[0m{line[len(word) :]}" if colour else line
        yield from more
        for remedy in check.remedy.splitlines():
            yield f"         -> {_plain(remedy)}"
    yield ""
    yield _tally(checks)


def _plain(text: str) -> str:
    return printable(text, keep="")


def _tally(checks: Sequence[Check]) -> str:
    failed = sum(check.status.value == "failed" for check in checks)
    warnings = sum(check.status.value == "warning" for check in checks)
    if failed:
        return f"{failed} of {len(checks)} checks failed"
    return f"nothing failed, {warnings} warning{'s' if warnings != 1 else ''}" if warnings else "all is well"


@attrs.frozen(kw_only=True)
class EngineFindings:
    """What became of one engine.

    Attributes:
        checks: Its own checks, and what it cannot enforce.
        isolates: Whether it works, and enforces all that the policy asks for.
    """

    checks: tuple[Check, ...]
    isolates: bool


def check_engines(manager: PluginManager, config: Config) -> dict[str, EngineFindings]:
    """Ask each engine, and return what was found by its name.

    A failure counts where the engine is needed: the configured one, or, with none configured, those that are chosen
    by themselves, as long as none of them works. Elsewhere it is a warning.
    """
    engines = manager.engines()
    found = {name: _examine(plugin, config) for name, plugin in engines.items()}
    automatic = {name for name, plugin in engines.items() if plugin.automatic}
    working = {name for name in automatic if found[name].isolates}
    needed = {config.engine} if config.engine else working or automatic
    for name in found.keys() - needed:
        found[name] = attrs.evolve(found[name], checks=tuple(map(at_most_warning, found[name].checks)))
    return found


def _examine(plugin: EnginePlugin, config: Config) -> EngineFindings:
    tolerated = {f"{plugin.name}.{feature}" for feature in _unenforced(config, plugin.name)}
    checks = [
        at_most_warning(check) if check.name in tolerated else check
        for check in guarded(plugin.name, lambda: plugin.checks(config))
    ]
    failed = any(check.status is CheckStatus.FAILED for check in checks)
    # one without images, such as process, isolates nothing
    named = plugin.name == config.engine and plugin.runs_images(config)
    if failed or not (plugin.automatic or named):
        return EngineFindings(checks=tuple(checks), isolates=False)
    known = {check.name for check in checks}
    probed = [check for check in guarded(plugin.name, lambda: _probe(plugin, config)) if check.name not in known]
    if checks:  # its own words say more than that it answers
        probed = [check for check in probed if check.status is not CheckStatus.OK]
    isolates = all(check.status is not CheckStatus.FAILED for check in probed)
    return EngineFindings(checks=(*checks, *probed), isolates=isolates)


def _unenforced(config: Config, engine: str) -> tuple[str, ...]:
    from botdock.config import Policies

    with suppress(ConfigError, PolicyError):  # told above, or by what opens the engine
        return Policies.of(config).unenforced_on(engine)
    return ()


def _probe(plugin: EnginePlugin, config: Config) -> Iterator[Check]:
    """Open the engine as a run would, and hold what it enforces against the policy."""
    try:
        engine = plugin.factory(config)
        try:
            capabilities = engine.capabilities()
        finally:
            engine.close()
    except BotdockError as error:
        yield Check.failed(plugin.name, error.message, error.hint or "")
        return
    yield Check.ok(plugin.name, capabilities.version or "answers")
    if faults := "; ".join(capabilities.log_faults):
        yield Check.warning(f"{plugin.name}.logs", faults)
    yield from _enforcement(capabilities, plugin.name, config)


def _enforcement(capabilities: EngineCapabilities, engine: str, config: Config) -> Iterator[Check]:
    for feature in Feature:
        if feature in capabilities.enforced:
            continue
        name, reason = f"{engine}.{feature.value}", capabilities.missing.get(feature, "the engine does not say why")
        if feature.value in _unenforced(config, engine):
            yield Check.warning(name, f"not enforced (policy.unenforced allows it): {reason}")
        else:
            mend = f'or allow it: policy.unenforced = {{{engine} = ["{feature.value}"]}} in botdock.toml'
            yield Check.failed(name, f"not enforced: {reason}", mend)


def check_interpreters(manager: PluginManager, config: Config) -> Iterator[Check]:
    """Look for each runtime's interpreter on PATH, where engines without images could run it."""
    engines = [name for name, plugin in manager.engines().items() if not plugin.runs_images(config)]
    for engine, (name, runtime) in product(engines, manager.runtimes().items()):
        found = next(filter(None, map(shutil.which, runtime.interpreters)), None)
        wanted = " or ".join(runtime.interpreters)
        if found and (problem := _refusal(found)):
            mend = f"install what it stands for, or put another {wanted} before it on PATH"
            yield Check.warning(f"{engine}.runtime.{name}", f"{found} does not run: {problem}", mend)
        elif found:
            yield Check.ok(f"{engine}.runtime.{name}", found)
        else:
            problem = f"{wanted} is not on PATH, so the engine {engine} cannot run it"
            yield Check.warning(f"{engine}.runtime.{name}", problem, f"install {wanted}, or use an engine with images")


def _refusal(program: str) -> str:
    """Say why a program on PATH cannot be run, as of a version manager's stand-in for one that is not installed."""
    try:
        asked = [program, "--version"]
        done = subprocess.run(
            asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERSION_TIMEOUT, cwd="/", check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    if done.returncode not in _NOT_RUN:  # any other code is its own: not each program knows the option
        return ""
    return done.stderr.decode(errors="replace").partition("\n")[0] or f"exit code {done.returncode}"


def check_images(manager: PluginManager, config: Config, engines: Sequence[str]) -> Iterator[Check]:
    """Ask each engine that works, and has images, which of the runtimes' it has. Nothing is pulled."""
    for name in engines:
        plugin = manager.engines()[name]
        if not plugin.runs_images(config):
            continue
        yield from guarded(f"{name}.images", lambda plugin=plugin: _images(plugin, manager, config))  # type: ignore[misc] # bound at once


def _images(plugin: EnginePlugin, manager: PluginManager, config: Config) -> Iterator[Check]:
    engine = plugin.factory(config)
    try:
        for name, runtime in manager.runtimes().items():
            image = config.runtime.images.get(name, runtime.image)
            yield _image(engine, f"{plugin.name}.image.{name}", image, config)
    finally:
        engine.close()


def _image(engine: Engine, name: str, image: str, config: Config) -> Check:
    try:
        found = engine.ensure_image(image, policy=PullPolicy.NEVER, timeout=config.containers.call_timeout)
    except BotdockError as error:
        if isinstance(error, ImageError) and not error.is_absent:
            return Check.ok(name, f"which machine has {image} is not known here; one that lacks it pulls it")
        if config.containers.pull is PullPolicy.NEVER:
            return Check.warning(name, f"{image} is not here", error.hint or "")
        return Check.warning(name, f"{image} is not here; the first run pulls it")
    return Check.ok(name, f"{image} {found.digest}".strip())
