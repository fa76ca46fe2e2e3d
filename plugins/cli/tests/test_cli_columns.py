"""On a narrow terminal, no line is too long, and no word is cut."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.config import Config
from botdock.errors import NotFoundError
from botdock.model import Check, CheckStatus
from botdock.model.units import format_bytes, parse_bytes
from botdock_cli.commands import SUMMARIES
from botdock_cli.layout import columns_of, table, wrapped

SEPARATORS = "/,;:=.@|_-"
WIDTHS = pytest.mark.parametrize("width", [80, 60])
TIME = re.compile(r"(\d+(\.\d+)?(h|ms|m|s))+|\d\d:\d\d:\d\d|\d{4}-\d\d-\d\d")
"""When, or how long ago, something was; it differs from one look to the next."""
LONG_PATH = "/srv/" + "/".join(["a-folder-with-a-long-name"] * 6) + "/botdock.toml"
DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the terminal have so many columns."""
    return lambda width: monkeypatch.setenv("COLUMNS", str(width))


def cut(folded: str, whole: str) -> list[str]:
    """Return the words of `folded` that `whole` does not have, nor a part of one that ends at a separator."""
    words = set(whole.split())
    parts = {word[start:end] for word in words for start in _ends(word) for end in _ends(word) if start < end}
    return [word for word in folded.split() if word not in words | parts and not TIME.fullmatch(word)]


def _ends(word: str) -> list[int]:
    return [0, *(found.end() for found in re.finditer(f"[{SEPARATORS}]+", word)), len(word)]


def too_long(text: str, width: int) -> list[str]:
    """Return the lines that are too long, but for a word alone that has no place to be folded at."""
    return [line for line in text.splitlines() if len(line) > width and re.search(rf"[\s{SEPARATORS}]\S", line.strip())]


def fits(cli: Callable[..., Any], narrow: Callable[[int], None], width: int, *line: str) -> Any:
    """Run a command line on a wide terminal and on a narrow one, and return what the narrow one shows."""
    narrow(10_000)
    whole = cli(*line)
    narrow(width)
    done = cli(*line)
    assert done.code == whole.code
    for folded, text in ((done.out, whole.out), (done.err, whole.err)):
        assert too_long(folded, width) == []
        assert cut(folded, text) == []
    assert done.out + done.err
    return done


def lines_of_help() -> Iterator[str]:
    yield ""
    for name in SUMMARIES:
        yield name
        command = import_module(f"botdock_cli.commands.{name}").command
        yield from (f"{name} {inner}" for inner in getattr(command, "commands", ()))


@WIDTHS
@pytest.mark.parametrize("line", list(lines_of_help()))
def test_every_help_fits(cli: Callable[..., Any], narrow: Callable[[int], None], width: int, line: str) -> None:
    assert fits(cli, narrow, width, *line.split(), "--help").code == 0


@WIDTHS
def test_botdock_alone_fits_with_an_example_a_line_at_80(
    cli: Callable[..., Any], narrow: Callable[[int], None], width: int
) -> None:
    shown = fits(cli, narrow, width).out
    examples = re.search(r"Examples:\n(.*?)\n\n", shown, re.DOTALL)
    assert examples is not None
    assert width < 80 or all(line.startswith("    botdock ") for line in examples[1].splitlines())


@WIDTHS
@pytest.mark.parametrize("line", ["plugins", "doctor", "metrics", "config --path", "pool", "ps -a", "storage ls"])
def test_what_lists_fits(
    cli: Callable[..., Any],
    narrow: Callable[[int], None],
    logged: Callable[..., Any],
    store: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    line: str,
) -> None:
    logged(bot="a-bot-with-quite-a-long-name-" + "of-some-kind-" * 5).says(b"x\n").ends().concludes(outcome="failed")
    store("bots/" + "long-name-" * 8 + "/sma.zip")
    checks = [
        Check(name="state", status=CheckStatus.OK, detail=f"{LONG_PATH}: 10 GiB free", remedy=f"chmod 700 {LONG_PATH}"),
        Check(name="docker.image.python311", status=CheckStatus.OK, detail=f"python:3.11-slim {DIGEST}", remedy=""),
    ]
    monkeypatch.setattr("botdock_cli.commands.doctor.examine", lambda _: iter(checks))
    fits(cli, narrow, width, *line.split())


