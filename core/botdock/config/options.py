"""The settings of plugins: `[options.<plugin>]`, who owns which, and the older names of some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from botdock.config.rules import LIMIT, VARIABLE, InvalidDataError, KeyPath, Problem, dotted, spelling
from botdock.errors import nearest
from botdock.model.limits import Limits

if TYPE_CHECKING:
    from botdock.config.sources import Layer

OPTIONS = "options"


@attrs.frozen(kw_only=True)
class Owner:
    """A plugin that owns a section.

    Attributes:
        name: As in `[options.NAME]`.
        settings: The attrs class of the section; None for a plugin that cannot be used, whose section is not looked at.
        section: Another name of the section, at the top: `[docker]`.
        disputed: Whether another plugin owns the section as well.
    """

    name: str
    settings: type | None = None
    section: str = ""
    disputed: bool = False


class PluginSections:
    """The sections of all plugins.

    Args:
        owners: Those of plugins that can be used.
        unusable: Plugins that are installed and cannot be used: blocked, broken, or of a disputed name.
        anything: Whether it is not known which plugins there are, so that any section may be one's.
    """

    def __init__(self, owners: Iterable[Owner] = (), unusable: Iterable[Owner] = (), *, anything: bool = False) -> None:
        self._anything = anything
        self._owners: dict[str, Owner] = {}
        for owner in owners:
            known = self._owners.setdefault(spelling(owner.name), owner)
            if known.settings is not owner.settings:
                self._owners[spelling(owner.name)] = attrs.evolve(known, disputed=True)
        for owner in unusable:
            self._owners.setdefault(spelling(owner.name), owner)

    def __iter__(self) -> Iterator[Owner]:
        """Yield those whose settings are known, by name."""
        return iter(sorted((owner for owner in self._owners.values() if owner.settings), key=lambda owner: owner.name))

    def owner(self, name: str) -> Owner | None:
        """Return the owner of `[options.<name>]`."""
        return self._owners.get(spelling(name)) or (Owner(name=name) if self._anything else None)

    def owner_of_section(self, name: str) -> Owner | None:
        """Return the owner of a section at the top."""
        named = next((owner for owner in self if owner.section == name), None)
        unusable = self.owner(name)
        return named or (unusable if unusable and unusable.settings is None else None)

    def variables(self) -> dict[str, KeyPath]:
        """Return the paths that environment variables of other names set."""
        return {
            field.metadata[VARIABLE]: (OPTIONS, owner.name, field.name)
            for owner in self
            for field in attrs.fields(owner.settings)  # type: ignore[arg-type] # `__iter__` yields none without
            if VARIABLE in field.metadata
        }

    def canonical(self, layer: Layer, sections: Iterable[str]) -> tuple[Layer, list[str]]:
        """Return a layer whose settings of plugins all stand at `options.<name>`, and a line for each problem.

        Args:
            layer: What was read.
            sections: The names of the core's own sections.
        """
        own, problems = set(sections), list[str]()
        data = {key: value for key, value in layer.data.items() if key in own or not isinstance(key, str)}
        tables: list[tuple[KeyPath, str, object]] = []
        for key in layer.data.keys() - data.keys():
            if owner := self.owner_of_section(key):
                tables.append(((key,), owner.name, layer.data[key]))
            else:
                problems.append(f"{layer.source}: {dotted((key,))}: unknown{self._meant(key, own)}")
        if isinstance(given := data.get(OPTIONS, {}), Mapping) and (given or tables):
            for key, table in given.items():
                owner = self.owner(str(key))
                tables.append(((OPTIONS, str(key)), owner.name if owner else str(key), table))
            data[OPTIONS], written, twice = _joined(tables)
            problems += [f"{layer.source}: {dotted(path)}: is set twice, also as {dotted(o)}" for path, o in twice]
            layer = attrs.evolve(layer, written=written)
        return attrs.evolve(layer, data=data), problems

    def structured(self, options: Mapping[str, object]) -> dict[str, Any]:
        """Return the settings of plugins, each an object of its owner's class.

        Raises:
            InvalidDataError: With every problem and its path below `options`.
        """
        from botdock.config.converter import structure

        done: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, table in options.items():
            owner = self.owner(name)
            if owner is None:
                problems.append(Problem((name,), f"no installed plugin has these settings{self._meant(name, ())}"))
            elif owner.name in done:
                problems.append(Problem((name,), f"is set twice, also as {owner.name}"))
            elif owner.disputed:
                text = f"several plugins are called {owner.name!r} and have settings; plugins.blocked can leave one out"
                problems.append(Problem((name,), text))
            elif owner.settings is None:
                done[owner.name] = table
            else:
                try:
                    done[owner.name] = structure(table, owner.settings)
                except InvalidDataError as error:
                    problems.extend(Problem((name, *problem.path), problem.text) for problem in error.problems)
        if problems:
            raise InvalidDataError(problems)
        return done

    def complete(self, options: Mapping[str, object]) -> dict[str, Any]:
        """Return settings together with the defaults of all others, where those have any; for showing."""
        done = dict(options)
        for owner in self:
            fields = attrs.fields(owner.settings)  # type: ignore[arg-type] # as in `variables`
            if owner.name not in done and all(field.default is not attrs.NOTHING for field in fields):
                done[owner.name] = owner.settings() if owner.settings else {}
        return dict(sorted(done.items()))

    def _meant(self, name: str, sections: Iterable[str]) -> str:
        names = {owner.name: f"{OPTIONS}.{owner.name}" for owner in self}
        names |= {section: section for section in sections}
        if sections:
            names |= {owner.section: owner.section for owner in self if owner.section}
        near = [names[found] for found in nearest(name, names)]
        known = ", ".join(sorted(names.values())) or "none"
        return f"; did you mean {near[0]}?" if near else f"; there are: {known}"


def _joined(
    tables: list[tuple[KeyPath, str, object]],
) -> tuple[dict[str, Any], dict[KeyPath, KeyPath], list[tuple[KeyPath, KeyPath]]]:
    """Return the tables by name, where each of their settings was written, and which were written twice."""
    options: dict[str, Any] = {}
    written: dict[KeyPath, KeyPath] = {}
    twice = []
    for path, name, table in tables:
        written.setdefault((OPTIONS, name), path)
        if not isinstance(table, Mapping) or not isinstance(options.setdefault(name, {}), dict):
            options[name] = table
            continue
        for key, value in table.items():
            place = (OPTIONS, name, str(key))
            if place in written:
                twice.append(((*path, str(key)), written[place]))
            written[place] = (*path, str(key))
            options[name][key] = value
    return options, written, twice


def limits_of(settings: object) -> dict[str, tuple[str, Any]]:
    """Return the defaults of limits that an engine's settings hold: by name, the setting and its value."""
    if not attrs.has(type(settings)):
        return {}
    fields = attrs.fields(type(settings))  # type: ignore[arg-type] # `has` has looked
    return {
        field.metadata[LIMIT]: (field.name, value)
        for field in fields
        if LIMIT in field.metadata and (value := getattr(settings, field.name))
    }


def default_limits(settings: object, limits: Limits) -> Limits:
    """Return the limits of an execution that names none: an engine's own settings over those of all engines."""
    return Limits(**{name: value for name, (_, value) in limits_of(settings).items()}).over(limits)
