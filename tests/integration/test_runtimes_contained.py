"""Runtimes in a container, held to what every runtime promises there: on oci, on Docker, or where an option says."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from botdock import Config, Runner
from botdock_testing import ContainedRuntimeContract

ROOT = Path(__file__).parents[2]


def contract_of(member: str) -> ModuleType:
    """Return the contract test of a runtime, whose scripts are those that run here."""
    path = ROOT / f"runtimes/{member}/tests/test_{member}_contract.py"
    spec = importlib.util.spec_from_file_location(f"contract_of_{member}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BASH, PERL = contract_of("bash").TestBash, contract_of("perl").TestPerl


class Isolated(ContainedRuntimeContract):
    @pytest.fixture
    def runner(self, request: pytest.FixtureRequest) -> Iterator[Runner]:
        """On the testbed's runc, unless `--botdock-engine` names another engine."""
        if request.config.getoption("--botdock-engine"):
            yield request.getfixturevalue("botdock_runner")
            return
        with Runner(request.getfixturevalue("oci_config")) as runner:
            yield runner


class TestBashInContainer(Isolated):
    runtime, echo, exits, waits = BASH.runtime, BASH.echo, BASH.exits, BASH.waits


@pytest.mark.docker
class TestBashInDocker(ContainedRuntimeContract):
    runtime, echo, exits, waits = BASH.runtime, BASH.echo, BASH.exits, BASH.waits

    @pytest.fixture
    def runner(self, docker_config: Config) -> Iterator[Runner]:
        with Runner(docker_config) as runner:
            yield runner


class TestPerlInContainer(Isolated):
    runtime, echo, exits, waits = PERL.runtime, PERL.echo, PERL.exits, PERL.waits
