"""Holds the coverage of branches alone: coverage's own bound mixes them with lines, of which there are many more."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

OPTION = "--min-branch-coverage"
_VERDICT = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option, which needs a JSON report of coverage."""
    parser.addoption(OPTION, type=float, metavar="PERCENT", help="fail below this coverage of branches")
    parser.addoption("--coverage-json", type=Path, default=Path(".cache/coverage.json"), help="where it is read")


def branch_coverage(report: Path) -> float:
    """Return the percentage of branches that were taken."""
    totals = json.loads(report.read_text())["totals"]
    return 100 * float(totals["covered_branches"]) / float(totals["num_branches"] or 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail a test that ends the tracing of this thread: no branch that is taken after it would count."""
    before = sys.gettrace()
    yield
    assert before is None or sys.gettrace() is before, f"{item.nodeid} puts back no trace function: sys.gettrace()"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session when too few branches were taken; the report has been written by now."""
    least = session.config.getoption(OPTION)
    if least is None or hasattr(session.config, "workerinput"):
        return
    found = branch_coverage(session.config.getoption("--coverage-json"))
    enough = found >= least
    session.config.stash[_VERDICT] = f"branch coverage: {found:.1f} %, {least:g} % are asked for"
    if not enough and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many branches were taken, above pytest's own last line."""
    if _VERDICT in config.stash:
        terminalreporter.write_line(config.stash[_VERDICT])
