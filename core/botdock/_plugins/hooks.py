"""The hooks of one plugin: checked before any is called, and called under guard."""

from __future__ import annotations

import inspect
from itertools import islice
from typing import TYPE_CHECKING

import pluggy

from botdock._plugins.kinds import KINDS, Item, Kind, item_problem, names_of
from botdock._plugins.records import PluginStage, RejectedError, guarded
from botdock.errors import nearest
from botdock.hookspecs import PROJECT, BotdockSpecs

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_OBJECTS = 1000
"""Of one hook; a generator that never ends is a mistake."""

HOOK_NAMES = frozenset(name for name in vars(BotdockSpecs) if name.startswith(f"{PROJECT}_"))


class PluginHooks:
    """The hooks of one plugin.

    Each plugin has a pluggy manager of its own, so that what one does to its hooks cannot reach another's.
    """

    def __init__(self, plugin: object) -> None:
        """Check the hooks of `plugin`, a module or any other object.

        Raises:
            RejectedError: They are not hooks of botdock.
        """
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(BotdockSpecs)
        with guarded(PluginStage.VALIDATE):
            if problems := list(self._problems(plugin)):
                raise RejectedError(PluginStage.VALIDATE, "; ".join(problems))
        self._register(plugin)

    def _register(self, plugin: object) -> None:
        try:
            self._manager.register(plugin, name="plugin")
        except pluggy.PluginValidationError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise RejectedError(PluginStage.VALIDATE, "; ".join(lines[1:])) from error

    def _problems(self, plugin: object) -> Iterator[str]:
        found = 0
        for name in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, name)
            if options is None:
                yield from _unmarked_problem(plugin, name)
                continue
            found += 1
            hook = options["specname"] or name
            if hook not in HOOK_NAMES:
                yield f"{hook} is no hook of botdock{_nearest_hook(hook)}"
            elif options["wrapper"] or options["hookwrapper"]:
                yield f"{hook} is a wrapper, and there is nothing to wrap: each plugin's hooks are called by themselves"
        if not found:
            yield "it has no hook; mark a function such as botdock_runtimes with @hookimpl"

    def objects(self) -> list[tuple[Kind, Item]]:
        """Return what the plugin registers.

        Raises:
            RejectedError: A hook raised, or something of it cannot be used; then nothing of the plugin is.
        """
        found = [(kind, item) for kind in KINDS for item in self._yielded(kind)]
        seen: set[tuple[str, str]] = set()
        for kind, item in found:
            names = {(kind.key, name) for name in names_of(item)}
            if twice := seen & names:
                raise RejectedError(PluginStage.REGISTER, f"registers {':'.join(twice.pop())} twice")
            seen |= names
        return found

    def _yielded(self, kind: Kind) -> Iterator[Item]:
        """Call the register hook of `kind`, and yield what is fit to be used."""
        items: list[Item] = []
        with guarded(PluginStage.REGISTER, kind.hook):
            for yielded in getattr(self._manager.hook, kind.hook)():
                if not hasattr(yielded, "__iter__"):
                    raise RejectedError(PluginStage.REGISTER, f"{kind.hook} returns no iterable; use `yield`")
                items.extend(islice(yielded, MOST_OBJECTS + 1 - len(items)))
            problems = [problem for item in items[: MOST_OBJECTS + 1] if (problem := item_problem(kind, item))]
        if len(items) > MOST_OBJECTS:
            problems = [f"yields more than {MOST_OBJECTS} objects"]
        if problems:
            raise RejectedError(PluginStage.REGISTER, f"{kind.hook} {'; '.join(problems[:3])}")
        yield from items

    def call(self, hook: str, arguments: dict[str, object]) -> None:
        """Call an event hook, if the plugin has it.

        Raises:
            RejectedError: It raised.
        """
        with guarded(PluginStage.LOADED, hook):
            getattr(self._manager.hook, hook)(**arguments)


def _unmarked_problem(plugin: object, name: str) -> Iterator[str]:
    """Yield a problem if `name` is a hook's, and somebody forgot to mark the function."""
    if name in HOOK_NAMES and inspect.isroutine(getattr(plugin, name)):
        yield f"{name} is not marked with @hookimpl"


def _nearest_hook(name: str) -> str:
    near = nearest(name, HOOK_NAMES)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(sorted(HOOK_NAMES))}"
