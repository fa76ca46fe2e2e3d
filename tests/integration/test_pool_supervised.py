"""A supervisor keeps containers waiting for what `botdock start` asks for."""

from __future__ import annotations

import threading
from pathlib import Path

from botdock import Executable
from botdock.config import Config, PoolConfig, document, to_toml
from botdock.executions import Executions
from botdock.pool import read_reports
from botdock.supervisor import Supervisor, submit
from testbed.waiting import until

PATIENCE = 120.0


def test_what_is_started_goes_into_one_that_waits(quick_folder: Path) -> None:
    home, file = quick_folder / "home", quick_folder / "botdock.toml"
    config = Config(engine="process", home=str(home), pool=PoolConfig(sizes={"bash": 1, "bash-long-running": 1}))
    file.write_text(to_toml(document(config)))
    (quick_folder / "bot").mkdir()
    (quick_folder / "bot/main.sh").write_text("echo up\n")
    supervisor = Supervisor(file)
    thread = threading.Thread(target=supervisor.run, daemon=True)
    thread.start()
    try:
        for is_long_running in (False, True):
            until(
                lambda: [[kind.waiting for kind in one.kinds] for one in read_reports(home)] == [[1, 1]],
                timeout=PATIENCE,
            )
            bot = Executable(id="up", file_path=str(quick_folder / "bot"), is_long_running=is_long_running)
            record = submit(bot, config_file=file, spawn=False)
            executions = Executions(home)
            assert executions.wait(record.execution_id, timeout=PATIENCE).outcome == "succeeded"
            end = executions.inspect(record.execution_id)["end"]
            assert end["evidence"]["pool"]["waited"] >= 0
    finally:
        supervisor.hand_over()
        thread.join(PATIENCE)
    assert not list(home.glob("pool/*"))
