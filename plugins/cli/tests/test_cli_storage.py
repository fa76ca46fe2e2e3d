"""`botdock storage ls` and `stat`, and what all of its verbs have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import StorageUnavailableError
from botdock.model import ObjectInfo
from botdock_cli.commands.storage import command
from botdock_testing.memory_storage import MemoryBackend

ROW = re.compile(r" *(\d+(?:\.\d+)? [KMG]?i?B)  (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)  (.*)")


class Away(MemoryBackend):
    """Does not answer."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        raise StorageUnavailableError("10.0.0.1:9000 does not answer", hint="Start it.")
        yield

    def stat(self, key: str) -> ObjectInfo:
        raise StorageUnavailableError("10.0.0.1:9000 does not answer", hint="Start it.")


def holding(backend: MemoryBackend, *keys: str) -> MemoryBackend:
    backend.objects.update(dict.fromkeys(keys, b"data"))
    return backend


def keys_of(table: str) -> list[str]:
    heading, *rows = table.splitlines()
    assert heading.split() == ["SIZE", "MODIFIED", "KEY"]
    return [match[3] for row in rows if (match := ROW.fullmatch(row))]


def test_storage_alone_is_a_call_for_help(cli: Callable[..., Any]) -> None:
    shown = cli("storage")
    assert (shown.code, shown.err) == (0, "")
    assert all(f"\n  {verb} " in shown.out for verb in command.commands)
    assert shown == cli("storage", "--help")


@pytest.mark.parametrize("verb", command.commands)
def test_each_verb_teaches_its_options_by_examples(cli: Callable[..., Any], verb: str) -> None:
    shown = cli("storage", verb, "--help")
    assert shown.code == 0
    assert f"Examples:\n    botdock storage {verb}" in shown.out
    assert all(word in shown.out for word in ("Exit codes:", "--area", "--storage", "--json", "--config-file"))
    assert max(map(len, shown.out.splitlines())) <= 116


