"""The one strict converter for all data that comes from outside.

Nothing is coerced: `"1"` is not a number, `1` is not text, and `true` is not a number either. Sizes and durations may
have units. All problems are found at once, each with its path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from functools import cache
from typing import Annotated, Any, TypeAlias, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from botdock.config.rules import SECRET, InvalidDataError, KeyPath, Problem, Rule, dotted
from botdock.errors import ConfigError, nearest
from botdock.model._validation import kind_of, nesting_problem, number_problem, shown, text_problem
from botdock.model.limits import RANGES, Limits
from botdock.model.units import Unit, parse_bytes, parse_seconds

T = TypeVar("T")
Hook: TypeAlias = Callable[[Any, Any], Any]

_EXACT = 2**53
_LONGEST_PROBLEM = 400
_WORDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
_EXAMPLES = {Unit.BYTES: "'512MiB'", Unit.SECONDS: "'30s'"}
_PARSERS: dict[Unit, Callable[[object], float]] = {Unit.BYTES: parse_bytes, Unit.SECONDS: parse_seconds}


def structure(data: object, cls: type[T], source: str) -> T:
    """Return `data`, as TOML or JSON gives it, as an object of the attrs class `cls`.

    Args:
        data: A mapping.
        cls: Its class; unknown keys, wrong types and values that break a field's `Rule` are refused.
        source: Where the data comes from, for messages, such as the name of a file.

    Raises:
        ConfigError: With every problem as `source: key.path: problem`.
    """
    try:
        return structure_or_problems(data, cls)
    except InvalidDataError as error:
        raise ConfigError([f"{source}: {dotted(p.path)}: {p.text}" for p in error.problems]) from None


def check_fields(section: Any) -> None:
    """Hold what a section was constructed of to the same rules as what a file says, and keep what they make of it.

    Raises:
        ConfigError: With every problem as `field: problem`.
    """
    problems: list[Problem] = []
    cls: Any = type(section)
    for name, hook in _hooks(attrs.resolve_types(cls)):
        try:
            object.__setattr__(section, name, hook(getattr(section, name), None))
        except Exception as error:  # noqa: BLE001 - see structure_or_problems
            problems.extend(_problems_of(error, (name,)))
    if problems:
        raise ConfigError([f"{dotted(problem.path)}: {problem.text}" for problem in problems])


@cache
def _hooks(cls: type) -> tuple[tuple[str, Hook], ...]:
    return tuple((field.name, _field_hook(cls, field, _converter())) for field in attrs.fields(cls))


def structure_or_problems(data: object, cls: type[T]) -> T:
    """Return `data` as `structure` does.

    Raises:
        InvalidDataError: With every problem and its path.
    """
    try:
        return _converter().structure(data, cls)
    except Exception as error:  # noqa: BLE001 - cattrs raises groups of whatever its hooks raised
        problems = list(_problems_of(error))
    raise InvalidDataError(problems)


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for primitive in _WORDS:
        converter.register_structure_hook(primitive, _structure_primitive)
    for enumeration in (Enum, StrEnum):  # StrEnum by name, or its members would count as mere text
        converter.register_structure_hook(enumeration, _structure_enum)
    converter.register_structure_hook_func(lambda cls: cls is Any, _structure_any)
    converter.register_structure_hook_func(lambda cls: _unit(cls) is not None, _structure_unit)
    converter.register_structure_hook_factory(_is_collection, lambda cls: _collection_hook(cls, converter))
    converter.register_structure_hook_factory(attrs.has, lambda cls: _class_hook(cls, converter))
    return converter


def _structure_any(value: object, _: Any) -> object:
    if problem := nesting_problem(value):
        raise ValueError(problem)
    return value


def _structure_primitive(value: object, cls: type) -> object:
    if cls is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _EXACT:
        return float(value)
    if not isinstance(value, cls) or (cls is int and isinstance(value, bool)):
        raise TypeError(f"must be {_WORDS[cls]}, not {shown(value)}")
    if cls is str and (problem := text_problem(value)):
        raise ValueError(problem)
    return str(value) if cls is str else value


def _unit(cls: Any) -> Unit | None:
    if get_origin(cls) is not Annotated:
        return None
    return next((mark for mark in get_args(cls)[1:] if isinstance(mark, Unit)), None)


def _structure_unit(value: object, cls: Any) -> float:
    unit = _unit(cls) or Unit.BYTES
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"must be a number or text such as {_EXAMPLES[unit]}, not {shown(value)}")
    return _PARSERS[unit](value)


def _structure_enum(value: object, cls: type[Enum]) -> Enum:
    known = [member.value for member in cls]
    if value in known:
        return cls(value)
    near = nearest(value, known) if isinstance(value, str) else []
    raise ValueError(
        f"must be one of {', '.join(known)}, not {shown(value)}" + (f"; did you mean {near[0]}?" if near else "")
    )


def _is_collection(cls: Any) -> bool:
    return get_origin(cls) in {tuple, list, dict, Mapping}


def _collection_hook(cls: Any, converter: cattrs.Converter) -> Hook:
    """Return the hook of `tuple[T, ...]`, `list[T]` or `dict[str, T]`."""
    origin, arguments = get_origin(cls), get_args(cls)
    is_table = origin in {dict, Mapping}
    element = arguments[1] if is_table else arguments[0]

    def hook(value: Any, _: Any) -> object:
        if not isinstance(value, Mapping if is_table else list | tuple):
            raise TypeError(f"must be {'a table' if is_table else 'a list'}, not {kind_of(value)}")
        pairs = _text_keys(value) if isinstance(value, Mapping) else enumerate(value)
        structured = _structure_each(pairs, element, converter)
        return structured if is_table else origin(structured.values())

    return hook


def _text_keys(table: Mapping[object, object]) -> Iterable[tuple[object, object]]:
    if wrong := [key for key in table if not isinstance(key, str)]:
        raise InvalidDataError([Problem((str(key),), f"a key must be text, not {kind_of(key)}") for key in wrong])
    return table.items()


def _structure_each(pairs: Iterable[tuple[Any, object]], element: Any, converter: cattrs.Converter) -> dict[Any, Any]:
    done: dict[Any, Any] = {}
    problems: list[Problem] = []
    for key, value in pairs:
        try:
            done[key] = converter.structure(value, element)
        except Exception as error:  # noqa: BLE001 - see structure_or_problems
            problems.extend(_problems_of(error, (key,)))
    if problems:
        raise InvalidDataError(problems)
    return done


def _class_hook(cls: type, converter: cattrs.Converter) -> Hook:
    """Return the hook of an attrs class, which holds each field to its own rule."""
    attrs.resolve_types(cls)
    overrides = {field.name: override(struct_hook=_field_hook(cls, field, converter)) for field in attrs.fields(cls)}
    inner: Hook = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **overrides)  # type: ignore[arg-type]  # fields, no options

    def hook(value: Any, _: Any) -> object:
        if isinstance(value, cls):
            return _checked(value)
        if not isinstance(value, Mapping):
            raise TypeError(f"must be a table, not {kind_of(value)}")
        return inner(dict(_text_keys(value)), cls)

    return hook


def _checked(section: Any) -> object:
    """Return an object that was constructed before; all of them check themselves then, but for `Limits`."""
    if isinstance(section, Limits) and (wrong := list(section.problems())):
        told = [problem.partition(": ") for problem in wrong]
        raise InvalidDataError([Problem((name,), text) for name, _, text in told])
    return section


def _field_hook(cls: type, field: attrs.Attribute[Any], converter: cattrs.Converter) -> Hook:
    rule, wanted = _rule(cls, field), cast("Any", field.type)

    def hook(value: Any, _: Any) -> object:
        if isinstance(field.validator, Rule) and (problem := field.validator.shape(value)):
            raise TypeError(problem)
        structured = converter.structure(value, wanted)
        if problem := rule(structured):
            raise ValueError(problem)
        return structured

    def secret_hook(value: Any, _: Any) -> object:
        if not isinstance(value, str):
            raise TypeError("must be text (its value is a secret, and not shown)")
        if problem := text_problem(value):
            raise ValueError(problem)
        return value

    return secret_hook if field.metadata.get(SECRET) else hook


def _rule(cls: type, field: attrs.Attribute[Any]) -> Callable[[Any], str | None]:
    if cls is Limits:
        return lambda value: None if value is None else number_problem(value, *RANGES[field.name])
    if isinstance(field.validator, Rule):
        return field.validator.problem
    return lambda value: _validator_problem(field, value)


def _validator_problem(field: attrs.Attribute[Any], value: object) -> str | None:
    """Ask an ordinary validator of attrs, such as a third party's class has, before any object is made."""
    try:
        if field.validator is not None:
            field.validator(None, field, value)
    except (ValueError, TypeError) as error:
        return str(error.args[0]) if error.args else "is refused"
    except Exception:  # noqa: BLE001 - it needs the object; it is asked again when that is made
        return None
    return None


def _problems_of(error: BaseException, path: KeyPath = ()) -> Iterator[Problem]:
    """Yield what is wrong, walking down the groups of cattrs."""
    match error:
        case cattrs.ClassValidationError():
            for inner, note in error.group_exceptions()[0]:
                yield from _problems_of(inner, (*path, note.name))
            for inner in error.group_exceptions()[1]:
                yield from _problems_of(inner, path)
        case InvalidDataError():
            yield from (Problem((*path, *problem.path), problem.text) for problem in error.problems)
        case cattrs.ForbiddenExtraKeysError():
            known = [field.name for field in attrs.fields(error.cl)]
            for key in sorted(map(str, error.extra_fields)):
                yield Problem((*path, key), _unknown(key, known))
        case KeyError():
            yield Problem(path, "is missing")
        case _:
            yield Problem(path, str(error)[:_LONGEST_PROBLEM])


def _unknown(key: str, known: list[str]) -> str:
    near = nearest(key, known)
    return f"unknown; did you mean {near[0]}?" if near else f"unknown; there are: {', '.join(known)}"