ERRORS = (
    ("rnu",),
    ("run", "bot", "--timeot", "3"),
    ("run", "bot", "--entrypoint", "bott"),
    ("run", LONG_PATH, "--engine", "process"),
    ("run", "bot", "--env", "BOTDOCK_NO_SUCH_VARIABLE"),
    ("run", "bot", "--env-file", LONG_PATH),
    ("logs", "nosuch"),
    ("ps", "--since", "yesterday"),
    ("ps", "--config-file", LONG_PATH),
    ("new", "runtime", "Not A Name"),
    ("storage", "get", "bots/no-such-object-of-a-long-name.zip"),
    ("config", "trust", LONG_PATH),
)


@WIDTHS
@pytest.mark.parametrize("line", ERRORS, ids=lambda line: " ".join(line)[:30])
def test_every_error_fits(
    cli: Callable[..., Any], narrow: Callable[[int], None], width: int, line: tuple[str, ...]
) -> None:
    assert fits(cli, narrow, width, *line).err.startswith("botdock: ")


def test_json_and_toml_are_not_folded(cli: Callable[..., Any], narrow: Callable[[int], None]) -> None:
    narrow(20)
    assert json.loads(cli("plugins", "--json").out)
    narrow(10_000)
    whole = cli("config").out
    narrow(20)
    assert cli("config").out == whole


def test_a_pipe_has_no_columns(cli: Callable[..., Any]) -> None:
    lines = cli("plugins").out.splitlines()
    assert max(map(len, lines)) > 80
    assert all(not line.startswith(" ") for line in lines)


def test_columns_are_those_of_the_terminal_or_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert columns_of(file) is None
        monkeypatch.setenv("COLUMNS", "72")
        assert columns_of(file) == 72
        monkeypatch.setenv("COLUMNS", "many")
        assert columns_of(file) is None
        monkeypatch.setattr("os.get_terminal_size", lambda _: attrs.make_class("Size", ["columns"])(90))
        assert (columns_of(file), columns_of(None)) == (90, None)


def test_a_command_between_backticks_stays_on_one_line() -> None:
    text = "its runner is dead; `botdock recover --dry-run` says what becomes of it"
    assert "`botdock recover --dry-run`" in "\n".join(wrapped(text, 40))


@given(st.text(alphabet=f"ab {SEPARATORS}", max_size=60), st.integers(20, 40))
def test_nothing_is_lost_when_a_text_is_folded(text: str, width: int) -> None:
    assert "".join("".join(wrapped(text, width, rest="  ")).split()) == "".join(text.split())


@given(st.lists(st.tuples(*[st.text(alphabet="ab/", max_size=30)] * 4), min_size=1, max_size=4), st.integers(20, 60))
def test_a_table_keeps_every_cell_in_its_order(rows: list[tuple[str, ...]], width: int) -> None:
    for row, lines in zip(rows, table(rows, width), strict=True):
        assert "".join("".join(lines).split()) == "".join(row)


def test_help_shows_the_limits_that_hold_by_default(cli: Callable[..., Any]) -> None:
    run = import_module("botdock_cli.commands.run").command
    told = dict(re.findall(r"(\w+) (\d+\w*)", run.help.partition("Limits,")[2].partition("All but")[0]))
    limits, runtime = Config().runtime.limits.given(), Config().runtime
    assert told.pop("timeout") == "1h"
    assert runtime.timeout == 3600
    assert {name: parse_bytes(text) for name, text in told.items()} == limits
    options = {one.name: one.help or "" for one in run.params if isinstance(one, click.Option)}
    assert f"Else {format_bytes(limits['memory']).replace(' ', '')}." in options["memory"]
    assert f"Else {limits['cpus']:g}." in options["cpus"]
    assert f"Else {limits['pids']}." in options["pids"]
    assert "Else 1h." in options["timeout"]


def test_an_engine_that_is_not_there_is_told_in_lines_that_fit(
    cli: Callable[..., Any], narrow: Callable[[int], None], fake_runner: Any
) -> None:
    Path("bot").mkdir()
    Path("bot/bot.py").touch()
    fake_runner.fails(NotFoundError("engine", "dokcer", ["docker", "kubernetes", "oci", "process"]))
    assert "did you mean docker" in " ".join(fits(cli, narrow, 60, "run", "bot").err.split())
