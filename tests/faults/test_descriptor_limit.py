"""Many bots under a limit of open files that is too low for them: nothing of them is left, no secret above all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from botdock import Config, DockerRunner

BOTS, DESCRIPTORS = 25, 64
CANARY = "canary-51d7"
RUNNER = """
import resource, sys, threading
from botdock import BotdockError, Config, DockerRunner, Executable

home, code, bots, descriptors, canary = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors), int(descriptors)))
said = []


def run(runner, number):
    bot = Executable(id=f"bot-{number}", runtime="python311", file_path=code, secrets={"KEY": canary}, timeout=60.0)
    try:
        said.append(runner.run(bot).outcome.value)
    except (BotdockError, OSError) as error:
        said.append(type(error).__name__)


with DockerRunner(Config(engine="process", home=home)) as runner:
    threads = [threading.Thread(target=run, args=(runner, number)) for number in range(int(bots))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(" ".join(sorted(said)))
"""
BOT = "import time\n\ndef main(id, config):\n    time.sleep(0.5)\n"


def test_a_low_limit_of_open_files_leaves_no_workspace(tmp_path: Path) -> None:
    home, code = tmp_path / "home", tmp_path / "code"
    code.mkdir()
    (code / "main.py").write_text(BOT)
    arguments = [str(home), str(code), str(BOTS), str(DESCRIPTORS), CANARY]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *arguments], check=True, capture_output=True, text=True, timeout=240
    )
    print(done.stdout, done.stderr[-2000:])
    assert len(done.stdout.split()) == BOTS, "each has an end that is told"
    finished = {path.parent.name for path in home.glob("executions/*/outcome.json")}
    owed = {path.parent.name for path in home.glob("executions/*/workspace")} - finished
    print(f"{len(finished)} finished, {len(owed)} owed")
    with DockerRunner(Config(engine="process", home=str(home))) as runner:
        for execution in runner.recover():
            execution.wait(60)
        assert runner.leftovers() == []
        assert runner.list_managed_containers() == []
    assert [path for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()] == []
    for path in home.glob("executions/*"):
        assert json.loads((path / "outcome.json").read_text())["outcome"]
