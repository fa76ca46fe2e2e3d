"""What a result file says; it comes from the bot, and nothing in it is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdock.entrypoints import ResultReading, begin_result, read_result
from botdock.entrypoints.result import MAX_NODES
from botdock.model import ResultFormat, Runtime, RuntimeCapabilities
from botdock_testing.script import envelope
from botdock_testing.strategies import json_values

LIMIT = 8 * 1024 * 1024


def runtime(result: ResultFormat) -> Runtime:
    return Runtime(
        name="any",
        image="any",
        interpreters=(),
        suffixes=(),
        scripts={},
        files=dict,
        capabilities=RuntimeCapabilities(result=result),
    )


WRAPPED, PLAIN = runtime(ResultFormat.ENVELOPE), runtime(ResultFormat.VALUE)


def wrapped(value: object, **header: Any) -> bytes:
    return envelope(json.dumps(value).encode(), **header)


def read(data: bytes, *, of: Runtime = WRAPPED, limit: int = LIMIT) -> ResultReading:
    return read_result(data, limit, of, "bot")


@pytest.mark.parametrize("data", [b"", b" \n"])
def test_nothing_written_is_no_value_of_a_script_and_a_lost_one_of_a_wrapper(data: bytes) -> None:
    assert read(data, of=PLAIN) == ResultReading()
    assert read(data).lost


def test_a_wrapper_that_never_wrote_is_told_from_a_file_that_lost_something(tmp_path: Path) -> None:
    result = tmp_path / "result"
    result.touch(mode=0o666)
    begin_result(WRAPPED, result)
    assert read(result.read_bytes()) == ResultReading(unwritten=True)
    begin_result(PLAIN, result)
    assert read(result.read_bytes(), of=PLAIN) == ResultReading()


@given(value=json_values(), nonfinite=st.integers(0, 3))
@example(value=[[[[1]]]], nonfinite=0)
def test_every_beginning_of_an_envelope_is_a_lost_result(value: object, nonfinite: int) -> None:
    whole = wrapped(value, nonfinite=nonfinite)
    for size in range(len(whole)):
        reading = read(whole[:size])
        assert reading.lost, whole[:size]
        assert not reading.present
    assert read(whole + b" ").lost
    assert not read(whole).lost


@given(value=json_values(largest_integer=10**30), exit_code=st.integers(0, 255))
def test_a_value_comes_back_as_it_was(value: object, exit_code: int) -> None:
    text = json.dumps(value, indent=1).encode()
    enveloped = read(envelope(text, exit_code=exit_code))
    assert (enveloped.content, enveloped.exit_code, enveloped.problem) == (text, exit_code, "")
    plain = read(json.dumps(value).encode(), of=PLAIN)
    assert (plain.value, plain.present, plain.exit_code, plain.problem) == (value, True, None, "")


def test_a_wrapper_may_say_that_there_is_no_value_and_why() -> None:
    assert read(envelope()) == ResultReading(exit_code=0)
    said = read(envelope(problem="not JSON: $ is of type set"))
    assert (said.present, said.problem, said.lost) == (False, "not JSON: $ is of type set", "")
    said = read(envelope(lost="No space left on device"))
    assert (said.present, said.lost) == (False, "what main returned could not be written: No space left on device")


def test_an_uncaught_error_has_type_and_message() -> None:
    reading = read(envelope(exit_code=1, error={"type": "ValueError", "message": "no market"}))
    assert (reading.error_type, reading.error, reading.exit_code) == ("ValueError", "ValueError: no market", 1)
    assert read(envelope(error={"type": "KeyError"})).error == "KeyError"
    assert read(envelope(error={"type": "KeyError", "hint": "bring\r\n it"})).hint == "bring it"
    assert read(envelope(error={"type": "KeyError", "hint": ["it"]})).hint == ""


@pytest.mark.parametrize("of", [WRAPPED, PLAIN])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"status": "error"}, ""),
        ({"status": "error", "message": "no data"}, "no data"),
        ({"status": "error", "error": "no data"}, "no data"),
        ({"status": "error", "message": 3, "error": []}, ""),
    ],
)
def test_a_declared_error_says_so_itself(value: object, said: str, of: Runtime) -> None:
    data = json.dumps(value).encode() if of is PLAIN else wrapped(value)
    reading = read(data, of=of)
    assert (reading.declared_error, reading.error, reading.value) == (True, said, value)


@pytest.mark.parametrize("value", [{"status": "success"}, {"status": ["error"]}, ["error"], "error", None])
def test_other_values_declare_no_error(value: object) -> None:
    assert not read(wrapped(value)).declared_error


def test_numbers_that_json_has_not_become_null_and_are_counted() -> None:
    reading = read(b"[NaN, Infinity, -Infinity, 1e999, -1e999, 1.5, 1e-999, 1]", of=PLAIN)
    assert (reading.value, reading.nonfinite) == ([None] * 5 + [1.5, 0.0, 1], 5)
    enveloped = read(envelope(b"[NaN]", nonfinite=2))
    assert (enveloped.value, enveloped.content, enveloped.nonfinite) == ([None], b"[null]", 3)


UNUSABLE = [
    (b"[" * 100_000, "nested more than 200 levels deep"),
    (b'{"a":' * 100_000, "nested more than 200 levels deep"),
    (b"[" * 300 + b"]" * 300, "nested more than 200 levels deep"),
    (b"1" * 10_000, "not usable JSON: Exceeds the limit"),
    (b"[" + b"1," * (MAX_NODES - 1) + b"1]", f"more than {MAX_NODES:,} values and names: return fewer"),
    (b"[" + b"{}," * (MAX_NODES // 2) + b"{}]", f"more than {MAX_NODES:,} values and names"),
    (b"[" + b"1," * LIMIT + b"1]", f"longer than {LIMIT} bytes"),
]
NOT_JSON = [
    (b"[1, 2", "not JSON, or cut off: "),
    (b"nonsense", "not JSON, or cut off: "),
    (b"{} {}", "not JSON, or cut off: "),
    (b'"\xff"', "not UTF-8 text: invalid start byte at byte 1"),
    (b'"\0"', "not JSON, or cut off: "),
]


@pytest.mark.parametrize(("data", "problem"), [*UNUSABLE, *NOT_JSON])
def test_what_cannot_be_read_is_a_problem_and_no_value(data: bytes, problem: str) -> None:
    reading = read(data, of=PLAIN)
    assert reading.problem.startswith(f"the bot's result is {problem}")
    assert (reading.present, reading.value, reading.exit_code, reading.lost) == (False, None, None, "")
    reading = read(envelope(data))
    assert (reading.lost or reading.problem).startswith(f"the bot's result is {problem}")
    assert bool(reading.lost) == ((data, problem) in NOT_JSON), "a wrapper writes JSON: this one was damaged"


def test_depth_and_number_are_bounded_but_not_by_what_reports_have() -> None:
    assert read(b"[" * 200 + b"]" * 200, of=PLAIN).present
    assert read(b"[" * 201 + b"]" * 201, of=PLAIN).problem
    assert read(b"[" + b"1," * (MAX_NODES - 2) + b"1]", of=PLAIN).present


@pytest.mark.parametrize("text", [",[{:" * 400_000, '\\",' * 1_100_000, "\\\\" * 1_000_000 + '\\",' * 1_100_000])
def test_what_stands_in_a_text_is_not_counted(text: str) -> None:
    assert read(f'["{text}"]'.encode(), of=PLAIN).present


@pytest.mark.parametrize(
    "document",
    [b"[]", b"3", b"null", b"{}", b'{"botdock": 1}', b'{"botdock": true}', b'{"botdock": "2"}', b"", b"x" * 100_000],
)
def test_what_no_wrapper_writes_is_not_taken_for_an_envelope(document: bytes) -> None:
    reading = read(document + b"\n1")
    assert reading.lost
    assert attrs.evolve(reading, lost="") == ResultReading()


@pytest.mark.parametrize("code", [-1, 256, 1.0, True, "0", None, [], 10**30])
def test_an_exit_code_that_no_process_has_is_not_known(code: object) -> None:
    assert read(envelope(exit_code=code)).exit_code is None


@pytest.mark.parametrize("hostile", [None, 3, [], "x", {"type": 3, "message": {}}, {"type": [], "message": None}])
def test_facts_of_the_wrong_type_are_left_out(hostile: object) -> None:
    reading = read(envelope(error=hostile, problem=[1], nonfinite="many", lost=[], exit_code={}))
    assert reading == ResultReading()
    assert read(envelope(b"1", value_bytes=hostile)).lost


def test_texts_are_bounded_and_can_be_printed_anywhere() -> None:
    reading = read(envelope(error={"type": "E", "message": "\ud800" + "x" * 50_000}))
    assert reading.error.startswith("E: ?xxx")
    assert len(reading.error) < 5000


def test_of_two_equal_keys_the_last_counts() -> None:
    assert read(b'{"botdock": 2, "exit_code": 0, "exit_code": 3}\n').exit_code == 3


@given(data=st.binary(max_size=300) | st.text(max_size=200).map(str.encode), of=st.sampled_from([WRAPPED, PLAIN]))
def test_no_bytes_make_it_raise(data: bytes, of: Runtime) -> None:
    reading = read(data, of=of)
    assert json.dumps(reading.value)
    assert not (reading.present and reading.problem)


@given(
    facts=st.dictionaries(
        st.sampled_from(["exit_code", "value_bytes", "signal", "nonfinite", "problem", "lost", "error"]), json_values()
    ),
    content=st.binary(max_size=9),
)
def test_no_facts_make_it_raise(facts: dict[str, Any], content: bytes) -> None:
    reading = read(envelope(content, **facts))
    assert reading.exit_code is None or 0 <= reading.exit_code <= 255
    assert isinstance(reading.error, str)
