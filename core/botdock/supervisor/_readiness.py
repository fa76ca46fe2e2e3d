"""Tells a service manager how the supervisor is: the protocol of systemd's sd_notify(3), for units of Type=notify."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

_MICROSECONDS = 1e6


class ServiceManager:
    """The one that started us, where there is one; what cannot be told to it is not told."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")  # what we start is not the service
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        given = os.environ.pop("WATCHDOG_USEC", "")
        self._interval = int(given) / _MICROSECONDS / 3 if given.isdigit() and ours else None
        self._told = float("-inf")
        self._status = ""

    def tell(self, *states: str) -> None:
        """Send states such as `READY=1`."""
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0.0)
                sender.sendto("\n".join(states).encode(), self._address)

    def tell_status(self, text: str) -> None:
        """Say in a line what is done, where it has changed."""
        if text != self._status:
            self._status = text
            self.tell(f"STATUS={text}")

    def live(self) -> None:
        """Say that we are alive, as often as the service manager wants to hear it."""
        if self._interval is not None and time.monotonic() - self._told >= self._interval:
            self._told = time.monotonic()
            self.tell("WATCHDOG=1")
