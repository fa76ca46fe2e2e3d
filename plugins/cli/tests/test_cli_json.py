"""`--json`: every verb takes it, and whatever goes wrong, stdout holds one JSON document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import click
import pytest

from botdock.errors import StorageError
from botdock.model import ObjectInfo
from botdock_cli.commands import SUMMARIES
from botdock_cli.report import error_document
from botdock_testing.memory_storage import MemoryBackend

KEYS = {"schema", "error", "error_class", "problems", "hint", "exit_code", "phase", "execution_id"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield each verb, and each verb of a verb, that does something when it is called."""
    for name in SUMMARIES:
        command = import_module(f"botdock_cli.commands.{name}").command
        if any(option.name == "as_json" for option in command.params) or not isinstance(command, click.Group):
            yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())


EACH = pytest.mark.parametrize("line", [name for name, _ in commands()])


def failure(done: Any) -> dict[str, Any]:
    """Return the one document on stdout, which must be that of an error."""
    document: dict[str, Any] = json.loads(done.out)
    assert document.keys() == KEYS
    assert (document["schema"], document["exit_code"]) == (1, done.code)
    assert all(problem in document["error"] for problem in document["problems"])
    assert done.err.startswith("botdock: "), "people are told as well"
    return document


@EACH
def test_every_verb_takes_json_and_tells_wrong_usage_so(cli: Callable[..., Any], line: str) -> None:
    told = failure(cli(*line.split(), "--json", "--no-such-option"))
    assert (told["error_class"], told["exit_code"]) == ("UsageError", 2)
    assert "--no-such-option" in told["error"], "not --json"
    assert told["hint"] == f"`botdock {line} --help` shows what there is."


@EACH
def test_every_verb_answers_with_one_document_where_nothing_is_as_it_should_be(
    cli: Callable[..., Any], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOTDOCK_CONFIG", "no/such/botdock.toml")
    needed = ["x" for one in dict(commands())[line].params if isinstance(one, click.Argument) and one.required]
    done = cli(*line.split(), *needed, "--json")
    assert done.code in {1, 2}
    assert json.loads(done.out)


@pytest.mark.parametrize("line", [("rnu", "--json"), ("--json", "ps"), ("storage", "pst", "--json")])
def test_a_verb_that_there_is_not_is_told_as_json_too(cli: Callable[..., Any], line: tuple[str, ...]) -> None:
    assert failure(cli(*line))["error_class"] == "UsageError"


def test_a_value_for_it_is_refused_as_json_too(cli: Callable[..., Any]) -> None:
    assert failure(cli("ps", "--json=true"))["error_class"] == "UsageError"


def test_what_follows_two_dashes_is_not_an_option(cli: Callable[..., Any]) -> None:
    done = cli("logs", "--", "--json")
    assert (done.code, done.out) == (2, "")


def test_every_problem_of_a_configuration_is_listed(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTDOCK_ENGIN", "x")
    monkeypatch.setenv("BOTDOCK_CONTAINERS__PULL", "x")
    told = failure(cli("plugins", "--json"))
    assert told["error_class"] == "ConfigError"
    assert len(told["problems"]) == 2


@pytest.mark.parametrize(
    ("error", "error_class", "text", "exit_code"),
    [
        (ZeroDivisionError("division"), "ZeroDivisionError", "unexpected ZeroDivisionError: division", 125),
        (PermissionError(13, "Permission denied", "x"), "PermissionError", "Permission denied: x", 125),
        (KeyboardInterrupt(), "Interrupted", "interrupted", 130),
    ],
)
def test_what_is_not_an_error_of_botdock_has_the_same_form(
    error: BaseException, error_class: str, text: str, exit_code: int
) -> None:
    told = error_document(error)
    assert told.keys() == KEYS
    assert (told["error_class"], told["error"], told["exit_code"]) == (error_class, text, exit_code)


class Breaking(MemoryBackend):
    """Lists one object, and fails then."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        yield from super().list(prefix)
        raise StorageError("the storage went away")


def test_a_list_that_fails_on_its_way_ends_with_the_error(
    cli: Callable[..., Any], over: Callable[[Any], None], tmp_path: Any
) -> None:
    over(Breaking())
    told = failure(cli("storage", "ls", "--json"))
    assert told["error"] == "the storage went away"
    file = tmp_path / "file"
    file.touch()
    assert cli("storage", "put", str(file), "key").code == 0
    done = cli("storage", "ls", "--json")
    first, last = json.loads(done.out)
    assert (done.code, first["key"], last.keys(), last["error"]) == (125, "key", KEYS, "the storage went away")
    assert done.err == "botdock: the storage went away\n"


def test_stop_and_rm_tell_what_they_did(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    ended = logged().says(b"one\n").ends().concludes(outcome="succeeded")
    dead = logged(bot="dead").lives()
    dead.dies()
    done = cli("stop", "sma", "dead", "--json")
    stopped, failed = json.loads(done.out)
    assert (done.code, stopped["execution_id"], stopped["outcome"]) == (125, ended.execution_id, "succeeded")
    assert (failed["execution_id"], failed["exit_code"], failed.keys()) == (dead.execution_id, 125, KEYS)
    (removed,) = json.loads(cli("rm", "sma", "--json").out)
    assert removed["execution_id"] == ended.execution_id
    assert not ended.directory.exists()


def test_trust_tells_the_file(cli: Callable[..., Any], tmp_path: Any) -> None:
    file = tmp_path / "work" / "botdock.toml"
    file.touch(0o600)
    assert json.loads(cli("config", "trust", "--json").out) == {"schema": 1, "file": str(file), "trusted": True}
    assert json.loads(cli("config", "trust", "--revoke", "--json").out)["trusted"] is False


def test_an_object_and_a_document_do_not_share_stdout(cli: Callable[..., Any]) -> None:
    assert failure(cli("storage", "get", "a", "-o", "-", "--json"))["hint"] == "Name a file: -o FILE."
