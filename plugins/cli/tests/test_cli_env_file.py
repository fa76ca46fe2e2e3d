"""`--env-file`: Docker's files of variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import ExecutableError
from botdock_cli.request import RunRequest, read_env_files


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Write a file of variables, and return its name."""

    def write(text: str | bytes, name: str = "bot.env") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("", {}),
        ("\n  \n# a comment\n   # another\nA=1", {"A": "1"}),
        ("A=\nB", {"A": "", "B": "mine"}),
        ("  A=1", {"A": "1"}),
        ('A="quoted" # kept $B\n', {"A": '"quoted" # kept $B'}),
        ("A= blanks \n", {"A": " blanks "}),
        ("A=b=c", {"A": "b=c"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\N{ZERO WIDTH NO-BREAK SPACE}A=1", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=x\x0by\x85z", {"A": "x\x0by\x85z"}),
    ],
)
def test_a_file_is_read_as_docker_reads_it(file: Callable[..., str], text: str, expected: dict[str, str]) -> None:
    assert read_env_files([file(text)], {"B": "mine"}) == expected


def test_every_wrong_line_is_told_by_file_and_number(file: Callable[..., str]) -> None:
    name = file("A=1\n1A=x\n\nABSENT\n=x\nexport B=2\nBOT_ID=x\nC=\0\n")
    with pytest.raises(ExecutableError) as told:
        read_env_files([name], {})
    assert [problem.removeprefix(f"--env-file: {name}, ") for problem in told.value.problems] == [
        "line 2: name '1A' must be letters, digits and _, and not begin with a digit",
        "line 4: ABSENT is not set in your environment; export it first, or write ABSENT=VALUE",
        "line 5: name '' must be letters, digits and _, and not begin with a digit",
        "line 6: name 'export B' must be letters, digits and _, and not begin with a digit",
        "line 7: BOT_ID is set by botdock itself; choose another name",
        "line 8: value of C holds a NUL character, which no environment can carry",
    ]


@pytest.mark.parametrize("where", ["absent.env", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_named(where: str) -> None:
    with pytest.raises(ExecutableError, match=r"--env-file: .* cannot be read: "):
        read_env_files([where], {})


def test_a_file_in_no_known_encoding_is_told_by_its_line(file: Callable[..., str]) -> None:
    with pytest.raises(ExecutableError, match=r"--env-file: .*bot\.env, line 2: is not UTF-8"):
        read_env_files([file(b"A=1\nB=\xff")], {})


def test_an_option_wins_over_files_and_a_later_file_over_an_earlier_one(file: Callable[..., str]) -> None:
    files = (file("A=1\nB=1\nC=1"), file("B=2\nC=2", "later.env"))
    request = RunRequest(code="bot", env=("C=3",), env_file=files)
    assert request.executable({}).env == {"A": "1", "B": "2", "C": "3"}


@pytest.mark.parametrize("verb", ["run", "start", "explain"])
def test_every_verb_that_runs_tells_a_wrong_line_and_exits_with_2(
    cli: Callable[..., Any], file: Callable[..., str], verb: str
) -> None:
    told = cli(verb, "bot", "--env-file", file("A B=1"))
    assert (told.code, told.out) == (2, "")
    assert "bot.env, line 1: name 'A B'" in told.err


def test_the_variables_reach_what_is_run(
    cli: Callable[..., Any], fake_runner: Any, file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "mine")
    Path("bot").mkdir()
    Path("bot/bot.py").touch()
    assert cli("run", "bot", "--env-file", file("TOKEN\nMODE=paper")).code == 0
    assert fake_runner.executable.env == {"TOKEN": "mine", "MODE": "paper"}
