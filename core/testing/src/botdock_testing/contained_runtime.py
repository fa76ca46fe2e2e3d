"""What every runtime must do in a container, as tests that a third party runs against its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from botdock import Executable, Outcome, Runner
from botdock.model import Runtime, Stream
from botdock_testing._bot import PATIENCE
from botdock_testing._kept import Contract
from botdock_testing.pytest_plugin import FAKE, OPTION

__all__ = ["ContainedRuntimeContract"]

AWKWARD = "it's a $(touch pwned)\n"
"""Of a script, a config and a variable."""
BLOB = "x" * 1024 * 1024
EXIT_CODE, STOPPED_CODE = 7, 3
EVERYBODY_READS = 0o755


class ContainedRuntimeContract(Contract, contract=True):
    """Holds a runtime to its promises inside a container, where paths, user and environment are not those of a test.

    It adds to `RuntimeContract`, whose attributes it shares. It runs on the engine that `--botdock-engine` names, and
    is skipped without one; a subclass may give another `runner`. The runner knows the runtime where its plugin is
    installed.

    Example:
        Run with `pytest --botdock-engine oci`.

        ```python
        class TestRubyInContainer(ContainedRuntimeContract):
            runtime, echo, exits, waits = RUBY, TestRuby.echo, TestRuby.exits, TestRuby.waits
        ```

    Attributes:
        runtime: The runtime.
        echo: See `RuntimeContract`.
        exits: See `RuntimeContract`.
        waits: See `RuntimeContract`.
    """

    runtime: ClassVar[Runtime]
    echo: ClassVar[str]
    exits: ClassVar[str]
    waits: ClassVar[str]

    @pytest.fixture
    def runner(self, request: pytest.FixtureRequest) -> Runner:
        """Return a runner over the engine that the test is to run on."""
        if (request.config.getoption(OPTION) or FAKE) == FAKE:
            pytest.skip(f"name an engine that isolates: {OPTION} oci, or docker")
        runner: Runner = request.getfixturevalue("botdock_runner")
        return runner

    def test_a_bot_sees_what_it_was_given_and_nothing_of_the_hosts(
        self, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BOTDOCK_CONTRACT_CANARY", "sings-of-the-host")
        config = {"text": AWKWARD, "number": 1.5, "blob": BLOB}
        bot = self._bot(tmp_path, self.echo, script=AWKWARD.strip() + self.runtime.suffixes[0], config=config)
        result = runner.run(bot)
        assert (result.outcome, result.output) == (Outcome.SUCCEEDED, ""), result.message
        value: Any = result.value
        assert (value["id"], value["config"]) == (bot.id, config)
        assert value["environment"]["GIVEN"] == AWKWARD
        assert "BOTDOCK_CONTRACT_CANARY" not in value["environment"]

    def test_the_exit_code_is_the_bots_own(self, runner: Runner, tmp_path: Path) -> None:
        result = runner.run(self._bot(tmp_path, self.exits))
        assert (result.outcome, result.exit_code, result.output) == (Outcome.FAILED, EXIT_CODE, ""), result.message

    def test_a_line_is_out_at_once_and_a_stop_lets_the_bot_end_itself(self, runner: Runner, tmp_path: Path) -> None:
        execution = runner.start(self._bot(tmp_path, self.waits))
        written = b""
        for chunk in execution.stream():
            written += chunk.data if chunk.stream is Stream.STDOUT else b""  # a shell may say what was terminated
            if written == b"waiting\n":
                execution.stop(grace=PATIENCE)
        result = execution.wait(timeout=PATIENCE)
        assert result is not None, "it did not end"
        assert (result.outcome, result.exit_code) == (Outcome.STOPPED, STOPPED_CODE), result.message
        assert written == b"waiting\nstopped\n"

    def _bot(
        self, folder: Path, source: str, *, script: str | None = None, config: dict[str, Any] | None = None
    ) -> Executable:
        name = script or self.runtime.scripts["bot"][0]
        tree = folder / "bot"
        tree.mkdir()
        tree.chmod(EVERYBODY_READS)  # whatever the umask is: the bot is another user
        (tree / name).write_text(source, encoding="utf-8", newline="")
        return Executable(
            id="contained",
            runtime=self.runtime.name,
            file_path=str(tree),
            entrypoint_files={"bot": name},
            config=config or {},
            env={"GIVEN": AWKWARD},
            timeout=2 * PATIENCE,
        )
