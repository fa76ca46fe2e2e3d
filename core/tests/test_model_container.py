"""The engine seam as data: what may select a container, what names it, and what a pool would be keyed by."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.model import DEFAULT_LIMITS, ContainerHandle, ContainerRun, ContainerTemplate
from botdock.model.container import MAX_STATE, segment_selector

TEMPLATE = ContainerTemplate(
    image="image",
    command=("/bin/sh", "x"),
    program="/state/cache/program/1",
    program_digest="1",
    program_target="/p",
    code_target="/bot",
    context_target="/c",
    result_target="/r",
    limits=DEFAULT_LIMITS,
)
OTHER: dict[str, Any] = {
    "image": "other",
    "command": ("/bin/sh", "y"),
    "program_digest": "2",
    "program_target": "/q",
    "environment": {"A": "1"},
    "code_target": "/backtest",
    "context_target": "/d",
    "result_target": "/s",
    "limits": attrs.evolve(DEFAULT_LIMITS, pids=7),
    "keeps_newest": True,
    "network": "market",
    "interpreters": ("sh",),
}


def run(**selectors: str) -> ContainerRun:
    return ContainerRun(name="n", selectors=selectors, code="/a", context="/b", result="/c")


def test_a_digest_tells_apart_what_a_container_cannot_serve_both_of() -> None:
    assert {field.name for field in attrs.fields(ContainerTemplate)} - {"program"} == OTHER.keys()
    digests = {attrs.evolve(TEMPLATE, **{name: value}).digest for name, value in OTHER.items()} | {TEMPLATE.digest}
    assert len(digests) == len(OTHER) + 1
    assert attrs.evolve(TEMPLATE, program="/elsewhere").digest == TEMPLATE.digest


@pytest.mark.parametrize("value", ["x" * 64, "-a", "a-", "a b", "a/b", "../..", "ä", "a\n"])
def test_what_kubernetes_would_refuse_for_a_label_is_not_a_selector(value: str) -> None:
    with pytest.raises(ValueError, match="is not a selector"):
        run(a=value)
    with pytest.raises(ValueError, match="is not a selector"):
        run(**{value: "a"})


@given(st.integers())
def test_each_segment_is_a_selector_of_its_own(segment: int) -> None:
    chosen = segment_selector(segment % 10**50)
    assert run(segment=chosen).selectors == {"segment": chosen}
    assert segment_selector(-5) != segment_selector(5)
    assert run(empty="", most="x" * 63, segment=segment_selector(-(2**63)))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda some: st.lists(some, max_size=3))


@given(st.text(min_size=1), st.dictionaries(st.text(), JSON, max_size=3), st.dictionaries(st.text(), JSON, max_size=3))
def test_a_handle_is_read_back_and_what_is_not_known_in_it_is_ignored(
    name: str, state: dict[str, Any], unknown: dict[str, Any]
) -> None:
    handle = ContainerHandle(id=name, state=state)
    document = json.loads(json.dumps({**unknown, **handle.document}))
    assert ContainerHandle.read(document) == handle
    assert hash(handle) == hash(ContainerHandle.read(document))
    assert ContainerHandle.read({**document, "version": 99}) == ContainerHandle(id=name)


@pytest.mark.parametrize("change", [{"id": ""}, {"id": 7}, {"version": "1"}, {"version": None}, {"state": None}])
def test_what_is_not_a_handle_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not the handle"):
        ContainerHandle.read({**ContainerHandle(id="c").document, **change})


def test_the_state_of_a_handle_is_small_json() -> None:
    with pytest.raises(ValueError, match="at most 4096 bytes"):
        ContainerHandle(id="c", state={"log": "x" * MAX_STATE})
    with pytest.raises(TypeError, match="not JSON"):
        ContainerHandle(id="c", state={"socket": object()})
