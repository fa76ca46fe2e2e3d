"""The log of one execution on disk: written by one, read by any, proved by counts and hashes.

`layout` says what the files are.
"""

from botdock.services.log_store.reader import Entry, LogReader, Position
from botdock.services.log_store.stored import StoredLog
from botdock.services.log_store.writer import LogWriter

__all__ = ["Entry", "LogReader", "LogWriter", "Position", "StoredLog"]
