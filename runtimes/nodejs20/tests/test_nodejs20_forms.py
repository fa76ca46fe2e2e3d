"""Values of any class that main resolves to: each has its form in JSON, or is named, and takes nothing else with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import attrs
from hypothesis import example, given, settings
from hypothesis import strategies as st

from botdock_runtime_nodejs20.runtime import NODEJS20
from botdock_testing.runtime import bot
from botdock_testing.strategies import SAFE_INTEGER, texts


@attrs.frozen
class Case:
    """An expression, its form, how many of its numbers become null, and how many of its parts have no form."""

    source: str
    form: Any
    nonfinite: int = 0
    formless: int = 0


def moment(milliseconds: int) -> Case:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return Case(f"new Date({milliseconds})", at.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def joined(cases: list[Case], source: str, form: Any) -> Case:
    return Case(source, form, sum(each.nonfinite for each in cases), sum(each.formless for each in cases))


def sequences(cases: list[Case]) -> st.SearchStrategy[Case]:
    items = f"[{', '.join(case.source for case in cases)}]"
    forms = [case.form for case in cases]
    unique = f"new Set({items}.map((item) => [item]))"
    return st.sampled_from([joined(cases, items, forms), joined(cases, unique, [[form] for form in forms])])


def mappings(cases: dict[str, Case]) -> st.SearchStrategy[Case]:
    members = [f"[{json.dumps(name)}, {case.source}]" for name, case in cases.items()]
    entries, forms = f"[{', '.join(members)}]", {name: case.form for name, case in cases.items()}
    kinds = ["new Map({})", "Object.fromEntries({})", "Object.assign(Object.create(null), Object.fromEntries({}))"]
    return st.sampled_from(kinds).map(lambda kind: joined(list(cases.values()), kind.format(entries), forms))


FORMLESS = ["/a/", "Promise.resolve(1)", "new WeakMap()", "new ArrayBuffer(2)", "new DataView(new ArrayBuffer(2))"]
PLAIN = st.none() | st.booleans() | st.integers(-SAFE_INTEGER, SAFE_INTEGER) | st.floats(-1e9, 1e9) | texts()
"""JSON has no integers of its own: beyond `SAFE_INTEGER` Node writes other digits of the same number."""
LEAVES: st.SearchStrategy[Case] = st.one_of(
    PLAIN.map(lambda value: Case(f"JSON.parse({json.dumps(json.dumps(value))})", json.loads(json.dumps(value)))),
    st.integers(-(10**30), 10**30).map(lambda value: Case(f"{value}n", str(value))),
    st.integers(0, 4_000_000_000_000).map(moment),
    st.lists(st.integers(-SAFE_INTEGER, SAFE_INTEGER)).map(lambda all_: Case(f"new Float64Array({all_})", all_)),
    st.binary(max_size=5).map(lambda data: Case(f"new Uint8Array({list(data)})", list(data))),
    st.sampled_from(["NaN", "Infinity", "new Number(NaN)"]).map(lambda text: Case(text, None, nonfinite=1)),
    st.just(Case("Object(2n)", "2")),
    st.just(Case("new Date(NaN)", None)),
    st.just(Case("new RangeError('no data')", {"name": "RangeError", "message": "no data"})),
    st.sampled_from(FORMLESS).map(lambda text: Case(text, None, formless=1)),
    st.just(Case("((o) => (o.self = o))({ n: 1 })", {"n": 1, "self": None}, formless=1)),
    st.just(Case("((m) => m.set('self', m))(new Map())", {"self": None}, formless=1)),
)
CASES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4).flatmap(sequences)
        | st.dictionaries(st.text("ab_1 .$", max_size=5), inner, max_size=4).flatmap(mappings)
    ),
    max_leaves=8,
)


@given(cases=st.lists(CASES, min_size=1, max_size=25))
@settings(max_examples=20, deadline=None)
@example(cases=[Case("new Number(NaN)", None, nonfinite=1)])
@example(cases=[Case("{ a: new Set() }", {"a": []}), Case("[,]", [None])])
def test_any_value_has_the_form_of_its_parts_and_those_without_one_are_named(cases: list[Case]) -> None:
    whole = joined(cases, ", ".join(case.source for case in cases), [case.form for case in cases])
    with bot(NODEJS20, f"exports.main = () => [{whole.source}];") as made:
        ended = made.run()
    assert (ended.exit_code, ended.stderr) == (0, b"")
    assert ended.reading.value == whole.form
    assert ended.reading.nonfinite == whole.nonfinite
    assert bool(ended.reading.problem) == bool(whole.formless), ended.reading.problem
