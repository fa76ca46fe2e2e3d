"""Which Docker the tests get on this machine."""

from __future__ import annotations

import os

import attrs

from testbed.cache import Slot
from testbed.console import TestbedError, say
from testbed.daemon import DEFAULT_HOST, PrivateDaemon, ping
from testbed.suites import wanted_suite

HELP = (
    "run the tests as root on a Debian-like system, where they install and start a Docker of their own, "
    "or start Docker and see that `docker info` works for you"
)


@attrs.frozen(kw_only=True)
class Engine:
    """A Docker that answers.

    Attributes:
        host: Its address, as in DOCKER_HOST.
        daemon: Our own daemon, or None for the user's.
    """

    host: str
    daemon: PrivateDaemon | None = None


def is_ci() -> bool:
    """Whether this is a CI run, where nothing may be skipped for want of Docker."""
    return os.environ.get("CI", "").casefold() in {"1", "true", "yes"}


def may_own_a_daemon() -> bool:
    """Whether we may start a daemon of our own."""
    return os.geteuid() == 0


def find_engine(daemon: PrivateDaemon | None) -> Engine:
    """Start `daemon`, or find the one that answers.

    Args:
        daemon: The one to start; None where we may own none.

    Raises:
        TestbedError: There is none; saying what was tried and what would help.
    """
    problem = "not root, so no private Docker was started"
    if daemon is not None:
        try:
            daemon.start()
        except TestbedError as error:
            problem = str(error)
        else:
            return Engine(host=daemon.host, daemon=daemon)
    host = os.environ.get("DOCKER_HOST", "")
    if not ping(host):
        raise TestbedError(
            f"no Docker engine: {problem}; nor does one answer at {host or 'the default socket'}; {HELP}"
        )
    say(f"using the Docker that answers at {host or 'the default socket'}; restart drills are skipped")
    return Engine(host=host or DEFAULT_HOST)


class Lease:
    """A private daemon in a slot of the cache, ours until it is given back.

    Args:
        suite: As `PrivateDaemon` takes it.
        kind: What is started.
    """

    def __init__(self, suite: str | None = None, kind: type[PrivateDaemon] = PrivateDaemon) -> None:
        suite = wanted_suite() if suite is None else suite
        self.slot = Slot(f"daemon-{suite}" if suite else "daemon")
        self.daemon = kind(self.slot.path, suite)
        self.daemon.stop()  # what a session left here that was killed itself

    def give_back(self) -> None:
        """Stop the daemon, keep its images for the next session."""
        self.daemon.stop()
        self.slot.free()
