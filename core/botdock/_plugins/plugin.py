"""One plugin on its way from an entry point to what it provides."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Self

import attrs

from botdock._log import logger
from botdock._plugins.hooks import PluginHooks
from botdock._plugins.names import Claim
from botdock._plugins.records import Origin, PluginRecord, PluginStage, RejectedError
from botdock.errors import PluginLoadError

if TYPE_CHECKING:
    from botdock._plugins.discovery import Candidate
    from botdock._plugins.names import NameTable


@attrs.define(kw_only=True, eq=False)
class Plugin:
    """A plugin, loaded or not.

    Attributes:
        origin: Where it comes from.
        stage: How far it came.
        reason: Why not further; of a loaded one, how an event hook of it failed last.
        hooks: Its hooks; None unless it is loaded.
        claims: What it registers: all of it, or nothing.
    """

    origin: Origin
    stage: PluginStage = PluginStage.LOADED
    reason: str = ""
    hooks: PluginHooks | None = None
    claims: tuple[Claim, ...] = ()

    @classmethod
    def blocked(cls, origin: Origin, reason: str) -> Self:
        """Return a plugin that is left alone."""
        return cls(origin=origin, stage=PluginStage.BLOCKED, reason=reason)

    @classmethod
    def load(cls, candidate: Candidate) -> Self:
        """Import a plugin, check its hooks, and take what it registers; what it prints meanwhile goes to stderr."""
        origin = candidate.origin
        try:
            with redirect_stdout(sys.stderr):  # stdout is the bot's, or holds one JSON document
                hooks = PluginHooks(candidate.load())
                claims = tuple(Claim(kind=kind, item=item, origin=origin) for kind, item in hooks.objects())
        except RejectedError as error:
            logger.bind(plugin=str(origin), reason=error.reason).debug("a plugin did not load")
            return cls(origin=origin, stage=error.stage, reason=error.reason)
        return cls(origin=origin, hooks=hooks, claims=claims)

    def notify(self, hook: str, arguments: dict[str, object]) -> None:
        """Call an event hook, if there is one; a failure is logged and noted."""
        if self.hooks is None:
            return
        try:
            self.hooks.call(hook, arguments)
        except RejectedError as error:
            self.reason = error.reason
            logger.bind(plugin=str(self.origin), reason=error.reason).warning("an event hook raised")

    def record(self, names: NameTable) -> PluginRecord:
        """Return what is to be known about it, given the names of all."""
        remarks = [remark for claim in self.claims for remark in names.remarks(claim)]
        conflict = any(is_conflict for is_conflict, _ in remarks)
        return PluginRecord(
            **attrs.asdict(self.origin),
            stage=PluginStage.CONFLICT if conflict else self.stage,
            reason="; ".join(filter(None, [self.reason, *(text for _, text in remarks)])),
            provides=tuple(f"{claim.kind.key}:{claim.item.name}" for claim in self.claims if names.usable(claim)),
        )

    def load_error(self, wanted: str) -> PluginLoadError:
        """Return the error for somebody who wanted something of this plugin, which is not loaded."""
        return PluginLoadError(
            f"{wanted} cannot be used: plugin {self.origin.name!r} of {self.origin} is not loaded: {self.reason}",
            distribution=self.origin.distribution,
            reason=self.reason,
            hint="`botdock plugins` lists what is installed, and what could not be loaded and why.",
        )
