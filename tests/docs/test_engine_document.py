"""The engine of the how-to runs a bot, and what else it shows is the bundled member's own source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botdock import Config, EnginePlugin, Executable, PluginManager, Runner, hookimpl
from testbed.documents import blocks

ROOT = Path(__file__).parents[2]
BLOCKS = {block.language: block.text for block in blocks((ROOT / "docs/how-to/write-an-engine.md").read_text())}
LOWEST = 19
"""The niceness that none exceeds."""


def test_the_contract_that_is_shown_is_the_member_s_own() -> None:
    assert BLOCKS["py"] in (ROOT / "plugins/process_engine/tests/test_process_engine_contract.py").read_text()


def test_the_engine_that_is_shown_runs_a_bot(tmp_path: Path) -> None:
    shown: dict[str, Any] = {"__name__": "botdock_engine_polite"}
    exec(BLOCKS["python"], shown)

    class Module:
        @staticmethod
        @hookimpl
        def botdock_engines() -> Iterator[EnginePlugin]:
            def factory(config: Config) -> Any:
                return shown["PoliteEngine"](config.home_dir / "polite")

            yield EnginePlugin(name="polite", images=False, factory=factory)

    plugins = PluginManager.load()
    plugins.register(Module, name="polite")
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot/main.sh").write_text('nice >"$BOTDOCK_RESULT_FILE"\n')
    config = Config(engine="polite", home=str(tmp_path / "home"))
    with Runner(config, plugins=plugins) as runner:
        result = runner.run(Executable(id="polite", file_path=tmp_path / "bot"))
    assert result.value == min(os.nice(0) + 10, LOWEST)
