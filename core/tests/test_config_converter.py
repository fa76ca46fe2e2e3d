"""The strict converter, with classes of its own: it serves all outside data, not only the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from botdock.config import rules, setting
from botdock.config.converter import reader_of, structure
from botdock.config.rules import InvalidDataError
from botdock.model import Limits
from botdock.model.units import Bytes, Seconds


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@attrs.frozen(kw_only=True)
class Inner:
    size: Bytes | None = None
    wait: Seconds = attrs.field(default=1.0, validator=rules.WAIT)
    password: str = setting("", secret=True)
    code: str = setting("", secret=True, rule=rules.Rule(lambda code: None if len(code) < 9 else f"{code} is long"))


@attrs.frozen(kw_only=True)
class Manifest:
    name: str
    count: int = 0
    share: float = 0.0
    on: bool = False
    colour: Colour = Colour.RED
    parts: tuple[str, ...] = ()
    lists: list[int] = attrs.field(factory=list)
    table: dict[str, str] = attrs.field(factory=dict)
    anything: dict[str, Any] = attrs.field(factory=dict)
    inner: Inner = attrs.field(factory=Inner)
    limits: Limits = attrs.field(factory=Limits)


def problems(**data: object) -> list[str]:
    with pytest.raises(InvalidDataError) as caught:
        structure({"name": "x", **data}, Manifest)
    return str(caught.value).splitlines()


def test_good_data_becomes_an_object() -> None:
    data = {
        "name": "x",
        "count": 3,
        "share": 1,
        "on": True,
        "colour": "green",
        "parts": ["a", "b"],
        "lists": [1],
        "table": {"a b": "c"},
        "anything": {"deep": [{"x": None}]},
        "inner": {"size": "1.5KiB", "wait": "1m30s", "password": "p"},
        "limits": {"memory": "64MiB"},
    }
    inner, limits = Inner(size=1536, wait=90.0, password="p"), Limits(memory=64 * 1024**2)
    fields = {**data, "colour": Colour.GREEN, "parts": ("a", "b"), "inner": inner, "limits": limits}
    manifest = structure(data, Manifest)
    assert attrs.asdict(manifest, recurse=False) == fields
    assert isinstance(manifest.share, float)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"count": "1"}, "count: must be a whole number, not '1'"),
        ({"count": 1.0}, "count: must be a whole number, not 1.0"),
        ({"count": True}, "count: must be a whole number, not true"),
        ({"share": False}, "share: must be a number, not false"),
        ({"share": 10**100}, "share: must be a number, not a number"),
        ({"on": 1}, "on: must be true or false, not 1"),
        ({"on": None}, "on: must be true or false, not nothing"),
        ({"name": 5}, "name: must be text, not 5"),
        ({"name": b"x"}, "name: must be text, not a bytes"),
        ({"count": "x" * 100}, "count: must be a whole number, not '" + "x" * 59 + "..."),
        ({"colour": "gren"}, "colour: must be one of red, green, not 'gren'; did you mean green?"),
        ({"colour": ["red"]}, "colour: must be one of red, green, not a list"),
        ({"parts": "a"}, "parts: must be a list, not text"),
        ({"parts": ["a", 2]}, "parts.1: must be text, not 2"),
        ({"table": ["a"]}, "table: must be a table, not a list"),
        ({"table": {"a b": 1}}, 'table."a b": must be text, not 1'),
        ({"table": {1: "a"}}, "table.1: a key must be text, not a number"),
        ({"inner": 7}, "inner: must be a table, not a number"),
        (
            {"inner": {"size": "lots"}},
            "inner.size: 'lots' is not a size; write bytes, or for example '512MiB' or '1.5GB'",
        ),
        ({"inner": {"size": True}}, "inner.size: must be a number or text such as '512MiB', not true"),
        ({"inner": {"size": 1.5}}, "inner.size: 1.5 is not a size; write bytes, or for example '512MiB' or '1.5GB'"),
        ({"inner": {"wait": 0}}, "inner.wait: 0.0 must be 0.001 to 31622400.0 seconds"),
        ({"inner": {"wait": float("nan")}}, "inner.wait: nan is not a duration; write seconds, or for example '30s'"),
        ({"inner": {"siez": 1}}, "inner.siez: unknown; did you mean size?"),
        ({"inner": {"qq": 1}}, "inner.qq: unknown; there are: size, wait, password"),
        ({"limits": {"pids": 0}}, "limits.pids: 0 must be 1 to 4194304"),
    ],
)
def test_wrong_data_is_told_with_its_path(data: dict[str, object], said: str) -> None:
    (problem,) = problems(**data)
    assert problem.startswith(f"{said}")


def test_what_is_missing_is_told() -> None:
    with pytest.raises(InvalidDataError, match=r"^name: is missing$"):
        structure({}, Manifest)


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_a_document_that_is_no_table_is_told(data: object) -> None:
    with pytest.raises(InvalidDataError, match=r"^document: must be a table, not "):
        structure(data, Manifest)


def test_all_problems_are_told_at_once() -> None:
    found = problems(count="1", nam="x", inner={"wait": -1, "size": "x"}, parts=[1, 2], limits={"cpus": 1e9})
    assert {problem.split(": ")[0] for problem in found} == {
        "count",
        "nam",
        "inner.wait",
        "inner.size",
        "parts.0",
        "parts.1",
        "limits.cpus",
    }


@pytest.mark.parametrize("value", [12345678, ["12345678"], {"12345678": 1}, None])
def test_a_secret_is_never_shown(value: object) -> None:
    (problem,) = problems(inner={"password": value})
    assert problem == "inner.password: must be text (its value is a secret, and not shown)"


def test_a_secret_obeys_the_rule_of_its_setting_and_is_not_shown_in_what_that_says() -> None:
    assert problems(inner={"code": "123456789"}) == ["inner.code: is refused (its value is a secret, and not shown)"]


def test_a_long_wrong_value_makes_no_long_message() -> None:
    (problem,) = problems(inner={"size": "x" * 100_000})
    assert len(problem) < 500


@attrs.frozen(kw_only=True)
class Chosen:
    mode: Literal["fast", "safe"] = "safe"
    plain: dict = attrs.field(factory=dict)  # type: ignore[type-arg] # as a third party may write it
    colours: list[Colour] | None = None
    parts: list[Inner] = attrs.field(factory=list)
    derived: int = attrs.field(default=7, init=False)
    _hidden: int = 0


def test_the_types_that_a_plugins_settings_may_have_are_read() -> None:
    data = {"mode": "fast", "plain": {"a": [1]}, "colours": ["red"], "parts": [{"size": 1}], "_hidden": 3}
    assert structure(data, Chosen) == Chosen(
        mode="fast", plain={"a": [1]}, colours=[Colour.RED], parts=[Inner(size=1)], hidden=3
    )
    with pytest.raises(InvalidDataError) as caught:
        structure({"mode": "fsat", "colours": [1], "parts": [{}, {"sze": 1}], "derived": 1}, Chosen)
    assert str(caught.value).splitlines() == [
        "mode: must be one of fast, safe, not 'fsat'; did you mean fast?",
        "colours.0: must be one of red, green, not 1",
        "parts.1.sze: unknown; did you mean size?",
        "derived: unknown; there are: mode, plain, colours, parts, _hidden",
    ]


@pytest.mark.parametrize("wanted", [set[str], int | str, Path, datetime, bytes, Iterator[int]])
def test_a_type_that_no_setting_can_have_is_told_with_its_field(wanted: Any) -> None:
    cls = attrs.make_class("Odd", {"it": attrs.field(type=wanted, default=None)})
    with pytest.raises(TypeError, match=r"^Odd\.it: a setting cannot be of the type "):
        reader_of(cls)


def test_what_a_class_itself_refuses_is_told_at_its_table() -> None:
    @attrs.frozen(kw_only=True)
    class Bounds:
        low: int = 0
        high: int = 9

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low must not be above high")

    cls = attrs.make_class("Outer", {"bounds": attrs.field(type=Bounds)})
    with pytest.raises(InvalidDataError, match=r"^bounds: low must not be above high$"):
        structure({"bounds": {"low": 10}}, cls)
