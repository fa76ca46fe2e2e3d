"""HTTP answers, taken apart as they come: a head, and a body that ends in one of three ways."""

from __future__ import annotations

import http.client

SWITCHING_PROTOCOLS, NO_CONTENT, NOT_MODIFIED = 101, 204, 304
END_OF_HEAD = b"\r\n\r\n"
LARGEST_HEAD = 16 * 1024
"""Bytes of the status line and the headers."""
LONGEST_CHUNK_HEAD = 1024
"""Bytes of the line that begins a chunk; a longer one is not a chunk."""
_USUAL_HEAD = 10
"""Bytes of one that says nothing but a length."""


class Plain:
    """Ends after so many bytes, or with the connection where it has no size."""

    def __init__(self, size: int | None = None) -> None:
        self._left = size
        self.ended = size == 0
        self.ends_with_connection = size is None

    def feed(self, data: bytes) -> bytes:
        """Return what belongs to it."""
        if self._left is None:
            return data
        taken = data[: self._left]
        self._left -= len(taken)
        self.ended = self._left == 0
        return taken


class Chunked:
    """Ends with a chunk of no bytes, so that an end can be told from a broken connection."""

    ends_with_connection = False

    def __init__(self) -> None:
        self.ended = False
        self._head = b""
        """The beginning of a line that says how long a chunk is."""
        self._left = 0
        """Bytes that are still to come of the current chunk, with the line end after it."""

    def feed(self, data: bytes) -> bytes:
        """Return the bytes that are in the chunks."""
        parts: list[bytes] = []
        position = 0
        while position < len(data) and not self.ended:
            position = self._take(data, position, parts) if self._left else self._begin(data, position)
            if not (self._left or self._head):
                position = _take_whole(data, position, parts)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, data: bytes, position: int, parts: list[bytes]) -> int:
        payload = max(0, self._left - 2)
        if part := data[position : position + payload]:
            parts.append(part)
        taken = min(self._left, len(data) - position)
        self._left -= taken
        return position + taken

    def _begin(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position)
        stop = len(data) if end < 0 else end + 1
        self._head += data[position:stop]
        if len(self._head) > LONGEST_CHUNK_HEAD:
            raise ValueError("an answer whose chunks have no length")
        if end >= 0:
            size = int(self._head.partition(b";")[0], 16)
            self._head = b""
            self.ended = size == 0
            self._left = size + 2
        return stop


def _take_whole(data: bytes, position: int, parts: list[bytes]) -> int:
    """Take the chunks that are whole, one with each turn of a short loop: a daemon makes one of each line of a log."""
    find, end = data.find, len(data)
    while (stop := find(b"\r\n", position, position + _USUAL_HEAD)) > 0 and data[position:stop].isalnum():
        begin = stop + 2
        stop = begin + int(data[position : begin - 2], 16)
        if stop == begin or stop + 2 > end:
            break
        parts.append(data[begin:stop])
        position = stop + 2
    return position


class Answer:
    """One answer.

    Args:
        method: Of the request: what answers HEAD has no body.

    Attributes:
        status: Its HTTP status; 0 until its head is there.
    """

    def __init__(self, method: str = "GET") -> None:
        self.status = 0
        self._method = method
        self._head = b""
        self._body: Plain | Chunked | None = None

    @property
    def begun(self) -> bool:
        """Whether its head is there."""
        return self._body is not None

    @property
    def ended(self) -> bool:
        """Whether all of it is there."""
        return self._body is not None and self._body.ended

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of the body that are in what has come.

        Raises:
            http.client.BadStatusLine: It is not HTTP.
            ValueError: Its head has no end, or a chunk no length.
        """
        if self._body is None:
            data = self._feed_head(data)
        return self._body.feed(data) if self._body else b""

    def finish(self) -> None:
        """Hear that the connection has ended.

        Raises:
            http.client.HTTPException: More was to come.
        """
        if self._body is None and not self._head.startswith(b"HTTP/"[: len(self._head)]):
            raise http.client.BadStatusLine(self._head[:200].decode("latin-1"))
        if self._body is None:
            raise http.client.RemoteDisconnected("it closed the connection without an answer")
        if not (self._body.ended or self._body.ends_with_connection):
            raise http.client.IncompleteRead(b"")
        self._body.ended = True

    def _feed_head(self, data: bytes) -> bytes:
        self._head += data
        head, mark, rest = self._head.partition(END_OF_HEAD)
        if mark:
            self.status, self._body = body_of(head, self._method)
        elif len(self._head) > LARGEST_HEAD:
            raise ValueError("an answer whose headers do not end")
        return rest


def body_of(head: bytes, method: str = "GET") -> tuple[int, Plain | Chunked]:
    """Return the status of an answer with this head, and what its body is.

    Raises:
        http.client.BadStatusLine: It is not HTTP.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise http.client.BadStatusLine(first[:200])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(rest[:3]), _choose(int(rest[:3]), headers, method)


def _choose(status: int, headers: dict[str, str], method: str) -> Plain | Chunked:
    if status == SWITCHING_PROTOCOLS:
        return Plain()
    if method == "HEAD" or status in (NO_CONTENT, NOT_MODIFIED):
        return Plain(0)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Chunked()
    if "content-length" in headers:
        return Plain(int(headers["content-length"]))
    return Plain()
