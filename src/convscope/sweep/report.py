"""What a sweep leaves for people: the report of its study, beside the runs."""

from __future__ import annotations

from pathlib import Path

from convscope import report
from convscope.runs.study import read_study

PAGE, TEXT = "report.html", "report.md"


def report_study(study: Path, command: str) -> Path:
    """Write the study's report, as a page and as Markdown, unless what is there is of these runs.

    Args:
        command: what the user typed.

    Returns:
        Where the page lies.

    Raises:
        UserError: it cannot be written.
    """
    page, text = study / PAGE, study / TEXT
    if text.is_file() and report.is_current(page, *read_study(study)):
        return page
    # Here: pandas and Plotly take a second or two to import, and a finished sweep needs neither.
    from convscope.analysis.frame import Reader
    from convscope.analysis.select import select_runs

    runs, aside = Reader([study]).read()
    runs = select_runs(runs, None, None, single=False)
    # The page last: it says which runs both are of.
    for path in (text, page):
        report.write(runs, aside, path, command)
    return page
