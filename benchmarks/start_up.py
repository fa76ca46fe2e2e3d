"""What it costs to import botdock, to ask the command for help and for the newest of many executions.

Against starting Python at all; a name that no execution has is looked for in this process.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from botdock.errors import UserError
from botdock.executions import Executions
from botdock.model import new_execution_id

ROUNDS = 15
EXECUTIONS, BOTS = 5_000, 50
BOTDOCK = str(Path(sys.executable).with_name("botdock"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import botdock": [sys.executable, "-c", "import botdock"],
    "botdock --help": [BOTDOCK, "--help"],
    "botdock run --help": [BOTDOCK, "run", "--help"],
    "botdock ps -n 20": [BOTDOCK, "ps", "-n", "20"],
    "botdock inspect": [BOTDOCK, "inspect", "bot7"],
    "botdock plugins": [BOTDOCK, "plugins"],
}


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        fill(Path(home))
        time.sleep(2)  # until a change of the folder can be told from its time
        measure_commands(home)
        measure_unknown_name(Path(home))


def fill(home: Path) -> None:
    """Make the executions of many bots, as runners leave them."""
    for number in range(EXECUTIONS):
        execution_id, bot = new_execution_id(), f"bot{number % BOTS}"
        folder = home / "executions" / execution_id
        folder.mkdir(parents=True)
        request = {"execution_id": execution_id, "id": bot, "engine": "process", "entrypoint": "bot"}
        ended = {**request, "runtime": "python311", "outcome": "succeeded", "exit_code": 0}
        (folder / "request.json").write_text(json.dumps(request))
        (folder / "outcome.json").write_text(json.dumps(ended))


def measure_commands(home: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BOTDOCK"))}
    environment |= {"BOTDOCK_HOME": home}
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            before = busy()
            subprocess.run(command, env=environment, check=True, capture_output=True, cwd=home)
            if number:  # the first round compiles
                seconds[name].append(busy() - before)
    bare = statistics.median(seconds["python -c pass"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"{name:20} busy: median {median * 1000:6.1f} ms  least {min(values) * 1000:6.1f}"
            f"  over bare Python {(median - bare) * 1000:6.1f} ms  ratio {median / bare:5.2f}"
        )


def busy() -> float:
    """Return the seconds that the children so far have kept a processor busy, however many others wanted it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_unknown_name(home: Path) -> None:
    executions, seconds = Executions(home), []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with suppress(UserError):
            executions.get("no-such-bot")
        seconds.append(time.perf_counter() - started)
    print(f"{'an unknown name':20} median {statistics.median(seconds) * 1000:6.1f} ms")


if __name__ == "__main__":
    main()
