"""What `make demo` shows: a bot in each language, run by the installed command `botdock`.

First by the process engine, which needs nothing and isolates nothing; then in locked-down containers: by Docker where
it answers, else by crun or runc where one is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from botdock import Config, Executable, PluginManager
from botdock.errors import BotdockError
from botdock.factory import explain

EXAMPLES = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("botdock")

DEMOS = {
    "hello-python": ("python3", "--config", '{"name": "Ada"}'),
    "sma-crossover": ("python3", "--entrypoint", "backtest"),
    "commonjs-bot": ("node",),
    "bash-report": ("bash",),
}
"""Example, the program that it needs without Docker, and options."""

ENGINES = ("docker", "oci")
"""Those that isolate; the first that works is shown."""
VALUE_WIDTH = 400
NOT_OUR_PART = 125
"""What `botdock` exits with when it could not do its part, such as getting the image."""


def main() -> int:
    """Run them all; return 1 when one that could run did not succeed."""
    with tempfile.TemporaryDirectory(prefix="botdock-demo-") as home:
        os.environ |= {"BOTDOCK_HOME": home, "BOTDOCK_CONTAINERS__PULL_TIMEOUT": "120s"}
        failed = [name for name, (program, *_) in DEMOS.items() if has(program, name) and not run_plain(name)]
        engine = next(filter(isolates, ENGINES), None)
        for name in DEMOS if engine else ():
            run_isolated(name, str(engine))
    if not engine:
        print("\nTo run them isolated, start Docker or install crun: .venv/bin/botdock run examples/hello-python")
    if failed:
        print(f"not succeeded: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def has(program: str, name: str) -> bool:
    """Whether a program is there; says so in a line when it is not."""
    found = shutil.which(program) is not None
    if not found:
        print(f"\n== examples/{name}: left out, since {program} is not installed here")
    return found


def run_plain(name: str) -> bool:
    """Run an example by the process engine; its own output comes out on stderr as it is printed."""
    print(f"\n== examples/{name}, by the process engine", flush=True)
    done = subprocess.run(command(name, "process"), stdout=subprocess.PIPE, check=False)
    return show(done.stdout)


def run_isolated(name: str, engine: str) -> None:
    """Run an example in a container; what the engine cannot do here is said in a line."""
    print(f"\n== examples/{name}, isolated by the engine {engine}", flush=True)
    done = subprocess.run(command(name, engine), capture_output=True, check=False)
    said = done.stderr.decode(errors="replace")
    if done.returncode == NOT_OUR_PART:
        print(f"   not run: {said.splitlines()[0].removeprefix('botdock: ')}")
    else:
        print(said, end="")
        show(done.stdout)


def command(name: str, engine: str) -> list[str]:
    """Return the command line of an example."""
    return [str(COMMAND), "run", str(EXAMPLES / name), "--engine", engine, "--json", *DEMOS[name][1:]]


def show(document: bytes) -> bool:
    """Print result and outcome, and say whether the outcome is `succeeded`."""
    if not document:
        return False
    result = json.loads(document)
    value = json.dumps(result["value"])
    print(f"   result:  {value if len(value) <= VALUE_WIDTH else value[:VALUE_WIDTH] + ' ...'}")
    print(
        f"   outcome: {result['outcome']}, exit code {result['exit_code']}, {result['duration_seconds']:.2f} s",
        flush=True,
    )
    return bool(result["outcome"] == "succeeded")


def isolates(name: str) -> bool:
    """Whether an engine works here, and is allowed to; says why not in a line."""
    bot = Executable(id="demo", file_path=EXAMPLES / "hello-python")
    try:
        found = explain(Config.load(overrides={"engine": name}), PluginManager.load(), bot)
    except BotdockError as error:
        reasons = [f"the engine {name}: {error.message}"]
    else:
        reasons = [f"the engine {name}: {error.message}" for error in found.refusals]
        reasons += found.unknown if found.capabilities is None else ()
    for reason in reasons[:1]:
        print(f"\nLeft out: {reason.splitlines()[0]}")
    return not reasons


if __name__ == "__main__":
    sys.exit(main())
