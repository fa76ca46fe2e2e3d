"""Loads the testbed for every test of the repository; a member copied out of it needs nothing of this."""

pytest_plugins = ["testbed.fixtures", "testbed.minio_fixtures", "testbed.prometheus_fixtures", "testbed.branches"]
