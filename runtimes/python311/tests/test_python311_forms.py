"""Values of any classes that authors return: each has its form in JSON, or is named, and takes nothing else with it."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import json
import math
import sys
from collections import OrderedDict, deque, namedtuple
from datetime import timedelta
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_runtime_python311 import runtime
from botdock_runtime_python311.runtime import PYTHON311
from botdock_testing.runtime import bot

FILES = f"{runtime.__file__.rpartition('/')[0]}/files"
Tick = namedtuple("Tick", "at price")  # noqa: PYI024 - what authors return


class Side(enum.Enum):
    BUY = "buy"


@dataclasses.dataclass
class Order:
    amount: Any
    note: Any


@attrs.define
class Fill:
    amount: Any
    note: Any


class Opaque:
    pass


@pytest.fixture(scope="module")
def forms() -> Any:
    """Return the module of the wrapper that copies values."""
    sys.path.insert(0, FILES)
    try:
        return importlib.import_module("_botdock_forms")
    finally:
        sys.path.remove(FILES)


@attrs.frozen
class Case:
    """A value, what becomes of it, how many of its numbers became null, and how many of its parts have no form."""

    value: Any
    form: Any
    nonfinite: int = 0
    formless: int = 0


def same(values: st.SearchStrategy[Any], form: Any = lambda value: value) -> st.SearchStrategy[Case]:
    return values.map(lambda value: Case(value, form(value)))


def joined(cases: list[Case], value: Any, form: Any) -> Case:
    return Case(value, form, sum(each.nonfinite for each in cases), sum(each.formless for each in cases))


def sequences(cases: list[Case]) -> st.SearchStrategy[Case]:
    values = [case.value for case in cases]
    kinds: list[Any] = [list, tuple, deque, lambda all_: dict(enumerate(all_)).values()]
    return st.sampled_from(kinds).map(lambda kind: joined(cases, kind(values), [case.form for case in cases]))


def mappings(cases: dict[str, Case]) -> st.SearchStrategy[Case]:
    values = {name: case.value for name, case in cases.items()}
    forms = {name: case.form for name, case in cases.items()}
    kinds: list[Any] = [dict, OrderedDict, MappingProxyType]
    return st.sampled_from(kinds).map(lambda kind: joined(list(cases.values()), kind(values), forms))


def records(cases: tuple[Case, Case]) -> st.SearchStrategy[Case]:
    first, second = cases
    as_object = {"amount": first.form, "note": second.form}
    return st.sampled_from(
        [
            joined([*cases], Order(first.value, second.value), as_object),
            joined([*cases], Fill(first.value, second.value), as_object),
            joined([*cases], Tick(first.value, second.value), [first.form, second.form]),
        ]
    )


LEAVES: st.SearchStrategy[Case] = st.one_of(
    same(st.none() | st.booleans() | st.integers() | st.text()),
    same(st.floats(allow_nan=False, allow_infinity=False)),
    same(st.datetimes() | st.dates() | st.times(), lambda value: value.isoformat()),
    same(st.timedeltas(), timedelta.total_seconds),
    same(st.decimals(allow_nan=False, allow_infinity=False) | st.uuids() | st.fractions(), str),
    same(st.text("ab/.", min_size=1).map(PurePosixPath), str),
    same(st.sets(st.integers()) | st.frozensets(st.text()), sorted),
    st.just(Case(Side.BUY, "buy")),
    st.sampled_from([math.nan, math.inf, -math.inf]).map(lambda value: Case(value, None, nonfinite=1)),
    st.sampled_from([b"x", bytearray(b"x"), 1j, Opaque(), Opaque, iter(()), ...]).map(
        lambda value: Case(value, None, formless=1)
    ),
)
CASES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4).flatmap(sequences)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4).flatmap(mappings)
        | st.tuples(inner, inner).flatmap(records)
    ),
    max_leaves=12,
)


@given(case=CASES)
def test_any_value_has_the_form_of_its_parts_and_those_without_one_are_named(case: Case, forms: Any) -> None:
    plain = forms.Plain()
    copied = plain.copy(case.value)
    json.dumps(copied, allow_nan=False)
    assert copied == case.form
    assert plain.nonfinite == case.nonfinite
    assert bool(plain.problem) == bool(case.formless), plain.problem


NUMPY = {
    "np.int64(3)": 3,
    "np.uint64(2**63 + 1)": 2**63 + 1,
    "np.float32(1.5)": 1.5,
    "np.longdouble(1.5)": 1.5,
    "np.bool_(True)": True,
    "np.str_('x')": "x",
    "np.array(5)": 5,
    "np.array([[1, np.nan]])": [[1.0, None]],
    "np.array([1.5], dtype='longdouble')": [1.5],
    "np.array([{'a': np.int8(1)}, None], dtype=object)": [{"a": 1}, None],
    "np.ma.array([1, 2], mask=[0, 1])": [1, None],
    "np.datetime64('2024-01-02T03:04:05.123456789')": "2024-01-02T03:04:05.123456789",
    "np.datetime64('NaT')": None,
    "np.timedelta64(90, 's')": 90.0,
    "np.timedelta64('NaT')": None,
    "np.array(['2024-01-01', 'NaT'], dtype='datetime64[D]')": ["2024-01-01", None],
    "np.array([[1, 'NaT']], dtype='timedelta64[m]')": [[60.0, None]],
    "pd.Series([1.0, None])": [1.0, None],
    "pd.Series([1, None], dtype='Int64')": [1, None],
    "pd.Series([pd.Timedelta('1s'), pd.NaT])": [1.0, None],
    "pd.Series(['x'], dtype='category')": ["x"],
    "pd.date_range('2024-01-01', periods=2)": ["2024-01-01T00:00:00", "2024-01-02T00:00:00"],
    "pd.Timestamp('2024-01-01', tz='UTC')": "2024-01-01T00:00:00+00:00",
    "[pd.NaT, pd.NA]": [None, None],
    "pd.DataFrame({'a': [1, 2], 'at': pd.to_datetime(['2024-01-01', None])})": {
        "a": [1, 2],
        "at": ["2024-01-01T00:00:00", None],
    },
}


def test_what_numpy_and_pandas_have_has_a_form() -> None:
    source = f"import numpy as np, pandas as pd\ndef main(id, config):\n    return [{', '.join(NUMPY)}]"
    with bot(PYTHON311, source, entrypoint="backtest") as made:
        ended = made.run()
    assert (ended.stderr, ended.reading.problem) == (b"", "")
    assert ended.reading.value == list(NUMPY.values())


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("np.array([b'x'])", "[0] is of type bytes"),
        ("np.clongdouble(1j)", " is of type numpy.clongdouble"),
        ("np.float64", " is of type type"),
        ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", " has a column of one name twice"),
        ("pd.Period('2024-01')", " is of type pandas.*"),
    ],
)
def test_what_of_numpy_and_pandas_has_no_form_takes_nothing_else_with_it(
    expression: str, problem: str, forms: Any
) -> None:
    plain, libraries = forms.Plain(), {"np": importlib.import_module("numpy"), "pd": importlib.import_module("pandas")}
    assert plain.copy([1, eval(expression, libraries)])[0] == 1
    assert plain.problem.startswith(f"not JSON: $[1]{problem.rstrip('*')}")
