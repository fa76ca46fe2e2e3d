"""What `doctor` asks of the executions: whether any is not finished, and whether anything belongs to none."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from botdock.errors import BotdockError
from botdock.executions import Executions, ExecutionState
from botdock.model import Check, CheckStatus
from botdock.model.container import LABEL_OWNER
from botdock_cli.check_machine import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdock.config import Config
    from botdock.plugin_manager import PluginManager

_SHOWN = 3


def check_executions(config: Config) -> Iterator[Check]:
    """Look for executions whose runner died, and for those that are over and of which something is left."""
    yield from guarded("executions", lambda: _unfinished(config))


def check_strays(manager: PluginManager, config: Config, working: Sequence[str]) -> Iterator[Check]:
    """Look for containers, of engines that work, and for workspaces that belong to no execution."""
    for name, plugin in manager.engines().items():
        if name in working or not plugin.automatic or name == config.engine:
            yield from guarded(f"{name}.strays", lambda name=name: _strays(manager, config, name))  # type: ignore[misc] # bound at once


def _unfinished(config: Config) -> Iterator[Check]:
    under_way = Executions(config.home_dir).list(running=True)
    owed = [record for record in under_way if record.is_over]
    dead = [one for one in under_way if one.state is ExecutionState.ABANDONED and not one.is_over]
    if owed:
        problems = [f"{one.execution_id}: {'; '.join(one.left_behind()) or 'not cleaned up'}" for one in owed]
        yield _warning("executions.owed", f"{len(owed)} over, but not all removed yet: {_some(problems)}")
    if dead:
        said = _some([record.execution_id for record in dead])
        yield _warning("executions.orphaned", f"{len(dead)} whose runner died; a bot may still run: {said}")
    if not owed and not dead:
        yield Check(name="executions", status=CheckStatus.OK, detail="nothing is owed, and no runner died over one")


def _strays(manager: PluginManager, config: Config, name: str) -> Iterator[Check]:
    from botdock.factory import ServiceFactory
    from botdock.orchestrator.upkeep import strays

    try:
        with closing(manager.engine(name).factory(config)) as engine:
            owner = {LABEL_OWNER: ServiceFactory(config, manager).owner}
            containers = engine.list(owner, timeout=config.containers.call_timeout)
    except BotdockError:  # its own checks say so
        return
    if found := [f"{stray.kind} {stray.name}" for stray in strays(config.home_dir, containers)]:
        yield _warning(f"{name}.strays", f"{len(found)} that belong to no execution: {_some(found)}")


def _warning(name: str, detail: str) -> Check:
    remedy = "botdock recover; `botdock recover --dry-run` says what it would do"
    return Check(name=name, status=CheckStatus.WARNING, detail=detail, remedy=remedy)


def _some(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
