"""The files of a container, the format of its log, and what may be said to its supervisor."""

import struct

PLAN = "plan.json"
"""What to run; has the bot's environment in it, so the supervisor deletes it as soon as it is read."""
SUPERVISOR = "supervisor.json"
"""Which process the supervisor is: `pid` and `identity`. Its existence says that the container was started."""
BOT = "bot.json"
"""Which process the bot is: `pid`, `identity`, `started_at`."""
EXIT = "exit.json"
"""How it ended: `exit_code signal started_at finished_at max_rss_kib error output_limited`, and `logged`, the bytes of
stdout and of stderr that the log was given. Written last: the log is complete."""
LOG = "log."
"""What the bot wrote, in files of this name and a number; the oldest ones may be gone. Each is a `HEAD` and frames of
`FRAME` and that many bytes, and appears with its head; to one that is followed by another nothing is added."""
CONTROL = "control"
"""A FIFO that the supervisor reads lines from: `BELL`, or `STOP` with the seconds of grace."""
BELLS = "bells"
"""A folder of FIFOs, one for each reader of the log: the supervisor writes a byte into each when there is news."""

HEAD = struct.Struct("<QQ")
"""How many bytes of stdout and of stderr were logged before."""
FRAME = struct.Struct("<QIB")
"""Nanoseconds since the epoch, length of the data, stream."""
FREE_FRAMES = 256 * 1024
"""Bytes that the frames of a file may take beyond those of the bot in it, before tiny pieces wait for more."""
STDOUT = 1
STDERR = 2

BELL = b"bell"
STOP = b"stop"

CONNECTED = b"C"
"""The first byte that the supervisor writes into a bell."""
RUNG = b"!"

OUTPUT_HEADROOM = 1024 * 1024
"""Bytes beyond the limit on output that are logged before the bot is killed: time for the runner to do it itself."""
BURST = 8 * 1024 * 1024
"""Bytes beyond the limit that are kept of a bot that may write without an end: what a busy runner reads late."""
PARTS = 4
"""How many files hold what is kept of a bot that may write without an end; there is one more while they change."""


def log_name(number: int) -> str:
    """Return the name of a file of the log."""
    return f"{LOG}{number}"
