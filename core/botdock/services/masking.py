"""Masks secrets: in a stream of bytes, whatever the pieces in which it comes, and in what is said of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import attrs

from botdock.services.lines import border

STAR = b"*"
"""Each byte of a secret becomes one, so that what is stored is as long as what was written: lengths stay cursors."""

_HEAD = 8
"""Bytes of a secret that are looked for to find where it may begin; so many of one are too many to be told."""

_NUMBER = 4
"""Digits of a secret from which on a number of a stranger that is written like it is masked."""

_CUT = 2000
"""Characters, as UTF-16 counts them, of a message that the bundled wrappers keep: one as long may have been cut."""


def forms(secrets: Iterable[str]) -> list[str]:
    """Return what is looked for of secrets: each as it is, and as JSON and Python's `repr` write it."""
    found = {secret for secret in secrets if secret}
    return sorted(found.union(*map(_written, found)))


def _written(text: str) -> set[str]:
    """Return a text as JSON and `repr` write it, also inside a longer one with quotation marks, and as bytes."""
    data = text.encode(errors="surrogatepass")
    plain = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1], repr(data)[2:-1]}
    return plain | {repr('"' + text)[2:-1], repr(b'"' + data)[3:-1]}


class Mask:
    """Masks secrets in whatever is made of texts: the same ones, by the same rule, as in a log.

    Args:
        secrets: The secrets; an empty one is none.

    Attributes:
        forms: What is looked for; empty where nothing is masked.

    Example:
        >>> mask = Mask(["hunter2"])
        >>> mask({"url": "https://me:hunter2@example.org", "tries": 2})
        {'url': 'https://me:*******@example.org', 'tries': 2}
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.forms = forms(secrets)

    def __call__(self, value: Any, *, keys: bool = False) -> Any:
        """Return a text, or texts in lists and mappings, masked; all else as it is.

        Args:
            value: The value.
            keys: Whether keys of mappings, and numbers that are a secret, are masked, too: they are a stranger's.
        """
        match value if self.forms else None:
            case str():
                return self._text(value) if any(form in value for form in self.forms) else value
            case dict():
                return {self(key) if keys else key: self(inner, keys=keys) for key, inner in value.items()}
            case list():
                return [self(inner, keys=keys) for inner in value]
            case tuple():
                return tuple(self(inner, keys=keys) for inner in value)
            case bool():
                return value
        return self._number(value) if keys and isinstance(value, int | float) else value

    def message(self, text: str) -> str:
        """Return a message masked, and what a cut has left of a secret at its end."""
        if not self.forms:
            return text
        return self._text(text, cut=len(text.encode("utf-16-le", "surrogatepass")) >= 2 * _CUT)

    def error(self, error: BaseException | None) -> None:
        """Mask what an error says, and those that led to it."""
        seen: set[int] = set()
        while self.forms and error is not None and id(error) not in seen:
            seen.add(id(error))
            error.args = self(error.args)
            vars(error).update(self(vars(error)))
            error = error.__cause__ or error.__context__

    def _number(self, number: float) -> Any:
        text = json.dumps(number)
        return STAR.decode() * len(text) if text in self.forms and len(text) >= _NUMBER else number

    def _text(self, text: str, *, cut: bool = False) -> str:
        masker = Masker(form.encode() for form in self.forms)
        sure = masker.feed(text.encode(errors="surrogatepass")).data
        rest = masker.finish().data
        return (sure + (STAR * len(rest) if cut else rest)).decode(errors="surrogatepass")


@attrs.frozen
class Masked:
    """What has come out.

    Attributes:
        data: The bytes, as many as went in.
        spans: Where in them a secret was: begin and end of each.
    """

    data: bytes
    spans: tuple[tuple[int, int], ...] = ()

    def join(self, other: Masked) -> Masked:
        """Return both, one behind the other."""
        size = len(self.data)
        return Masked(self.data + other.data, self.spans + tuple((a + size, b + size) for a, b in other.spans))

    def split(self, size: int) -> tuple[Masked, Masked]:
        """Return the first `size` bytes and the rest; a secret or a character is never cut, and belongs to the rest."""
        size = border(self.data, size) if size < len(self.data) else len(self.data)
        at = next((begin for begin, end in self.spans if begin < size < end), size)
        before = tuple(span for span in self.spans if span[1] <= at)
        behind = tuple((begin - at, end - at) for begin, end in self.spans if begin >= at)
        return Masked(self.data[:at], before), Masked(self.data[at:], behind)


class Masker:
    """Masks every occurrence of every secret: the leftmost first, of several that begin at one byte the longest.

    What could be the beginning of a secret is held back until more has come: less than the longest secret. At every
    byte up to which something was handed out, another masker can go on with the next one and comes to the same.

    Args:
        secrets: The secrets; an empty one is none.
    """

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, known))) if known else None
        self._secrets = known
        self._held = b""

    def feed(self, data: bytes) -> Masked:
        """Take the next bytes, and return those that are now certain."""
        if self._pattern is None:
            return Masked(data)
        data = self._held + data
        spans = [match.span() for match in self._pattern.finditer(data)]
        certain = self._certain(data, spans)
        self._held = data[certain:]
        return _masked(data[:certain], [span for span in spans if span[1] <= certain])

    def finish(self, *, torn: bool = False) -> Masked:
        """Return what is held back: nothing more will come. Begins anew.

        Args:
            torn: Whether the end may be anywhere, as when a bot is killed: then the beginning of a secret is masked,
                too, once it is more than half of it, or `_HEAD` bytes.
        """
        data, self._held = self._held, b""
        if torn and any(2 * len(data) > min(len(it), 2 * _HEAD - 1) and it.startswith(data) for it in self._secrets):
            return _masked(data, [(0, len(data))])
        spans = [match.span() for match in self._pattern.finditer(data)] if self._pattern else []
        return _masked(data, spans)

    def reset(self) -> None:
        """Forget what is held back: it will come again."""
        self._held = b""

    def _certain(self, data: bytes, spans: list[tuple[int, int]]) -> int:
        """Return up to where nothing that may still come can change what is a secret and what is not."""
        certain = self._open_from(data, 0)
        for begin, end in spans:
            if begin < certain < end:  # it was decided before, and so what begins inside it begins no other
                certain = self._open_from(data, end)
        return certain

    def _open_from(self, data: bytes, start: int) -> int:
        """Return where the longest end of `data`, behind `start`, begins that begins a secret."""
        return min((_begins_at(data, start, secret) for secret in self._secrets), default=len(data))


def _begins_at(data: bytes, start: int, secret: bytes) -> int:
    """Return where the longest end of `data`, behind `start`, begins that is the beginning of `secret` and no more."""
    at = max(start, len(data) - len(secret) + 1)
    head = secret[:_HEAD]
    while (at := data.find(head, at)) >= 0:
        if secret.startswith(data[at:]):
            return at
        at += 1
    shortest = range(max(start, len(data) - _HEAD + 1), len(data))
    return next((at for at in shortest if secret.startswith(data[at:])), len(data))


def _masked(data: bytes, spans: list[tuple[int, int]]) -> Masked:
    if not spans:
        return Masked(data)
    masked = bytearray(data)
    for begin, end in spans:
        masked[begin:end] = STAR * (end - begin)
    return Masked(bytes(masked), tuple(spans))
