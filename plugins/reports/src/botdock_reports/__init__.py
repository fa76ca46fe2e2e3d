"""What bots returned, for people: the form that is drawn, and one HTML page of one or more runs.

Example:
    ```python
    from pathlib import Path
    from botdock.executions import Executions
    from botdock_reports import render, run_of
    page = render([run_of(Executions(), name) for name in ("sma", "rsi")])
    Path("report.html").write_text(page)
    ```
"""

from botdock_reports._curve import curves, sparkline
from botdock_reports._form import Fault, Group, Metric, Plot, Reading, Series, Table, check, read, schema
from botdock_reports._page import render
from botdock_reports._run import Run, run_of

__all__ = [
    "Fault",
    "Group",
    "Metric",
    "Plot",
    "Reading",
    "Run",
    "Series",
    "Table",
    "check",
    "curves",
    "read",
    "render",
    "run_of",
    "schema",
    "sparkline",
]
