"""What every runtime must do, as tests that a third party runs against its own."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("botdock_testing._runtime_tests")

from botdock_testing._bot import Bot, Ended, bot, need_interpreter  # noqa: E402 - imported after pytest was told
from botdock_testing._kept import Contract  # noqa: E402 - after their assertions are to be rewritten
from botdock_testing._runtime_tests import RuntimeTests  # noqa: E402 - after their assertions are to be rewritten

__all__ = ["Bot", "Ended", "RuntimeContract", "bot", "need_interpreter"]


class RuntimeContract(RuntimeTests, Contract, contract=True):
    """Holds a runtime to what `Runtime` and the contract with the bot promise, by running bots for real.

    They run as plain processes, so an interpreter on this machine is needed; without one the tests that run a bot are
    skipped, and say so. One that does not hold can be overridden only by one that is marked `xfail` with a reason.

    Example:
        ```python
        class TestRuby(RuntimeContract):
            runtime = RUBY
            echo = Path(__file__).with_name("echo.rb").read_text()
            exits = "exit 7"
            waits = "trap('TERM') { puts 'stopped'; exit 3 }; puts 'waiting'; sleep"
        ```

    Attributes:
        runtime: The runtime.
        echo: Source of a script that prints nothing, and whose result is an object: `id` and `config` as it got them,
            and `environment` with all of its variables.
        exits: Source of a script that prints nothing and exits with 7.
        waits: Source of a script that prints the line `waiting` and waits; on SIGTERM it prints the line `stopped` and
            exits with 3.
        digits: Significant digits that numbers in its JSON keep, such as 15 with the module of Perl's own; all of a
            double's unless it says less. A config is then held to arrive in full where its numbers have no more.
        surrogates: Whether its JSON takes half a surrogate pair, which is not a character.
    """
