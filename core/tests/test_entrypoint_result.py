"""What a result file says; it comes from the bot, and nothing in it is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.entrypoints import ResultReading, read_result
from botdock.model import ResultFormat, Runtime, RuntimeCapabilities
from botdock.testing.strategies import json_values

LIMIT = 1_000_000


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


def envelope(**facts: Any) -> bytes:
    return json.dumps({"botdock": 1, **facts}).encode()


def read(data: bytes, *, of: Runtime = WRAPPED, limit: int = LIMIT) -> ResultReading:
    return read_result(data, limit, of, "bot")


@pytest.mark.parametrize("of", [WRAPPED, PLAIN])
@pytest.mark.parametrize("data", [b"", b" \n"])
def test_nothing_written_is_no_value_and_no_problem(data: bytes, of: Runtime) -> None:
    assert read(data, of=of) == ResultReading()


@given(value=json_values(largest_integer=10**30), exit_code=st.integers(0, 255))
def test_a_value_comes_back_as_it_was(value: object, exit_code: int) -> None:
    wrapped = read(envelope(value=value, has_value=True, exit_code=exit_code))
    assert (wrapped.value, wrapped.present, wrapped.exit_code, wrapped.problem) == (value, True, exit_code, "")
    plain = read(json.dumps(value).encode(), of=PLAIN)
    assert (plain.value, plain.present, plain.exit_code, plain.problem) == (value, True, None, "")


def test_a_wrapper_may_say_that_there_is_no_value_and_why() -> None:
    assert read(envelope(has_value=False, exit_code=0)) == ResultReading(exit_code=0)
    said = read(envelope(has_value=False, problem="not JSON: $ is of type set"))
    assert (said.present, said.problem) == (False, "not JSON: $ is of type set")


def test_an_uncaught_error_has_type_and_message() -> None:
    reading = read(envelope(exit_code=1, error={"type": "ValueError", "message": "no market"}))
    assert (reading.error_type, reading.error, reading.exit_code) == ("ValueError", "ValueError: no market", 1)
    assert read(envelope(error={"type": "KeyError"})).error == "KeyError"


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
    data = json.dumps(value).encode() if of is PLAIN else envelope(value=value, has_value=True)
    reading = read(data, of=of)
    assert (reading.declared_error, reading.error, reading.value) == (True, said, value)


@pytest.mark.parametrize("value", [{"status": "success"}, {"status": ["error"]}, ["error"], "error", None])
def test_other_values_declare_no_error(value: object) -> None:
    assert not read(envelope(value=value, has_value=True)).declared_error


def test_numbers_that_json_has_not_become_null_and_are_counted() -> None:
    reading = read(b"[NaN, Infinity, -Infinity, 1e999, -1e999, 1.5, 1e-999, 1]", of=PLAIN)
    assert (reading.value, reading.nonfinite) == ([None] * 5 + [1.5, 0.0, 1], 5)
    wrapped = read(b'{"botdock": 1, "nonfinite": 2, "has_value": true, "value": [NaN]}')
    assert (wrapped.value, wrapped.nonfinite) == ([None], 3)


@pytest.mark.parametrize("of", [WRAPPED, PLAIN])
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"botdock": 1, "value": [1, 2', "the bot's result is not JSON, or cut off: "),
        (b"nonsense", "the bot's result is not JSON, or cut off: "),
        (b"{} {}", "the bot's result is not JSON, or cut off: "),
        (b'"\xff"', "the bot's result is not UTF-8 text: invalid start byte at byte 1"),
        (b"[" * 100_000, "the bot's result is nested more than 200 levels deep"),
        (b'{"a":' * 100_000, "the bot's result is nested more than 200 levels deep"),
        (b"[" * 300 + b"]" * 300, "the bot's result is nested more than 200 levels deep"),
        (b"1" * 10_000, "the bot's result is not usable JSON: Exceeds the limit"),
        (b"[" + b"1," * LIMIT + b"1]", f"the bot's result is longer than {LIMIT} bytes"),
    ],
)
def test_what_cannot_be_read_is_a_problem_and_no_value(data: bytes, problem: str, of: Runtime) -> None:
    reading = read(data, of=of)
    assert reading.problem.startswith(problem)
    assert (reading.present, reading.value, reading.exit_code) == (False, None, None)


def test_depth_is_bounded_but_not_by_what_reports_have() -> None:
    assert read(b"[" * 200 + b"]" * 200, of=PLAIN).present
    assert read(b"[" * 201 + b"]" * 201, of=PLAIN).problem


@pytest.mark.parametrize(
    "document", ["[]", "3", "null", "{}", '{"botdock": 2}', '{"botdock": true}', '{"botdock": "1"}']
)
def test_what_no_wrapper_writes_is_not_taken_for_an_envelope(document: str) -> None:
    assert read(document.encode()) == ResultReading(
        problem="the result file does not hold what the runtime's wrapper writes"
    )


@pytest.mark.parametrize("code", [-1, 256, 1.0, True, "0", None, [], 10**30])
def test_an_exit_code_that_no_process_has_is_not_known(code: object) -> None:
    assert read(envelope(exit_code=code)).exit_code is None


@pytest.mark.parametrize("hostile", [None, 3, [], "x", {"type": 3, "message": {}}, {"type": [], "message": None}])
def test_facts_of_the_wrong_type_are_left_out(hostile: object) -> None:
    reading = read(envelope(error=hostile, problem=[1], nonfinite="many", has_value="yes", value=1))
    assert reading == ResultReading()


def test_texts_are_bounded_and_can_be_printed_anywhere() -> None:
    reading = read(envelope(error={"type": "E", "message": "\ud800" + "x" * 100_000}))
    assert reading.error.startswith("E: ?xxx")
    assert len(reading.error) < 5000


def test_of_two_equal_keys_the_last_counts() -> None:
    assert read(b'{"botdock": 1, "exit_code": 0, "exit_code": 3}').exit_code == 3


@given(data=st.binary(max_size=300) | st.text(max_size=200).map(str.encode), of=st.sampled_from([WRAPPED, PLAIN]))
def test_no_bytes_make_it_raise(data: bytes, of: Runtime) -> None:
    reading = read(data, of=of)
    assert json.dumps(reading.value)
    assert not (reading.present and reading.problem)


@given(
    facts=st.dictionaries(
        st.sampled_from(["exit_code", "has_value", "value", "nonfinite", "problem", "error"]), json_values()
    )
)
def test_no_facts_make_it_raise(facts: dict[str, Any]) -> None:
    reading = read(envelope(**facts))
    assert reading.exit_code is None or 0 <= reading.exit_code <= 255
    assert isinstance(reading.error, str)
