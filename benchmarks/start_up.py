"""What it costs to import botdock and to ask the command for help, against starting Python at all."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
BOTDOCK = str(Path(sys.executable).with_name("botdock"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import botdock": [sys.executable, "-c", "import botdock"],
    "botdock --help": [BOTDOCK, "--help"],
    "botdock run --help": [BOTDOCK, "run", "--help"],
    "botdock plugins": [BOTDOCK, "plugins"],
}


def main() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, env=environment, check=True, capture_output=True)
            if number:  # the first round compiles
                seconds[name].append(time.perf_counter() - started)
    bare = statistics.median(seconds["python -c pass"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"{name:20} median {median * 1000:6.1f} ms  max {max(values) * 1000:6.1f}"
            f"  over bare Python {(median - bare) * 1000:6.1f} ms  ratio {median / bare:5.2f}"
        )


if __name__ == "__main__":
    main()
