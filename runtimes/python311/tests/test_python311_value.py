"""What a Python bot returns."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from botdock_runtime_python311.runtime import PYTHON311
from botdock_testing.runtime import Ended, bot
from botdock_testing.strategies import json_values


def run(source: str, **more: Any) -> Ended:
    with bot(PYTHON311, dedent(source), **more) as made:
        return made.run()


def returning(expression: str, **more: Any) -> Ended:
    return run(f"import enum, collections, math\ndef main(id, config):\n    return {expression}", **more)


@given(value=json_values(largest_integer=10**400))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_comes_back_as_it_was(value: object) -> None:
    ended = returning(f"__import__('json').loads({json.dumps(value)!r})")
    assert json.dumps(ended.reading.value) == json.dumps(value)
    assert ended.reading.present == (value is not None)
    assert (ended.stdout, ended.stderr) == (b"", b"")


@pytest.mark.parametrize(
    ("expression", "value", "nonfinite"),
    [
        ("math.nan", None, 1),
        ("{'a': [1.5, math.inf, (-math.inf, 2)], 'b': math.nan}", {"a": [1.5, None, [None, 2]], "b": None}, 3),
        ("type('Float64', (float,), {})('nan')", None, 1),
        ("type('Float64', (float,), {})(2.5)", 2.5, 0),
        ("{1: True, None: 2, 1.5: 'x'}", {"1": True, "null": 2, "1.5": "x"}, 0),
        ("enum.IntEnum('Side', 'BUY SELL').SELL", 2, 0),
        ("collections.OrderedDict(b=1, a=(2,))", {"b": 1, "a": [2]}, 0),
        ("'\\ud800'", "\ud800", 0),
    ],
)
def test_nan_and_infinities_become_null_and_are_counted(expression: str, value: object, nonfinite: int) -> None:
    reading = returning(expression).reading
    assert (reading.present, reading.value, reading.nonfinite) == (True, value, nonfinite)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("b'x'", "not JSON: $ is of type bytes"),
        ("(lambda loop: (loop.append(loop), loop)[1])([])", "not JSON: it is nested too deep, or holds itself"),
        ("10**5000", "not JSON: ValueError: Exceeds the limit"),
        ("__import__('re').compile('')", "not JSON: $ is of type re.Pattern"),
        ("type('Odd', (dict,), {'items': lambda self: 1 / 0})(a=1j)", "not JSON: ZeroDivisionError"),
    ],
)
def test_what_is_not_json_is_named(expression: str, problem: str) -> None:
    ended = returning(expression)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b""), "a bot's value is a courtesy"
    assert not ended.reading.present
    assert ended.reading.problem.startswith(problem)


@pytest.mark.parametrize(
    ("expression", "rest", "problem"),
    [
        ("{'a': [0, {'b': b'x'}]}", {"a": [0, {"b": None}]}, "not JSON: $.a[1].b is of type bytes"),
        ("{'k' * 199: [b'']}", {"k" * 199: [None]}, "not JSON: a value is of type bytes"),  # no cut through a secret
        ("{'x': {(1, 2): 3}}", {"x": {"(1, 2)": 3}}, "not JSON: $.x has a key of type tuple"),
        ("[iter(()), object()]", [None, None], "not JSON: $[0] is of type tuple_iterator"),
    ],
)
def test_the_parts_of_a_value_that_have_a_form_are_kept(expression: str, rest: object, problem: str) -> None:
    ended = returning(expression)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
    assert (ended.reading.value, ended.reading.problem) == (rest, problem)


FORMS = {
    "datetime(2024, 1, 2, 3, 4, 5)": "2024-01-02T03:04:05",
    "datetime(2024, 1, 2, tzinfo=timezone.utc)": "2024-01-02T00:00:00+00:00",
    "date(2024, 1, 2)": "2024-01-02",
    "timedelta(minutes=1.5)": 90.0,
    "Decimal('1.250')": "1.250",
    "Decimal('NaN')": None,
    "Fraction(1, 3)": "1/3",
    "UUID(int=1)": "00000000-0000-0000-0000-000000000001",
    "PurePosixPath('a/b')": "a/b",
    "Enum('Side', {'BUY': date(2024, 1, 2)}).BUY": "2024-01-02",
    "make_dataclass('Order', ['amount', 'side'])(Decimal(2), {'b', 'a'})": {"amount": "2", "side": ["a", "b"]},
    "{date(2024, 1, 2): deque([1]), Decimal(3): range(2)}": {"2024-01-02": [1], "3": [0, 1]},
    "MappingProxyType({'a': frozenset()})": {"a": []},
    "namedtuple('Tick', 'price')(datetime.min)": ["0001-01-01T00:00:00"],
}
IMPORTS = """
from collections import deque, namedtuple
from dataclasses import make_dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType
from uuid import UUID
"""


def test_what_authors_return_has_a_form_in_json() -> None:
    ended = run(f"{IMPORTS}\ndef main(id, config):\n    return [{', '.join(FORMS)}]", entrypoint="backtest")
    assert (ended.stderr, ended.reading.problem) == (b"", "")
    assert ended.reading.value == list(FORMS.values())


def test_a_backtest_without_a_value_that_is_json_has_failed() -> None:
    ended = returning("{'equity': b'1.0'}", entrypoint="backtest")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (1, b"", b"")
    assert (ended.reading.exit_code, ended.reading.problem) == (1, "not JSON: $.equity is of type bytes")


def test_nothing_returned_is_no_value() -> None:
    ended = returning("None", entrypoint="backtest")
    assert (ended.exit_code, ended.reading.present, ended.reading.problem) == (0, False, "")


def test_a_mapping_whose_status_is_error_is_a_failure() -> None:
    ended = returning("{'status': 'error', 'message': 'no data'}")
    assert (ended.exit_code, ended.reading.declared_error, ended.reading.error) == (1, True, "no data")
    assert (ended.stdout, ended.stderr) == (b"", b"")


def test_a_value_that_is_too_long_is_told_by_its_limit() -> None:
    ended = returning("'x' * 2000", result_limit=1000)
    assert (ended.exit_code, ended.reading.exit_code, ended.reading.present) == (0, 0, False)
    assert ended.reading.problem == "longer than the 1000 bytes that a result may have"


def test_a_result_may_be_as_long_as_its_limit() -> None:
    assert returning("'x' * 8", result_limit=10).reading.value == "x" * 8
    assert returning("'x' * 9", result_limit=10).reading.problem


@pytest.mark.parametrize(
    "spoil", ["os.unlink(result)", "os.chmod(result, 0); os.setuid(65534)", "while True: kept.append(os.open('/', 0))"]
)
def test_a_bot_whose_result_cannot_be_written_at_all_does_not_end_well(spoil: str) -> None:
    source = f"""
        import os
        kept, result = [], os.environ["BOTDOCK_RESULT_FILE"]
        def main(id, config):
            try:
                {spoil}
            except OSError:
                pass
            return 1
    """
    with bot(PYTHON311, dedent(source)) as made:
        made.prepare()
        with made.start() as process:
            stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (74, b"", b"")


@pytest.mark.parametrize(("room", "lost"), [(4096, "File too large"), (50, "cut off"), (0, "is empty")])
def test_a_disk_that_takes_no_value_takes_the_reason_or_leaves_damage(room: int, lost: str) -> None:
    ended = run(f"""
        import resource

        def main(id, config):
            resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
            return "x" * 10_000
    """)
    assert (ended.exit_code, ended.stdout, ended.stderr, ended.reading.present) == (0, b"", b"", False)
    assert lost in ended.reading.lost


@pytest.mark.parametrize(
    "end", ["os._exit(0)", "os.execvp('true', ['true'])", "threading.Thread(target=os._exit, args=(0,)).start()"]
)
def test_an_end_past_the_wrapper_is_told_from_a_lost_result(end: str) -> None:
    ended = run(f"import os, threading, time\ndef main(id, config):\n    {end}\n    time.sleep(60)")
    assert (ended.exit_code, ended.reading.unwritten, ended.reading.lost) == (0, True, "")
