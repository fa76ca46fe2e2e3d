"""Holds a contract itself to account: each of its tests must pass what is right and fail what is broken."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import pytest

from botdock.errors import BotdockError

CAUGHT = (AssertionError, BotdockError, pytest.fail.Exception)
"""What a test of a contract fails with; another error would be a mutant that does not work."""


def tests_of(contract: type) -> set[str]:
    """Return the names of a contract's tests."""
    return {name for name in dir(contract) if name.startswith("test_")}


def call(contract: object, test: str, values: dict[str, Any]) -> None:
    """Call a test of a contract with those of the values that it takes."""
    method = getattr(contract, test)
    method(**{name: values[name] for name in inspect.signature(method).parameters if name in values})


def unbroken(contract: type, broken: Iterable[str]) -> set[str]:
    """Return which tests of a contract are shown nothing broken."""
    return tests_of(contract) - set(broken)
