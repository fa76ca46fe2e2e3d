"""What the first line of a script asks for: the kernel and bash decide what it means."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from botdock_runtime_bash import check
from botdock_runtime_bash.runtime import BASH
from botdock_testing.runtime import bot

SHELLS = ["/bin/bash", "/usr/bin/env bash", "/usr/bin/env -S bash", "/usr/bin/env -Sbash", "/bin/sh", "/usr/bin/env sh"]
OPTIONS = ["-e", "-u", "-eu", "-a", "+e", "-o pipefail", "-euo pipefail", "-o errexit", "--norc", "--posix", "--", "-"]
BODY = """
trap 'echo end $?' EXIT
[ -z "$UNSET" ] && echo unset
false | true; echo "piped $?"
false
echo went on
"""


def plain(folder: Path) -> tuple[int, str] | None:
    """Return the exit code and the output of `./main.sh`, or None where the kernel does not run it."""
    (folder / "main.sh").chmod(0o755)
    try:
        done = subprocess.run(
            ["./main.sh"], cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.returncode, done.stdout


def gist(exit_code: int, output: str) -> tuple[bool, list[str]]:
    """Return what any sh does alike: they fail with exit codes of their own."""
    return exit_code == 0, [line for line in output.splitlines() if not line.startswith("end")]


@given(
    shell=st.sampled_from(SHELLS),
    options=st.lists(st.sampled_from(OPTIONS), max_size=2).map(" ".join),
    blank=st.sampled_from(["", " ", "\t"]),
    mark=st.sampled_from(["", "", "", "\ufeff"]),
    ending=st.sampled_from(["\n", "\n", "\n", "\r\n"]),
)
@settings(deadline=None)
@example(shell="/usr/bin/env -S bash", options="-eu -o pipefail", blank="", mark="", ending="\n")
@example(shell="/bin/sh", options="-u", blank="", mark="", ending="\n")
@example(shell="/bin/bash", options="-e", blank="", mark="", ending="\r\n")
@example(shell="/bin/bash", options="-e", blank="", mark="\ufeff", ending="\n")
def test_a_script_runs_as_by_its_own_name_or_is_refused(
    shell: str, options: str, blank: str, mark: str, ending: str
) -> None:
    source = f"{mark}#!{blank}{shell} {options}".rstrip() + ending + BODY
    with tempfile.TemporaryDirectory() as name, bot(BASH, source) as made:
        folder = Path(name)
        (folder / "main.sh").write_text(source, encoding="utf-8", newline="")
        refused = list(check.problems(folder, "main.sh"))
        wanted = plain(folder)
        assert refused or (mark, ending) == ("", "\n")
        if refused or wanted is None or not wanted[1]:
            return  # the kernel, env or the shell takes no such line
        ended = made.run()
    seen = ended.exit_code, ended.stdout.decode()
    assert seen == wanted or ("bash" not in shell and gist(*seen) == gist(*wanted))
