"""The supervisor that `submit` starts in the background: `python -m botdock.supervisor STATE_FOLDER [CONFIG_FILE]`."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

from loguru import logger

from botdock.errors import BotdockError
from botdock.logging import enable
from botdock.supervisor import Supervisor, SupervisorRunsError
from botdock.supervisor._submission import LOG

_ROTATION = 8 * 1024 * 1024
_FORMAT = "{time:YYYY-MM-DDTHH:mm:ss.SSSZZ} {level} {message} {extra}"


def main(home: str, config_file: str | None = None) -> int:
    """Supervise until nothing is left to watch; return what to exit with."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each bot takes some
    enable()
    logger.remove()
    logger.add(
        Path(home) / LOG,
        level="INFO",
        format=_FORMAT,
        rotation=_ROTATION,
        retention=1,
        backtrace=False,
        diagnose=False,
    )
    try:
        supervisor = Supervisor(config_file, overrides={"home": home}, on_demand=True)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: supervisor.hand_over())
        supervisor.run()
    except SupervisorRunsError:  # another one that was started at the same time
        return 0
    except BotdockError as error:
        logger.bind(hint=error.hint).error("the supervisor cannot run: {}", error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
