"""The runtime: which image and scripts it stands for, and the files that start a bot."""

from __future__ import annotations

from botdock import ResultFormat, Runtime, RuntimeCapabilities, shell_entrypoint
from botdock_runtime_bash.check import MAX_BYTES, problems

_FIRST_LINE = """\
# The options of its first line, behind the name of the shell: `#!/bin/bash -e`, `#!/usr/bin/env -S bash -euo pipefail`.
OLDPWD= IFS=
{ read -r OLDPWD <"$SCRIPT_PATH"; } 2>/dev/null
case $OLDPWD in '#!'*) ;; *) OLDPWD= ;; esac
IFS=' \t'
set -f -- "$1" ${OLDPWD#??}
OLDPWD=$1
case ${2-} in env | */env) shift ;; esac
case ${2-} in -S) shift ;; esac
[ "$#" = 1 ] || shift
shift
set +f -- "$OLDPWD" "$@"
"""

BASH = Runtime(
    name="bash",
    aliases=("bash5",),
    summary="bash 5: the script itself; its result is what it writes to $BOTDOCK_RESULT_FILE",
    image="bash:5.2",
    interpreters=("bash",),
    suffixes=(".sh",),
    scripts={"bot": ("main.sh", "bot.sh", "run.sh"), "backtest": ("backtest.sh", "main.sh")},
    files=lambda: {"entrypoint.sh": shell_entrypoint("bash", before=_FIRST_LINE)},
    check=problems,
    checked_bytes=MAX_BYTES,
    capabilities=RuntimeCapabilities(result=ResultFormat.VALUE, late_secrets=True),
)
"""Jobs in bash, of any version."""
