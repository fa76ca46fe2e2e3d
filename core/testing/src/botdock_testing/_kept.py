"""Keeps a standard test of a contract from being lost without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar


class Contract:
    """The base of all contracts.

    A subclass that names itself a contract, `class MyContract(Contract, contract=True)`, has its tests kept: what is
    derived from it may neither delete nor override one, unless what stands in its place is marked `xfail` and says why.
    A limit is then seen in every report, and a limit that is gone as well, since `xfail` is strict there.
    """

    _kept: ClassVar[dict[str, object]] = {}

    def __init_subclass__(cls, *, contract: bool = False) -> None:
        """Refuse to lose a test of the contract.

        Raises:
            TypeError: A test is deleted, overridden without a reason, or none of the class is collected.
        """
        super().__init_subclass__()
        if contract:
            cls._kept = {name: getattr(cls, name) for name in dir(cls) if name.startswith("test_")}
            return
        lost = [name for name, test in cls._kept.items() if getattr(cls, name, None) is not test]
        if unexcused := [name for name in lost if not any(_reasons(getattr(cls, name, None)))]:
            raise TypeError(
                f"{cls.__name__} overrides {', '.join(unexcused)} of the contract; give it another name, or, for what "
                'cannot be held, mark it @pytest.mark.xfail(reason="...") and call the test of the contract'
            )
        if cls._kept and getattr(cls, "__test__", True) is False:
            raise TypeError(f"{cls.__name__} sets __test__ = False, which drops every test of the contract")


def _reasons(test: object) -> Iterator[str]:
    """Yield why a test is expected to fail."""
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "xfail":
            yield str(mark.kwargs.get("reason", "")).strip()
