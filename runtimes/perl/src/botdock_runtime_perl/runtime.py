"""The runtime: which image and scripts it stands for, and the files that start a bot."""

from __future__ import annotations

from botdock import ResultFormat, Runtime, RuntimeCapabilities, shell_entrypoint

_START = """'-M5;$|=1' "$SCRIPT_PATH\""""
"""Perl holds lines back when nobody watches; `$|` lets each out at once. `use 5` is what `-M` needs to carry it."""

PERL = Runtime(
    name="perl",
    summary="Perl 5: the script itself; its result is what it writes to $BOTDOCK_RESULT_FILE",
    image="perl:5-slim",
    interpreters=("perl",),
    suffixes=(".pl",),
    scripts={"bot": ("main.pl", "bot.pl"), "backtest": ("backtest.pl", "main.pl")},
    files=lambda: {"entrypoint.sh": shell_entrypoint("perl", _START)},
    capabilities=RuntimeCapabilities(result=ResultFormat.VALUE, late_secrets=True),
)
"""Programs in Perl, of any version from 5.10 on."""
