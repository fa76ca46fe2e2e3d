"""A runner to be killed: takes over what others left, starts some bots, and waits for the end of all.

    python runner_program.py ORDERS

ORDERS is a pickled pair: a configuration, and the executables to start.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

from botdock import DockerRunner


def main(orders: Path) -> None:
    """Do what was ordered, and say on stdout what is done."""
    config, executables = pickle.loads(orders.read_bytes())
    os.write(1, b"up\n")
    with DockerRunner(config) as runner:
        executions = runner.recover()
        executions += [runner.start(executable) for executable in executables]
        for execution in executions:
            execution.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
