"""The runtime: which image and scripts it stands for, and the files that start a bot."""

from __future__ import annotations

from botdock import ResultFormat, Runtime, RuntimeCapabilities, shell_entrypoint
from botdock_runtime_bash.check import problems

BASH = Runtime(
    name="bash",
    aliases=("bash5",),
    summary="bash 5: the script itself; its result is what it writes to $BOTDOCK_RESULT_FILE",
    image="bash:5.2",
    interpreters=("bash",),
    suffixes=(".sh",),
    scripts={"bot": ("main.sh", "bot.sh", "run.sh"), "backtest": ("backtest.sh", "main.sh")},
    files=lambda: {"entrypoint.sh": shell_entrypoint("bash")},
    check=problems,
    capabilities=RuntimeCapabilities(result=ResultFormat.VALUE),
)
"""Jobs in bash, of any version."""
