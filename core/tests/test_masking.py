"""Secrets are masked whatever the pieces in which they come, also when another writer goes on in the middle."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock.services.masking import Mask, Masked, Masker, forms
from botdock_testing.strategies import json_values


def naive(data: bytes, secrets: list[bytes]) -> tuple[bytes, int]:
    known = sorted(filter(None, secrets), key=len, reverse=True)
    out, at, count = bytearray(data), 0, 0
    while at < len(data):
        secret = next((secret for secret in known if data.startswith(secret, at)), None)
        if secret:
            out[at : at + len(secret)] = b"*" * len(secret)
            count += 1
        at += len(secret or b"x")
    return bytes(out), count


def few(max_size: int, min_size: int = 0) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(b"ab\n"), min_size=min_size, max_size=max_size).map(bytes)


@given(data=few(60), secrets=st.lists(few(12), max_size=3), cuts=st.lists(st.integers(1, 7)), crashes=st.randoms())
def test_any_pieces_and_any_crash_come_to_the_same(data: bytes, secrets: list[bytes], cuts: list[int], crashes) -> None:  # type: ignore[no-untyped-def]  # of Random, which Hypothesis wraps
    masker, out, count, at = Masker(secrets), b"", 0, 0
    sizes = iter(cuts)
    while at < len(data):
        size = next(sizes, 3)
        found = masker.feed(data[at : at + size])
        out, count, at = out + found.data, count + len(found.spans), at + size
        if crashes.random() < 0.2:
            masker, at = Masker(secrets), len(out)
    found = masker.finish()
    assert (out + found.data, count + len(found.spans)) == naive(data, secrets)


@pytest.mark.parametrize(("written", "kept"), [(8, 0), (7, 7), (0, 0)])
def test_most_of_a_secret_at_the_end_of_what_was_torn_is_masked(written: int, kept: int) -> None:
    secret = b"a-long-secret-of-many-bytes"
    masker = Masker([secret, b"hunter"])
    assert masker.feed(b"key " + secret[:written]).data == b"key "
    assert masker.finish(torn=True).data == secret[:kept] + b"*" * (written - kept)
    masker.feed(b"hunt")
    assert masker.finish(torn=True).data == b"****", "more than half of a short one"
    masker.feed(b"hun")
    assert masker.finish(torn=True).data == b"hun"


@pytest.mark.parametrize("secret", ["it's", 'say "it\'s"', "größe", "tab\t"])
@pytest.mark.parametrize("around", ["{}", '"{}', "\"'{}'"])
def test_a_secret_is_found_as_repr_writes_it_of_texts_and_bytes(secret: str, around: str) -> None:
    for whole in (around.format(secret), around.format(secret).encode()):
        inner = repr(whole)
        assert not any(piece in Mask([secret])(inner) for piece in (secret, "it\\'s", "xc3", "\\t")), inner


def test_a_number_that_is_a_secret_is_masked_in_what_a_bot_returns() -> None:
    mask = Mask(["90210", "true", "7", "-1.5"])
    value = {"pin": 90210, "on": True, "n": [7, 902101], "x": -1.5}
    assert mask(value, keys=True) == {"pin": "*****", "on": True, "n": [7, 902101], "x": "****"}
    assert mask({"exit_code": 90210}) == {"exit_code": 90210}, "what botdock says itself"


@given(value=json_values(), secret=st.text("ab'\\\n", min_size=1, max_size=4), text=st.text("ab'\\\n"))
def test_texts_in_a_value_are_masked_like_a_log_and_all_else_stays(value: Any, secret: str, text: str) -> None:
    mask = Mask([secret, ""])
    masked = naive(text.encode(), [form.encode() for form in forms([secret])])[0].decode()
    assert mask({text: [text, {"n": 1.5}]}, keys=True) == {masked: [masked, {"n": 1.5}]}
    assert mask({text: None}) == {text: None}
    assert secret not in mask(json.dumps({"said": repr(secret)}))
    assert Mask(["\0absent"])(value, keys=True) == value


def test_what_a_cut_has_left_of_a_secret_at_the_end_of_a_message_is_masked_too() -> None:
    assert Mask(["secret"]).message("x" * 1997 + "sec") == "x" * 1997 + "***"
    assert Mask(["secret"]).message("\U0001f600" * 998 + "xsec") == "\U0001f600" * 998 + "x***", "as Node counts"
    assert Mask(["secret"]).message("no sec") == "no sec"


@given(data=few(40), secrets=st.lists(few(9, 1), max_size=3), size=st.integers(0, 45))
def test_a_cut_never_goes_through_a_secret(data: bytes, secrets: list[bytes], size: int) -> None:
    masker = Masker(secrets)
    fed, rest = masker.feed(data), masker.finish()
    for whole in (fed, rest):
        before, behind = whole.split(size)
        assert before.data + behind.data == whole.data
        assert len(before.spans) + len(behind.spans) == len(whole.spans)
        assert len(before.data) <= size
        moved = [(begin + len(before.data), end + len(before.data)) for begin, end in behind.spans]
        assert [*before.spans, *moved] == list(whole.spans)


def test_what_is_held_back_is_forgotten_when_it_comes_again() -> None:
    masker = Masker([b"secret"])
    assert masker.feed(b"a sec") == Masked(b"a ")
    masker.reset()
    assert masker.feed(b"second").data == b"second"
