"""A plugin on its way from an entry point to what it provides, and who owns which name."""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Self

import attrs

from botdock._log import logger
from botdock._plugins.hooks import KINDS, Item, ItemKind, PluginHooks, names_of
from botdock._plugins.records import Origin, PluginRecord, PluginStage, RejectedError
from botdock.errors import PluginConflictError, PluginLoadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botdock._plugins.discovery import Candidate


@attrs.frozen(kw_only=True, eq=False)
class Claim:
    """An object of a plugin, and the names it claims.

    Attributes:
        kind: What it is.
        item: The object.
        origin: The plugin's origin.
    """

    kind: ItemKind
    item: Item
    origin: Origin

    @property
    def keys(self) -> tuple[str, ...]:
        """Its names as keys: `runtime:bash`, the canonical one first."""
        return tuple(f"{self.kind.key}:{name}" for name in names_of(self.item))


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
        """Call an event hook that it has; a failure is logged and noted."""
        assert self.hooks is not None  # noqa: S101 - else it has none
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
        """Return the error for a caller that asks for something of this plugin, which is not loaded."""
        return PluginLoadError(
            f"{wanted} cannot be used: plugin {self.origin.name!r} of {self.origin} is not loaded: {self.reason}",
            distribution=self.origin.distribution,
            reason=self.reason,
            hint="`botdock plugins` lists what is installed, and what could not be loaded and why.",
        )


class NameTable:
    """The names of all plugins: each has one owner, or several claims and none.

    A claim whose own name was given to another by `plugins.prefer` is out, with all of its aliases.
    """

    def __init__(self, claims: Iterable[Claim], prefer: Mapping[str, str]) -> None:
        self._prefer = {key.casefold(): chosen for key, chosen in prefer.items()}
        everything = list(claims)
        self._all = _by_key(everything)
        self._left_out = {claim for claim in everything if self._preferred(claim.keys[0]) not in {None, claim}}
        self._claims = _by_key(claim for claim in everything if claim not in self._left_out)

    def _preferred(self, key: str) -> Claim | None:
        """Return the claim that the configuration picks for `key`, if it picks exactly one."""
        if key not in self._prefer:
            return None
        chosen = [claim for claim in self._all.get(key, ()) if claim.origin.answers_to(self._prefer[key])]
        return chosen[0] if len(chosen) == 1 else None

    def _owner(self, key: str) -> Claim | None:
        """Return whose `key` is; None when it is not claimed, or in dispute."""
        claims = self._claims.get(key, [])
        return claims[0] if len(claims) == 1 else self._preferred(key)

    def usable(self, claim: Claim) -> bool:
        """Whether an object can be used: its own name is its."""
        return claim not in self._left_out and self._owner(claim.keys[0]) is claim

    def find(self, kind: ItemKind, name: str) -> Item | None:
        """Return the object that `name` means, or None.

        Raises:
            PluginConflictError: Several plugins claim the name, or the canonical name behind an alias.
        """
        key = f"{kind.key}:{name.casefold()}"
        owner = self._owner(key)
        if owner is not None and self.usable(owner):
            return owner.item
        contested = owner.keys[0] if owner else key
        if problem := self._conflict(kind, contested):
            raise problem
        return None

    def _conflict(self, kind: ItemKind, key: str) -> PluginConflictError | None:
        claims = self._claims.get(key, [])
        if len(claims) < 2 or self._preferred(key):  # noqa: PLR2004 - it takes two
            return None
        return PluginConflictError(kind.label, key.partition(":")[2], [claim.origin.distribution for claim in claims])

    def items(self, kind: ItemKind) -> dict[str, Item]:
        """Return the usable objects of `kind` by canonical name, sorted."""
        claims = {claim for claims in self._claims.values() for claim in claims if claim.kind is kind}
        return {item.name: item for item in sorted((c.item for c in claims if self.usable(c)), key=lambda i: i.name)}

    def known(self, kind: ItemKind) -> list[str]:
        """Return every name and alias under which an object of `kind` can be had."""
        usable = [claim for claims in self._claims.values() for claim in claims if self.usable(claim)]
        return sorted(
            {key.partition(":")[2] for c in usable if c.kind is kind for key in c.keys if self._owner(key) is c}
        )

    def remarks(self, claim: Claim) -> Iterator[tuple[bool, str]]:
        """Yield what a record shows about a claim, and whether it is a conflict."""
        if claim in self._left_out:
            key = claim.keys[0]
            yield False, f"{key} is left to {self._prefer[key]} by plugins.prefer"
            return
        for key in claim.keys:
            if problem := self._conflict(claim.kind, key):
                yield True, " ".join(str(problem).split())

    def unmet_preferences(self) -> Iterator[tuple[str, str]]:
        """Yield each key of `plugins.prefer` that picks nothing, and why."""
        kinds = {kind.key for kind in KINDS}
        for key, chosen in self._prefer.items():
            if self._preferred(key) is not None:
                continue
            claims = [claim.origin.distribution for claim in self._all.get(key, [])]
            if key.partition(":")[0] not in kinds or ":" not in key:
                yield key, f"must be one of {', '.join(sorted(kinds))}, a colon and a name, such as 'runtime:bash'"
            elif not claims:
                yield key, "nothing that is installed registers it"
            else:
                yield key, f"{chosen!r} does not pick one of those that register it: {', '.join(claims)}"


def _by_key(claims: Iterable[Claim]) -> dict[str, list[Claim]]:
    by_key: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        for key in claim.keys:
            by_key[key].append(claim)
    return dict(by_key)