def test_objects_are_listed_by_key_with_size_and_time(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("bots/b.zip", "a.zip", "bots/a.zip", data=b"x" * 2048)
    shown = cli("storage", "ls")
    assert (shown.code, shown.err) == (0, "")
    assert keys_of(shown.out) == ["a.zip", "bots/a.zip", "bots/b.zip"]
    assert shown.out.count(" 2 KiB ") == 3


def test_a_prefix_and_an_area_narrow_the_list(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("logs/a/1", "logs/b/1", area="logs")
    store("logs/a/2")
    assert keys_of(cli("storage", "ls", "logs/a/", "--area", "logs").out) == ["logs/a/1"]


def test_json_is_a_list_with_exact_sizes_and_times(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("a.zip", "b.zip", data=b"x" * 2049)
    shown = cli("storage", "ls", "--json")
    first, second = json.loads(shown.out)
    assert (first["key"], second["key"], first["size"]) == ("a.zip", "b.zip", 2049)
    assert datetime.fromisoformat(first["modified"]).utcoffset() is not None
    assert first == json.loads(cli("storage", "stat", "a.zip", "--json").out)


def test_nothing_is_an_empty_list_and_a_word_on_stderr(cli: Callable[..., Any], stored: Callable[..., Path]) -> None:
    shown = cli("storage", "ls", "bots/")
    assert (shown.code, shown.out) == (0, "")
    assert shown.err == f"botdock: nothing in code of local-fs ({stored('')}) begins with 'bots/'\n"
    assert cli("storage", "ls").err == f"botdock: nothing in code of local-fs ({stored('')})\n"
    assert (cli("storage", "ls", "--json").out, cli("storage", "ls", "--json").err) == ("[]\n", "")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_object_is_shown_before_the_next_one_is_known(
    cli: Callable[..., Any], over: Callable[..., None], options: list[str]
) -> None:
    class Endless(MemoryBackend):
        def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
            yield from super().list(prefix)
            raise StorageUnavailableError("it went away")

    over(holding(Endless(), "first"))
    told = cli("storage", "ls", *options)
    assert told.code == 125
    assert "first" in told.out
    assert told.err == "botdock: it went away\n"


def test_a_key_that_a_terminal_would_obey_is_escaped(cli: Callable[..., Any], over: Callable[..., None]) -> None:
    over(holding(MemoryBackend(), "a\x1b[2Jb"))
    assert keys_of(cli("storage", "ls").out) == ["a\\x1b[2Jb"]


def test_stat_shows_what_is_known(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("bots/a.zip")
    shown = dict(line.split(maxsplit=1) for line in cli("storage", "stat", "bots/a.zip").out.splitlines())
    assert (shown["key"], shown["size"]) == ("bots/a.zip", "4")
    assert shown["etag"] == json.loads(cli("storage", "stat", "bots/a.zip", "--json").out)["etag"]


@pytest.mark.parametrize("verb", ["stat", "get", "rm"])
@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("bots/sma.zp", "Did you mean bots/sma.zip?"),
        ("bost/sma.zip", "Did you mean bots/sma.zip?"),
        ("sma.zip", "Did you mean bots/sma.zip?"),
        ("bots", "Others are below it: `botdock storage ls bots/` lists them."),
        ("something/else", "`botdock storage ls` lists what is there."),
    ],
)
def test_a_missing_object_names_the_nearest(
    cli: Callable[..., Any], store: Callable[..., None], verb: str, key: str, hint: str
) -> None:
    store("bots/sma.zip", *(f"bots/many/{number:04}" for number in range(30)))
    told = cli("storage", verb, key)
    assert (told.code, told.stdout) == (2, b"")
    first, second = told.err.splitlines()
    assert first.startswith(f"botdock: no object {key!r} in local-fs (")
    assert second == f"  {hint}"
    assert list(Path().iterdir()) == []


def test_the_hint_looks_where_the_command_looked(cli: Callable[..., Any], store: Callable[..., None]) -> None:
    store("my logs/x", area="logs")
    told = cli("storage", "stat", "my logs", "--area", "logs", "--storage", "local-fs")
    assert "`botdock storage ls 'my logs'/ --area logs --storage local-fs` lists them" in told.err


def test_a_search_for_the_nearest_is_bounded(cli: Callable[..., Any], over: Callable[..., None]) -> None:
    listed = 0

    class Huge(MemoryBackend):
        def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
            nonlocal listed
            template = next(super().list(""))
            while not prefix.endswith("key/"):
                listed += 1
                yield ObjectInfo(key=f"{prefix}-{listed}", size=1, etag="", modified=template.modified)

    over(holding(Huge(), "one"))
    assert cli("storage", "stat", "some/key").code == 2
    assert listed <= 3 * 1000


@pytest.mark.parametrize("verb", [["ls"], ["stat", "a"], ["rm", "a"], ["rm", "--prefix", "a", "--yes"]])
def test_a_storage_that_is_away_is_125_with_its_cure(
    cli: Callable[..., Any], over: Callable[..., None], verb: list[str]
) -> None:
    over(Away())
    told = cli("storage", *verb)
    assert (told.code, told.stdout) == (125, b"")
    assert told.err == "botdock: 10.0.0.1:9000 does not answer\n  Start it.\n"


def test_a_storage_that_cannot_list_still_says_what_is_missing(
    cli: Callable[..., Any], over: Callable[..., None]
) -> None:
    class Blind(Away):
        stat = MemoryBackend.stat

    over(Blind())
    told = cli("storage", "stat", "a")
    assert (told.code, told.err.splitlines()[0]) == (2, "botdock: no object 'a' in memory")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["lss"], "Did you mean 'ls'"),
        (["ls", "--area", "result"], "results"),
        (["ls", "--storage", "local"], "local-fs"),
        (["stat"], "KEY"),
        (["stat", "a//b"], "'a//b'"),
        (["stat", "a\nb"], "control character"),
        (["ls", "--config-file", "absent.toml"], "absent.toml"),
    ],
)
def test_wrong_usage_is_told_in_a_few_lines(cli: Callable[..., Any], args: list[str], said: str) -> None:
    told = cli("storage", *args)
    assert (told.code, told.stdout) == (2, b"")
    assert said in told.err
    assert len(told.err.splitlines()) <= 3


def test_the_configuration_may_be_named_before_the_verb(cli: Callable[..., Any], tmp_path: Path) -> None:
    root = tmp_path / "elsewhere"
    (root / "code").mkdir(parents=True)
    (root / "code" / "found").touch()
    named = tmp_path / "named.toml"
    named.write_text(f'[options.local-fs]\nroot = "{root}"\n')
    for args in (["--config-file", str(named), "storage", "ls"], ["storage", "ls", "--config-file", str(named)]):
        assert keys_of(cli(*args).out) == ["found"]
