"""Loads the testbed for every test of the repository; a member copied out of it needs nothing of this."""

import signal

pytest_plugins = [
    "testbed.fixtures",
    "testbed.foreign_fixtures",
    "testbed.minio_fixtures",
    "testbed.prometheus_fixtures",
    "testbed.registry_fixtures",
    "testbed.memory",
    "testbed.branches",
    "testbed.drills",
    "testbed.interpreters",
]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's `make test &`; tests of Ctrl-C would wait for ever
    signal.signal(signal.SIGINT, signal.default_int_handler)
