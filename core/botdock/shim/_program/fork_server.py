"""A process that has loaded all that a shim needs, and forks one for each container that it is told of.

It ends when the runner does, or closes its end of the socket; the shims go on.
"""

from __future__ import annotations

import gc
import os
from contextlib import suppress

from .files import identity_of
from .main import run_to_end

MESSAGE_BYTES = 64 * 1024
"""Of the longest message: the path of a folder."""
PASSED = 2
"""Descriptors with each message: where the shim answers, and where it says of what it crashed."""
_LEFT_OPEN = 4096
"""Descriptors below this are closed that the runner's own libraries may have left open."""


def serve() -> None:  # pragma: no cover - runs without site-packages, so where nothing is measured
    """Fork a shim for each message of the socket that is our standard input."""
    from _socket import CMSG_SPACE, dup, socket  # socket itself would take three times as long to load

    requests = socket(fileno=dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    os.closerange(3, requests.fileno())
    os.closerange(requests.fileno() + 1, _LEFT_OPEN)
    os.chdir("/")
    identity_of(os.getpid())  # loads the codec of what each shim reads
    with suppress(ImportError):
        import _ctypes  # noqa: F401 - each shim needs it
    gc.collect()
    gc.freeze()  # so that a collection in a shim copies no page of what it shares with us
    while True:
        folder, passed, _, _ = requests.recvmsg(MESSAGE_BYTES, CMSG_SPACE(PASSED * 4))
        if not folder:
            os._exit(0)
        answer, errors = memoryview(passed[0][2]).cast("i")
        if (child := os.fork()) == 0:
            if os.fork():  # so that the shim is not a child of ours
                os._exit(0)
            os.setsid()  # first: who kills a shim kills its group
            os.dup2(answer, 1)
            os.dup2(errors, 2)
            os.closerange(3, _LEFT_OPEN)
            run_to_end(os.fsdecode(folder))
        os.close(answer)
        os.close(errors)
        os.waitpid(child, 0)
