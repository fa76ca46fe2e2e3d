"""Writes what its seed decides, to both streams, and returns what it wrote: bytes, lines and SHA-256 of each.

So the log can be held against it: not a byte may be missing, and none may be there twice.
"""

import hashlib
import random
import sys

SETTINGS = {"seed": 1, "bytes": 4 * 1024 * 1024, "line": 40, "longest": 256 * 1024, "binary": False}
OUT_OF_FOUR = ("stdout", "stdout", "stdout", "stderr")
LINES_AT_ONCE = 64


def main(id, config):
    settings = SETTINGS | config
    outputs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    written = {stream: Written() for stream in outputs}
    for stream, piece in pieces(**settings):
        outputs[stream].write(piece)
        outputs[stream].flush()
        written[stream].add(piece)
    return {stream: counts.summary() for stream, counts in written.items()}


def pieces(seed, bytes, line, longest, binary):
    """Yield a stream's name and what is written to it at once; some pieces end within a line, and so do both streams.

    Half of the lines are shorter than `line`; the longer, the more seldom, up to `longest`. With `binary`, they hold
    any byte but a newline.
    """
    chance = random.Random(seed)
    left = bytes
    while left > 0:
        stream = chance.choice(OUT_OF_FOUR)
        block = b"".join(make_line(chance, line, longest, binary) for _ in range(chance.randint(1, LINES_AT_ONCE)))
        block = block[:left]
        left -= len(block)
        middle = chance.randint(0, len(block))
        yield from ((stream, part) for part in (block[:middle], block[middle:]) if part)
    if bytes:
        yield "stderr", b"no newline at the end of stderr"
        yield "stdout", b"no newline at the end of stdout"


def make_line(chance, line, longest, binary):
    size = min(int(line * (chance.paretovariate(1.0) - 1)), longest)
    if binary:
        return chance.randbytes(size).replace(b"\n", b"\0") + b"\n"
    return chance.randbytes(size // 2 + 1).hex()[:size].encode() + b"\n"


class Written:
    """What was written to one stream."""

    def __init__(self):
        self.bytes = 0
        self.newlines = 0
        self.ends_in_a_line = False
        self.digest = hashlib.sha256()

    def add(self, piece):
        self.bytes += len(piece)
        self.newlines += piece.count(b"\n")
        self.ends_in_a_line = not piece.endswith(b"\n")
        self.digest.update(piece)

    def summary(self):
        lines = self.newlines + self.ends_in_a_line
        return {"bytes": self.bytes, "lines": lines, "sha256": self.digest.hexdigest()}
