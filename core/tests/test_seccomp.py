"""The system calls that a bot may make."""

from __future__ import annotations

from botdock.seccomp import allow_list


def test_every_call_is_in_one_rule_but_for_those_whose_arguments_decide() -> None:
    rules = allow_list()["syscalls"]
    named = [name for rule in rules for name in set(rule["names"]) if not rule["args"]]
    assert len(named) == len(set(named))
    by_argument = {name for rule in rules for name in rule["names"] if rule["args"]}
    assert by_argument == {"clone", "personality", "socket", "socketpair"}
    assert by_argument.isdisjoint(named)
    assert all(rule["comment"] for rule in rules)
