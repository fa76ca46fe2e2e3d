"""The files of a container, the format of its log, and what may be said to its supervisor."""

import struct

PLAN = "plan.json"
"""What to run; has the bot's environment in it, so the supervisor deletes it as soon as it is read."""
SUPERVISOR = "supervisor.json"
"""Which process the supervisor is: `pid` and `identity`. Its existence says that the container was started."""
BOT = "bot.json"
"""Which process the bot is: `pid`, `identity`, `started_at`."""
EXIT = "exit.json"
"""How it ended: `exit_code signal started_at finished_at max_rss_kib error`. Written last: the log is complete."""
LOG = "log"
"""What the bot wrote: frames of `FRAME` and that many bytes."""
CONTROL = "control"
"""A FIFO that the supervisor reads lines from: `BELL`, or `STOP` with the seconds of grace."""
BELLS = "bells"
"""A folder of FIFOs, one for each reader of the log: the supervisor writes a byte into each when there is news."""

FRAME = struct.Struct("<QIB")
"""Nanoseconds since the epoch, length of the data, stream."""
STDOUT = 1
STDERR = 2

BELL = b"bell"
STOP = b"stop"

CONNECTED = b"C"
"""The first byte that the supervisor writes into a bell."""
RUNG = b"!"

OUTPUT_HEADROOM = 1024 * 1024
"""Bytes beyond the limit on output that are logged before the bot is killed: time for the runner to do it itself."""

ERROR_OUTPUT = "output limit"
"""How the error of a container begins whose bot was killed for writing too much."""
