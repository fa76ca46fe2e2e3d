"""What may be run, and every reason why not."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock import Executable, Limits
from botdock.errors import ExecutableError
from botdock.model.executable import RESERVED_ENVIRONMENT, sha256_of
from botdock.model.limits import DEFAULT_LIMITS, MIB, RANGES


def problems(**fields: Any) -> list[str]:
    with pytest.raises(ExecutableError) as caught:
        Executable(**{"id": "bot", **fields})
    return list(caught.value.problems)


def test_the_smallest_executable_is_a_bot_with_safe_defaults() -> None:
    executable = Executable(id="hello")
    assert executable.entrypoint == "bot"
    assert (executable.runtime, executable.network, executable.timeout) == (None, None, None)
    assert not executable.is_long_running
    assert not executable.persist_results
    assert executable.limits == Limits()


@pytest.mark.parametrize("identity", ["a", "A-b_c.d", "0", "x" * 128])
def test_ids_that_are_allowed(identity: str) -> None:
    assert Executable(id=identity).id == identity


@pytest.mark.parametrize("identity", ["", "a/b", "a\n", "-a", ".", "x" * 129, "ä", "a b", "../x"])
def test_ids_that_are_refused(identity: str) -> None:
    (problem,) = problems(id=identity)
    assert problem.startswith("id: ")
    assert "must be 1 to 128 of A-Z a-z 0-9 . _ -" in problem


def test_an_id_of_ten_thousand_characters_makes_a_short_message() -> None:
    (problem,) = problems(id="x" * 10_000)
    assert "(10000 characters)" in problem
    assert len(problem) < 200


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": 5}, "id: must be text, not int"),
        ({"entrypoint": "main"}, "entrypoint: 'main' must be one of bot, backtest"),
        ({"entrypoint_files": {"main": "x"}}, "entrypoint_files: 'main' must be one of bot, backtest"),
        ({"entrypoint_files": {"bot": ""}}, "entrypoint_files.bot: must name a file of the tree"),
        ({"entrypoint_files": {"bot": "a\0b"}}, "entrypoint_files.bot: must name a file of the tree"),
        ({"config": [1]}, "config: must be a JSON object, not a list"),
        ({"config": {"a": math.nan}}, "config: is not JSON: "),
        ({"config": {"a": {1, 2}}}, "config: is not JSON: "),
        ({"env": {"1A": "x"}}, "env: name '1A' must be letters, digits and _"),
        ({"env": {"A": 1}}, "env: value of A must be text, not int"),
        ({"env": {"A": "a\0b"}}, "env: value of A holds a NUL character"),
        ({"env": {"A": "\ud800"}}, "env: value of A holds a lone surrogate"),
        ({"env": {"A": "x" * 131_070}}, "env: value of A takes 131072 bytes with its name"),
        ({"env": {"BOT_ID": "x"}}, "env: BOT_ID is set by botdock itself"),
        ({"secrets": {"CONFIG": "x"}}, "secrets: CONFIG is set by botdock itself"),
        ({"env": {"A": "1"}, "secrets": {"A": "2"}}, "secrets: A is in env as well"),
        ({"timeout": 0}, "timeout: 0 must be 0.001 to 31622400.0 seconds"),
        ({"timeout": math.inf}, "timeout: inf must be"),
        ({"timeout": "soon"}, "timeout: 'soon' is not a duration"),
        ({"limits": Limits(memory=1)}, "limits.memory: 1 bytes must be 6 MiB to 64 TiB"),
        ({"code": "text"}, "code: must be bytes, not text"),
        ({"code_digest": ""}, "code_digest: '' must be 64 hexadecimal digits, after 'sha256:' or not"),
        ({"code_digest": "md5:" + "0" * 64}, "code_digest: 'md5:000"),
        ({"code_digest": "0" * 63}, "code_digest: '000"),
        ({"code_digest": 5}, "code_digest: 5 must be"),
    ],
)
def test_a_wrong_field_is_told(fields: dict[str, Any], said: str) -> None:
    (problem,) = problems(**fields)
    assert problem.startswith(said)


def test_all_wrong_fields_are_told_at_once() -> None:
    found = problems(id="", entrypoint="x", timeout=-1, env={"": ""}, limits=Limits(pids=0))
    assert [problem.split(":")[0] for problem in found] == ["id", "entrypoint", "timeout", "limits.pids", "env"]


@pytest.mark.parametrize("field", [field for field in attrs.fields(Executable) if field.name != "limits"])
def test_no_field_takes_just_anything(field: Any) -> None:
    (problem,) = problems(**{field.name: object()})
    assert problem.startswith(f"{field.name}: ")


def test_the_longest_environment_string_is_allowed() -> None:
    assert Executable(id="bot", env={"A": "x" * 131_069}).env


def test_a_secret_is_in_no_repr_and_no_message() -> None:
    assert "hunter2" not in repr(Executable(id="bot", secrets={"A": "hunter2"}))
    (problem,) = problems(secrets={"A": "hunter2\0"})
    assert "hunter2" not in problem


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.text(max_size=5))
def test_what_is_accepted_can_be_an_environment(env: dict[str, str], identity: str) -> None:
    try:
        executable = Executable(id=identity, env=env)
    except ExecutableError:
        return
    for name, value in executable.env.items():
        assert len(f"{name}={value}".encode()) < 131_072
        assert "=" not in name
        assert "\0" not in name + value
        assert name not in RESERVED_ENVIRONMENT


def test_limits_are_filled_up_from_defaults() -> None:
    limits = Limits(memory=64 * MIB).over(DEFAULT_LIMITS)
    assert limits.memory == 64 * MIB
    assert limits.pids == DEFAULT_LIMITS.pids
    assert Limits().over(Limits()) == Limits()
    assert Limits(pids=3).given() == {"pids": 3}


def test_every_limit_has_a_range_that_its_default_keeps() -> None:
    assert set(DEFAULT_LIMITS.given()) == set(RANGES)
    assert list(DEFAULT_LIMITS.problems()) == []


@pytest.mark.parametrize("name", RANGES)
def test_a_limit_outside_its_range_is_told(name: str) -> None:
    low, high = RANGES[name]
    assert not list(Limits(**{name: low}).problems())  # type: ignore[arg-type]  # the bound has its field's type
    for wrong in (low - 1, high + 1, True, "lots", math.nan, 10**400, 10**5000):
        (problem,) = Limits(**{name: wrong}).problems()  # type: ignore[arg-type]  # wrong on purpose
        assert problem.startswith(f"{name}: ")


@pytest.mark.parametrize("digest", ["ab" * 32, "AB" * 32, "sha256:" + "aB" * 32])
def test_a_digest_may_be_written_in_several_ways(digest: str) -> None:
    assert Executable(id="bot", code_digest=digest).code_digest == digest
    assert sha256_of(digest) == "ab" * 32


def test_what_is_no_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="'ab' is not a SHA-256"):
        sha256_of("ab")


def test_code_is_in_no_repr() -> None:
    assert "code=<6 bytes>" in repr(Executable(id="bot", code=b"secret"))
