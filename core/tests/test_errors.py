"""The error tree: what it says, and what it carries."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock import errors
from botdock.errors import (
    EXIT_INFRASTRUCTURE,
    EXIT_USAGE,
    ArchiveError,
    BotdockError,
    CapabilityError,
    CodeError,
    ConfigError,
    ContainerError,
    ExecutableError,
    ImageError,
    NotFoundError,
    ObjectNotFoundError,
    PluginConflictError,
    PluginLoadError,
    PolicyError,
    StorageKeyError,
    StorageUnavailableError,
    UserError,
    nearest,
)


def public_errors() -> Iterator[type[BotdockError]]:
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, BotdockError) and not name.startswith("_"):
            yield value


def drawn_tree() -> dict[str, str]:
    """Return each error of the module's docstring with its parent there."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = [(-1, "")]
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"( *(?:\| *)*(?:\+-- )?)([A-Z]\w*Error)\b", line):
            depth = len(match[1])
            above = [(known, name) for known, name in above if known < depth]
            parents[match[2]] = above[-1][1]
            above.append((depth, match[2]))
    return parents


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        error.__name__: next(
            (base.__name__ for base in error.__mro__[1:] if issubclass(base, BotdockError) and base.__name__[0] != "_"),
            "",
        )
        for error in public_errors()
    }
    assert drawn_tree() == real


def test_every_error_says_what_its_data_is() -> None:
    for error in public_errors():
        assert error.__doc__
        own = set(re.findall(r"self\.(\w+) =", inspect.getsource(error)))
        assert all(f"{name}:" in (error.__doc__ or "") for name in own - {"message", "hint", "phase", "execution_id"})


@pytest.mark.parametrize("error", [e for e in public_errors() if issubclass(e, UserError)])
def test_what_the_caller_can_mend_exits_with_2(error: type[BotdockError]) -> None:
    assert error.exit_code == EXIT_USAGE == 2


@pytest.mark.parametrize("error", [e for e in public_errors() if not issubclass(e, UserError)])
def test_what_botdock_could_not_do_exits_with_125(error: type[BotdockError]) -> None:
    assert error.exit_code == EXIT_INFRASTRUCTURE == 125


def test_the_hint_comes_after_the_message() -> None:
    error = BotdockError("it broke", hint="mend it")
    assert str(error) == "it broke\nmend it"
    assert (error.message, error.hint, error.phase, error.execution_id) == ("it broke", "mend it", None, None)
    assert str(BotdockError("it broke")) == "it broke"


@pytest.mark.parametrize("kind", [ConfigError, ExecutableError])
def test_several_problems_are_several_lines(kind: type[ConfigError]) -> None:
    error = kind(["a: wrong", "b: wrong too"])
    assert error.problems == ("a: wrong", "b: wrong too")
    assert str(error) == "a: wrong\nb: wrong too"
    many = kind([f"{number}: wrong" for number in range(5000)])
    assert len(many.problems) == 5000
    assert str(many).splitlines()[-2:] == ["29: wrong", "and 4,970 more"]


def test_a_policy_error_names_the_setting() -> None:
    error = PolicyError("network 'x' is not allowed", setting="policy.networks")
    assert str(error).endswith("An operator can allow it with policy.networks in botdock.toml.")
    assert PolicyError("x", setting="s", hint="other").hint == "other"


def test_an_unknown_name_is_told_with_the_nearest_and_all() -> None:
    error = NotFoundError("runtime", "pyton311", ["python311", "bash"])
    assert error.message == "unknown runtime 'pyton311'; did you mean python311? (known: bash, python311)"
    assert error.known == ("bash", "python311")
    assert "botdock plugins" in str(error)


def test_an_unknown_name_without_a_near_one_is_told_with_all() -> None:
    assert NotFoundError("runtime", "zzz", ["bash"]).message == "unknown runtime 'zzz'; known: bash"
    assert NotFoundError("runtime", "zzz", []).message == "unknown runtime 'zzz'; no runtime is installed"


def test_a_conflict_names_both_and_the_setting_that_picks_one() -> None:
    error = PluginConflictError("storage backend", "s3", ["a", "b"])
    assert error.message == "storage backend 's3' is registered by a and by b; neither is used"
    assert '[plugins.prefer] "storage:s3" = "a"' in str(error)
    assert error.distributions == ("a", "b")


def test_a_wrong_key_of_any_length_makes_a_short_message() -> None:
    error = StorageKeyError("k" * 10_000, "is too long")
    assert len(str(error)) < 200
    assert error.key == "k" * 10_000


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (CodeError("m", source="s"), {"source": "s"}),
        (ArchiveError("m", entry="e", limit="l"), {"entry": "e", "limit": "l"}),
        (ObjectNotFoundError("k", backend="b"), {"key": "k", "backend": "b", "message": "no object 'k' in b"}),
        (PluginLoadError("m", distribution="d", reason="r"), {"distribution": "d", "reason": "r"}),
        (StorageUnavailableError("m", backend="b", key="k"), {"backend": "b", "key": "k"}),
        (ContainerError("m", engine="e", operation="o", container_id="c"), {"engine": "e", "container_id": "c"}),
        (
            CapabilityError("m", engine="e", missing={"pids": "why"}),
            {"operation": "create", "missing": {"pids": "why"}},
        ),
        (NotFoundError("runtime", "n", ["bash"]), {"name": "n", "known": ("bash",)}),
        (PolicyError("m", setting="s"), {"setting": "s"}),
        (ConfigError(["a: b"], hint="h"), {"problems": ("a: b",), "hint": "h"}),
        (ImageError("m", image="i"), {"operation": "ensure_image", "image": "i"}),
    ],
)
def test_errors_carry_data(error: BotdockError, data: dict[str, Any]) -> None:
    assert {name: getattr(error, name) for name in data} == data
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied), copied.args, vars(copied)) == (type(error), str(error), error.args, vars(error))


def test_the_nearest_names_come_first_and_case_does_not_matter() -> None:
    assert nearest("PYTHON311", ["bash", "Python312", "python311"]) == ["python311", "Python312"]
    assert nearest("bash", []) == []


@given(st.text(), st.lists(st.text()))
def test_what_is_near_is_always_one_of_the_known(name: str, known: list[str]) -> None:
    assert set(nearest(name, known)) <= set(known)
