"""Loads the testbed for every test of the repository; a member copied out of it needs nothing of this."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("botdock.testing")  # before any test imports a part of it by itself

pytest_plugins = [
    "testbed.fixtures",
    "testbed.minio_fixtures",
    "testbed.prometheus_fixtures",
    "testbed.memory",
    "testbed.branches",
    "testbed.drills",
]

settings.register_profile("botdock", deadline=None)  # no test asserts a time: machines differ, and are busy
settings.load_profile("botdock")
