"""Makes the picture of `docs/how-to/reports.md` from real runs.

From the folder `tests`: `python -m testbed.pictures`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from botdock import Config, DockerRunner, Executable
from botdock.executions import Executions
from botdock_reports import render, run_of
from testbed.browser import Browser

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs/how-to/report.png"
WIDTH, HEIGHT = 900, 1120


def main() -> None:
    """Run the example twice, and draw the beginning of the report of both."""
    with tempfile.TemporaryDirectory() as made:
        home, page = Path(made), Path(made) / "page.html"
        with DockerRunner(Config(engine="process", home=made)) as runner:
            for name, fast, slow in (("fast", 5, 30), ("slow", 10, 40)):
                runner.run(
                    Executable(
                        id=name,
                        entrypoint="backtest",
                        file_path=ROOT / "examples/sma-crossover",
                        config={"fast": fast, "slow": slow},
                    )
                )
        page.write_text(render([run_of(Executions(home), name) for name in ("fast", "slow")]))
        browser = Browser(home)
        try:
            PICTURE.write_bytes(browser.open(page, width=WIDTH).picture(HEIGHT))
        finally:
            browser.close()


if __name__ == "__main__":
    main()
