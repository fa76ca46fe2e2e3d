"""Loads the testbed for every test of the repository; a member copied out of it needs nothing of this."""

import pytest

pytest.register_assert_rewrite("botdock.testing")  # before any test imports a part of it by itself

pytest_plugins = [
    "testbed.fixtures",
    "testbed.minio_fixtures",
    "testbed.prometheus_fixtures",
    "testbed.memory",
    "testbed.branches",
    "testbed.drills",
]
