"""`botdock storage rm`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from botdock.model import DeleteFailure
from botdock_testing.memory_storage import MemoryBackend


class Locked(MemoryBackend):
    """Keeps what is called `kept`."""

    def delete(self, keys: Iterable[str]) -> Iterator[DeleteFailure]:
        for key in keys:
            if "kept" in key:
                yield DeleteFailure(key=key, reason="it is held")
            else:
                yield from super().delete([key])


def holding(backend: MemoryBackend, *keys: str) -> MemoryBackend:
    backend.objects.update(dict.fromkeys(keys, b"data"))
    return backend


def test_rm_deletes_what_is_named_and_says_how_many(
    cli: Callable[..., Any], store: Callable[..., None], stored: Callable[..., Path]
) -> None:
    store("bots/a", "bots/b", "bots/c")
    assert cli("storage", "rm", "bots/a", "bots/b", "bots/a").out == "2 objects deleted\n"
    assert [path.name for path in stored("bots").iterdir()] == ["c"]
    assert cli("storage", "rm", "bots/c").out == "1 object deleted\n"


def test_when_one_key_is_missing_none_is_deleted(
    cli: Callable[..., Any], store: Callable[..., None], stored: Callable[..., Path]
) -> None:
    store("a.zip")
    assert cli("storage", "rm", "a.zip", "b.zip").code == 2
    assert stored("a.zip").exists()


def test_a_prefix_needs_yes_and_says_what_it_would_do(
    cli: Callable[..., Any], store: Callable[..., None], stored: Callable[..., Path]
) -> None:
    store("logs/a/1", "logs/a/2", "logs/b", area="logs")
    command = ("storage", "rm", "--prefix", "logs/a/", "--area", "logs")
    told = cli(*command)
    assert (told.code, told.stdout) == (2, b"")
    assert "2 objects in logs of local-fs" in told.err
    assert "--yes deletes them" in told.err
    assert stored("logs/a/1", "logs").exists()
    done = cli(*command, "--yes", "--json")
    assert (done.code, json.loads(done.out)) == (0, {"schema": 1, "deleted": 2, "failures": []})
    assert not stored("logs/a", "logs").exists()
    assert stored("logs/b", "logs").exists()


def test_what_a_prefix_would_delete_is_counted_up_to_a_bound(
    cli: Callable[..., Any], over: Callable[..., None]
) -> None:
    over(holding(MemoryBackend(), *(f"k/{number}" for number in range(1001))))
    assert "more than 1000 objects in code" in cli("storage", "rm", "--prefix", "k/").err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "nothing says what to delete"),
        (["--prefix", ""], "means everything"),
        (["--prefix", "", "--yes"], "means everything"),
        (["a", "--prefix", "a", "--yes"], "cannot be combined with keys"),
        (["a", "../b"], "'../b'"),
        (["a/"], "ends with '/'"),
        (["--all"], "--all"),
    ],
)
def test_rm_refuses_what_nobody_can_mean(
    cli: Callable[..., Any], store: Callable[..., None], stored: Callable[..., Path], args: list[str], said: str
) -> None:
    store("a")
    told = cli("storage", "rm", *args)
    assert (told.code, told.stdout) == (2, b"")
    assert said in told.err
    assert stored("a").exists()


@pytest.mark.parametrize("how", [["k/a", "k/kept", "k/z"], ["--prefix", "k/", "--yes"]])
def test_what_could_not_be_deleted_is_told_and_is_125(
    cli: Callable[..., Any], over: Callable[..., None], how: list[str]
) -> None:
    backend = holding(Locked(), "k/a", "k/kept", "k/z")
    over(backend)
    told = cli("storage", "rm", *how)
    assert (told.code, told.out) == (125, "2 objects deleted\n")
    assert told.err == "botdock: k/kept was not deleted: it is held\n"
    assert (list(backend.objects), backend.closed) == (["k/kept"], True)
    document = json.loads(cli("storage", "rm", "k/kept", "--json").out)
    assert document == {"schema": 1, "deleted": 0, "failures": [{"key": "k/kept", "reason": "it is held"}]}
