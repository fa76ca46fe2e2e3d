"""What a terminal is shown of what a bot wrote."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_cli.escaping import for_terminal

PLAIN_COLOUR = re.compile(r"\x1b\[[\d;]*m")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"all is well", "all is well"),
        ("größer ⛵ 日本".encode(), "größer ⛵ 日本"),
        (b"a\tb", "a\tb"),
        (b"50%\r100%", r"50%\r100%"),
        (b"\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (b"\x08\x7f\x00", r"\x08\x7f\x00"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("\x9b2J".encode(), r"\x9b2J"),
        ("pay \u202eelttil".encode(), r"pay \u202eelttil"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(data: bytes, shown: str) -> None:
    assert for_terminal(data, colour=True) == shown
    assert for_terminal(data, colour=False) == shown


@pytest.mark.parametrize("code", ["1", "31", "1;31", "38;5;208", "48;2;1;22;133", "0", "01;97", "107"])
def test_colours_stay_and_end_with_the_line(code: str) -> None:
    data = f"\x1b[{code}mred".encode()
    assert for_terminal(data, colour=True) == f"\x1b[{code}mred\x1b[0m"
    assert for_terminal(data, colour=False) == rf"\x1b[{code}mred"


@pytest.mark.parametrize("code", ["8", "5", "1;8", "38;5", "31;", "?25", "38;5;1234567"])
def test_what_hides_blinks_or_is_no_colour_is_an_escape(code: str) -> None:
    assert for_terminal(f"\x1b[{code}mx".encode(), colour=True) == rf"\x1b[{code}mx"


@given(st.binary() | st.text().map(str.encode) | st.from_regex(rb"(\x1b\[[\d;]{0,9}[mHJ]|a|\r){0,9}"), st.booleans())
def test_nothing_moves_the_cursor_whatever_a_bot_writes(data: bytes, colour: bool) -> None:
    shown = for_terminal(data, colour=colour)
    assert PLAIN_COLOUR.sub("", shown).replace("\t", "").replace("\n", "").isprintable()
    assert colour or "\x1b" not in shown
