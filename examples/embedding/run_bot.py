"""Embed botdock: run one bot, watch another, and say how both ended."""

import sys
from pathlib import Path

from botdock import Config, Executable, Runner

EXAMPLES = Path(__file__).parents[1]
HELLO = Executable(id="hello", runtime="python3.11", file_path=str(EXAMPLES / "hello-python"), config={"name": "Ada"})
ALERT = Executable(id="alert", runtime="nodejs20", file_path=str(EXAMPLES / "price-alert"), is_long_running=True)

engine = sys.argv[1] if len(sys.argv) > 1 else ""
with Runner(Config.load(overrides={"engine": engine})) as runner:
    result = runner.run(HELLO)
    print(result.outcome, result.exit_code, result.value)

    alert = runner.start(ALERT)
    print("first line:", next(iter(alert.logs(follow=True))).text)
    alert.stop()
    print(alert.result.outcome)
