"""Whatever stands in a field of an `Executable` or of the configuration is accepted, or refused as a user's mistake."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock import Config, Executable, Limits
from botdock.config import document, to_toml
from botdock.config.sources import SEPARATOR
from botdock.errors import BotdockError, ConfigError, ExecutableError
from botdock.model.limits import GIB, RANGES
from testbed.drills import count


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value += [value, value]
    return value


_WRONG: Any = {"pids": 1.5, "memory": []}
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 10**19, 10**400, -(10**5000), 1.5, math.nan, math.inf, -math.inf, 1e308, 2j,
    "", " ", "x", "5", "30s", "1GiB", "\0", "a\0b", "\ud800", "a\udcff", "x" * 200_000, "\n", "9" * 5000, "1e999",
    "x/" * 3000,
    "~no-such-user-at-all/x", "tcp://[::1", "tcp://h:99999999", "http://h:x",
    b"", b"x", b"\xff", bytearray(b"x"), Path("x"), Path("a\0b"), Path("a\udcff"), object(), object, print, ...,
    [], [1], ["A=1"], ["\0"], (), ("a",), {"a"}, frozenset(), {}, {1: 2}, {1: 2, "a": 3}, {None: {}}, {"a": {1: "b"}},
    {"a": object()}, {"": ""}, {"\0": "\0"}, {"\ud800": "x"}, {"A": 1}, {"A": "\ud800"}, {"bot": None}, {"a": 10**5000},
    {"memory": "lots"}, {"memory": 10**400}, {"memory": []}, {"pids": 1.5}, {"a": math.nan}, {(1, 2): 3},
    nested(600), nested(100_000), endless(), Limits(memory=1), Limits(**_WRONG), Config(),
)  # fmt: skip
odd = st.sampled_from(range(len(ODD)))
"""Which of them; Hypothesis could not show the values."""
FIELDS = [field.name for field in attrs.fields(Executable)]


@given(st.dictionaries(st.sampled_from(FIELDS), odd, min_size=1, max_size=4))
@settings(max_examples=count(150, 50), deadline=None)
def test_odd_fields_of_an_executable_are_all_told_at_once(chosen: dict[str, int]) -> None:
    fields = {name: ODD[which] for name, which in chosen.items()}
    alone = {name for name, value in fields.items() if not _is_accepted(**{name: value})}
    problems = told(lambda: Executable(**({"id": "bot"} | fields)))
    assert {problem.split(":")[0].split(".")[0] for problem in problems} >= alone
    assert all(len(problem) < 500 for problem in problems)
    assert alone or not problems or {"env", "secrets"} <= set(fields)


def told(make: Callable[[], object]) -> tuple[str, ...]:
    """Return every problem that a constructor finds; nothing but these two errors may come out of one."""
    try:
        make()
    except (ExecutableError, ConfigError) as error:
        return error.problems
    return ()


def _is_accepted(**field: Any) -> bool:
    return not told(lambda: Executable(**({"id": "bot"} | field)))


@given(st.sampled_from(FIELDS), odd)
@settings(max_examples=count(150, 50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_an_executable_accepts_runs_or_is_refused(make_stage: Callable[..., Any], name: str, which: int) -> None:
    stage = make_stage()
    fields = {"id": "bot", "runtime": "shell", "file_path": "code", name: ODD[which]}
    try:
        stage.orchestrator.finish(stage.orchestrator.begin(Executable(**fields)))
    except BotdockError:
        return
    finally:
        stage.orchestrator.close()


def test_what_python_users_pass_is_accepted() -> None:
    limits: Any = {"memory": "1GiB", "pids": 7}
    bot = Executable(id="bot", file_path=Path("a") / "b", limits=limits, timeout="1m30s")
    assert (bot.file_path, bot.limits, bot.timeout) == ("a/b", Limits(memory=GIB, pids=7), 90.0)
    assert Limits(memory="512MiB").memory == GIB // 2
    runtime: Any = {"timeout": "30s", "limits": {"pids": 7}}
    config = Config(runtime=runtime)
    assert (config.runtime.timeout, config.runtime.limits.pids, config.runtime.limits.memory) == (30, 7, GIB // 2)


def test_what_was_given_cannot_be_changed_afterwards() -> None:
    config: dict[str, Any] = {"a": [1]}
    env = {"A": "1"}
    bot = Executable(id="bot", config=config, env=env)
    config["a"].append(object())
    env["B"] = "\0"
    assert (bot.config, bot.env) == ({"a": [1]}, {"A": "1"})


def test_every_wrong_field_is_told() -> None:
    wrong: Any = {"id": 1, "runtime": 3, "entrypoint": [], "entrypoint_files": None, "config": None, "file_path": 5}
    wrong |= {"code": None, "code_digest": 0, "is_long_running": 1, "persist_results": "no", "segment": "x"}
    wrong |= {"limits": 3, "env": ["A=1"], "secrets": None, "network": b"", "timeout": "soon"}
    with pytest.raises(ExecutableError) as caught:
        Executable(**wrong)
    assert {problem.split(":")[0] for problem in caught.value.problems} == set(wrong)
    near: Any = {"memry": 1}
    with pytest.raises(ExecutableError, match="limits: 'memry' is unknown; did you mean memory"):
        Executable(id="bot", limits=near)


def _sections() -> list[tuple[str, str]]:
    inner = [(field.name, type(getattr(Config(), field.name))) for field in attrs.fields(Config)]
    sections = [(name, each.name) for name, cls in inner if attrs.has(cls) for each in attrs.fields(cls)]
    limits = [("runtime.limits", name) for name in RANGES] + [("policy.max_limits", name) for name in RANGES]
    return sections + limits + [("", name) for name, _ in inner]


def _tree(path: str, value: Any) -> Any:
    for part in reversed([part for part in path.split(".") if part]):
        value = {part: value}
    return value


@given(st.sampled_from(_sections()), odd)
@settings(max_examples=count(250, 60), deadline=None)
def test_an_odd_setting_is_accepted_or_told(place: tuple[str, str], which: int) -> None:
    path = ".".join(filter(None, place))
    tree = _tree(path, ODD[which])
    made: tuple[Callable[[], Config], ...] = (
        lambda: Config(**tree),
        lambda: Config.load(environ={}, overrides=tree),
    )
    for make in made:
        problems = told(lambda make=make: to_toml(document(make())))  # type: ignore[misc] # bound at once
        assert all(place[-1] in problem for problem in problems if "policy" not in problem)
        assert all(len(problem) < 1000 for problem in problems)


@given(
    st.sampled_from(_sections()),
    st.sampled_from([text for text in ODD if isinstance(text, str) and "\0" not in text]),
)
@settings(max_examples=count(60, 15), deadline=None)
def test_an_odd_variable_is_accepted_or_told(place: tuple[str, str], value: str) -> None:
    name = "BOTDOCK_" + SEPARATOR.join(part for part in ".".join(place).upper().split(".") if part)
    for environ in ({name: value}, {f"{name}{SEPARATOR}X" * 300: value}, {name: "[" * 100_000}, {name: "9" * 5000}):
        told(lambda environ=environ: Config.load(environ=environ))  # type: ignore[misc] # bound at once


@given(st.sampled_from(_sections()), odd)
@settings(max_examples=count(20, 6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_odd_file_is_accepted_or_told(tmp_path: Path, place: tuple[str, str], which: int) -> None:
    file = tmp_path / "odd.toml"
    deep = f"[options.x{'.a' * 150}]\nb = 1\n"
    huge = f"{'.'.join(filter(None, place))} = {'9' * 5000}\n"
    table = f"{'.'.join(filter(None, place))} = {'{a=' * 600}1{'}' * 600}\n"
    for text in (deep, huge, table):
        file.write_text(text)
        told(lambda: Config.load(file, environ={}, overrides=_tree(".".join(["options", *"x" * 2000]), ODD[which])))
