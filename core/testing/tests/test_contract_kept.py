"""A standard test of a contract cannot be dropped without a reason that every report shows."""

from __future__ import annotations

import pytest

import botdock_testing

CONTRACTS = [getattr(botdock_testing, name) for name in botdock_testing.__all__ if name.endswith("Contract")]


def names_of(contract: type) -> list[str]:
    return [name for name in dir(contract) if name.startswith("test_")]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_no_test_can_be_deleted_or_overridden(contract: type) -> None:
    for name in names_of(contract):
        with pytest.raises(TypeError, match=f"overrides {name} of the contract; give it another name"):
            type("Lax", (contract,), {name: lambda self: None})
        with pytest.raises(TypeError, match=f"overrides {name} "):
            type("Lax", (contract,), {name: None})


@pytest.mark.parametrize("contract", CONTRACTS)
def test_nor_by_a_class_beside_it_or_between_or_by_collecting_none(contract: type) -> None:
    name = names_of(contract)[0]
    with pytest.raises(TypeError, match=f"overrides {name} "):
        type("Lax", (type("Mixed", (), {name: None}), contract), {})
    with pytest.raises(TypeError, match="drops every test"):
        type("Lax", (contract,), {"__test__": False})


@pytest.mark.parametrize("contract", CONTRACTS)
def test_what_cannot_be_held_is_expected_to_fail_for_a_reason(contract: type) -> None:
    name = names_of(contract)[0]

    def override(self: object) -> None:
        raise AssertionError

    with pytest.raises(TypeError, match="overrides"):
        type("Lax", (contract,), {name: pytest.mark.xfail(reason=" ")(override)})
    honest = pytest.mark.xfail(reason="numbers have 15 digits")(override)
    for made in (type("Honest", (contract,), {name: honest}), type("Plain", (contract,), {"test_more": override})):
        assert names_of(made)
