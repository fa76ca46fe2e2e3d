"""Runtimes in a container of the oci engine, held to what every runtime promises there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from botdock import Config, DockerRunner
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
    def runner(self, make_oci_config: Callable[..., Config]) -> Iterator[DockerRunner]:
        with DockerRunner(make_oci_config()) as runner:
            yield runner


class TestBashInContainer(Isolated):
    runtime, echo, exits, waits = BASH.runtime, BASH.echo, BASH.exits, BASH.waits


class TestPerlInContainer(Isolated):
    runtime, echo, exits, waits = PERL.runtime, PERL.echo, PERL.exits, PERL.waits
