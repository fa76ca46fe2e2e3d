"""The one strict converter for all data that comes from outside.

Nothing is coerced: `"1"` is not a number, `1` is not text, and `true` is not a number either. Sizes and durations may
have units. All problems are found at once, each with its path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, cast, get_args, get_origin

import attrs

from botdock.config.rules import SECRET, InvalidDataError, KeyPath, Problem, Rule, dotted
from botdock.errors import ConfigError, meant, nearest
from botdock.model._validation import kind_of, nesting_problem, number_problem, shown, text_problem
from botdock.model.limits import RANGES, Limits
from botdock.model.units import Unit, parse_bytes, parse_seconds

T = TypeVar("T")
Reader: TypeAlias = Callable[[Any], Any]
"""Returns a value as its type wants it; raises a TypeError, a ValueError, or an InvalidDataError with several."""

_EXACT = 2**53
_LONGEST_PROBLEM = 400
_WORDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
_EXAMPLES = {Unit.BYTES: "'512MiB'", Unit.SECONDS: "'30s'"}
_PARSERS: dict[Unit, Callable[[object], float]] = {Unit.BYTES: parse_bytes, Unit.SECONDS: parse_seconds}
_TABLES = (dict, Mapping)
_COLLECTIONS = (tuple, list, *_TABLES)
_NOT_SHOWN = "(its value is a secret, and not shown)"


def structure(data: object, cls: type[T]) -> T:
    """Return `data`, as TOML or JSON gives it, as an object of the attrs class `cls`.

    Args:
        data: A mapping.
        cls: Its class; unknown keys, wrong types and values that break a field's `Rule` are refused.

    Raises:
        InvalidDataError: With every problem and its path.
    """
    try:
        return cast("T", reader_of(cast("Any", cls))(data))
    except Exception as error:  # noqa: BLE001 - see _read_each
        problems = list(_problems_of(error))
    raise InvalidDataError(problems)


def check_fields(section: Any) -> None:
    """Hold what a section was constructed of to the same rules as what a file says, and keep what they make of it.

    Raises:
        ConfigError: With every problem as `field: problem`.
    """
    readers = _field_readers(cast("Any", type(section)))
    try:
        values = _read_each((name, reader, getattr(section, name)) for name, reader in readers.items())
    except InvalidDataError as error:
        raise ConfigError([f"{dotted(problem.path)}: {problem.text}" for problem in error.problems]) from None
    for name, value in values.items():
        object.__setattr__(section, name, value)


@cache
def reader_of(wanted: Any) -> Reader:
    """Return what reads a value of a type: one of JSON's, a size, a choice, an attrs class; or None as well.

    Raises:
        TypeError: No setting can be of that type.
    """
    reader = _plain_reader(wanted) if get_origin(wanted) is None else _generic_reader(wanted, get_origin(wanted))
    if reader is None:
        raise TypeError(f"a setting cannot be of the type {wanted}")
    return reader


def _plain_reader(wanted: Any) -> Reader | None:
    if wanted is Any:
        return _read_anything
    if wanted in _WORDS:
        return partial(_read_primitive, wanted)
    if wanted in _COLLECTIONS:
        return _collection_reader(wanted, Any)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return partial(_read_choice, {member.value: member for member in wanted})
    return _class_reader(wanted) if attrs.has(wanted) else None


def _generic_reader(wanted: Any, origin: Any) -> Reader | None:
    arguments = get_args(wanted)
    if origin is Annotated and (unit := next((mark for mark in arguments[1:] if isinstance(mark, Unit)), None)):
        return partial(_read_unit, unit)
    if origin is Literal:
        return partial(_read_choice, {choice: choice for choice in arguments})
    if origin in _COLLECTIONS:
        return _collection_reader(origin, arguments[-1] if origin in _TABLES else arguments[0])
    others = [argument for argument in arguments if argument is not NoneType]
    if origin not in {Union, UnionType} or len(others) != 1:
        return None
    read = reader_of(others[0])
    return lambda value: None if value is None else read(value)


def _read_anything(value: object) -> object:
    if problem := nesting_problem(value):
        raise ValueError(problem)
    return value


def _read_primitive(cls: type, value: object) -> object:
    if cls is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _EXACT:
        return float(value)
    if not isinstance(value, cls) or (cls is int and isinstance(value, bool)):
        raise TypeError(f"must be {_WORDS[cls]}, not {shown(value)}")
    if cls is str and (problem := text_problem(value)):
        raise ValueError(problem)
    return str(value) if cls is str else value


def _read_unit(unit: Unit, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"must be a number or text such as {_EXAMPLES[unit]}, not {shown(value)}")
    return _PARSERS[unit](value)


def _read_choice(choices: Mapping[Any, object], value: Any) -> object:
    for known, choice in choices.items():
        if value == known and not isinstance(value, bool):
            return choice
    near = nearest(value, map(str, choices)) if isinstance(value, str) else []
    raise ValueError(
        f"must be one of {', '.join(map(str, choices))}, not {shown(value)}"
        + (f"; did you mean {near[0]}?" if near else "")
    )


def _collection_reader(origin: Any, element: Any) -> Reader:
    """Return the reader of `tuple[T, ...]`, `list[T]` or `dict[str, T]`."""
    is_table, read_element = origin in _TABLES, reader_of(element)

    def read(value: Any) -> object:
        if not isinstance(value, Mapping if is_table else list | tuple):
            raise TypeError(f"must be {'a table' if is_table else 'a list'}, not {kind_of(value)}")
        pairs = _text_keys(value) if isinstance(value, Mapping) else enumerate(value)
        values = _read_each((key, read_element, inner) for key, inner in pairs)
        return values if is_table else origin(values.values())

    return read


def _text_keys(table: Mapping[Any, object]) -> Iterable[tuple[str, object]]:
    if wrong := [key for key in table if not isinstance(key, str)]:
        raise InvalidDataError([Problem((str(key),), f"a key must be text, not {kind_of(key)}") for key in wrong])
    return table.items()


def _read_each(values: Iterable[tuple[Any, Reader, object]], wrong: Iterable[Problem] = ()) -> dict[Any, Any]:
    """Read values, each with its key and its reader.

    Raises:
        InvalidDataError: With the problems of all, and with what is `wrong` besides.
    """
    done: dict[Any, Any] = {}
    problems: list[Problem] = []
    for key, read, value in values:
        try:
            done[key] = read(value)
        except Exception as error:  # noqa: BLE001 - a third party's class and its validators may raise anything
            problems.extend(_problems_of(error, (key,)))
    if problems := [*problems, *wrong]:
        raise InvalidDataError(problems)
    return done


def _problems_of(error: BaseException, path: KeyPath = ()) -> Iterator[Problem]:
    if isinstance(error, InvalidDataError):
        yield from (Problem((*path, *problem.path), problem.text) for problem in error.problems)
    else:
        yield Problem(path, str(error)[:_LONGEST_PROBLEM])


def _class_reader(cls: Any) -> Reader:
    """Return the reader of an attrs class, which holds each field to its own rule."""
    readers, fields = _field_readers(cls), attrs.fields_dict(cls)
    required = [name for name in readers if fields[name].default is attrs.NOTHING]

    def read(value: Any) -> object:
        if isinstance(value, cls):
            return _checked(value)
        if not isinstance(value, Mapping):
            raise TypeError(f"must be a table, not {kind_of(value)}")
        table = dict(_text_keys(value))
        if (rest := getattr(cls, "REST", "")) and isinstance(held := table.get(rest, {}), Mapping):
            table[rest] = {**held, **{key: table.pop(key) for key in sorted(table.keys() - readers.keys())}}
        wrong = [Problem((name,), "is missing") for name in required if name not in table]
        wrong += [Problem((key,), f"unknown; {meant(key, readers)}") for key in sorted(table.keys() - readers.keys())]
        values = _read_each(((name, readers[name], table[name]) for name in readers if name in table), wrong)
        return cls(**{str(fields[name].alias): inner for name, inner in values.items()})

    return read


def _checked(section: Any) -> object:
    """Return an object that was constructed before; all of them check themselves then, but for `Limits`."""
    if isinstance(section, Limits) and (wrong := list(section.problems())):
        told = [problem.partition(": ") for problem in wrong]
        raise InvalidDataError([Problem((name,), text) for name, _, text in told])
    return section


@cache
def _field_readers(cls: Any) -> dict[str, Reader]:
    return {field.name: _field_reader(cls, field) for field in attrs.fields(attrs.resolve_types(cls)) if field.init}


def _field_reader(cls: type, field: attrs.Attribute[Any]) -> Reader:
    if field.metadata.get(SECRET):
        return partial(_read_secret, _rule(cls, field))
    rule, wanted = _rule(cls, field), cast("Any", field.type or Any)
    try:
        read_value = reader_of(wanted)
    except TypeError as error:
        raise TypeError(f"{cls.__name__}.{field.name}: {error}") from None

    def read(value: Any) -> object:
        structured = read_value(value)
        if problem := rule(structured):
            raise ValueError(problem)
        return structured

    return read


def _read_secret(rule: Callable[[Any], str | None], value: object) -> object:
    if not isinstance(value, str):
        raise TypeError(f"must be text {_NOT_SHOWN}")
    if problem := text_problem(value) or rule(value):
        raise ValueError(f"is refused {_NOT_SHOWN}" if value and value in problem else problem)
    return value


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
