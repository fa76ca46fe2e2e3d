"""The runtime: which image and scripts it stands for, and the files that start a bot."""

from __future__ import annotations

from botdock import ResultFormat, Runtime, RuntimeCapabilities
from botdock_runtime_bash.check import problems


def files() -> dict[str, bytes]:
    """Return what starts a bot: `entrypoint.sh`, and the wrapper it becomes."""
    from importlib.resources import files as resources

    folder = resources(__package__).joinpath("files")
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}


BASH = Runtime(
    name="bash",
    aliases=("bash5",),
    summary="bash 5: the script itself; its result is what it writes to $BOTDOCK_RESULT_FILE",
    image="bash:5.2",
    interpreters=("bash",),
    suffixes=(".sh",),
    scripts={"bot": ("main.sh", "bot.sh", "run.sh"), "backtest": ("backtest.sh", "main.sh")},
    files=files,
    check=problems,
    capabilities=RuntimeCapabilities(result=ResultFormat.VALUE),
)
"""Jobs in bash; the wrapper needs bash 4.4 or newer, and any `env`."""
