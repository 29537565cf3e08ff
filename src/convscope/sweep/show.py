"""What a sweep shows: its plan, its table, and the reports that it leaves."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from convscope.runs.record import RunRecord
from convscope.tables import line, print_table

if TYPE_CHECKING:
    from convscope.sweep.plan import PlannedRun

log = logging.getLogger(__name__)


def show_plan(runs: Sequence[PlannedRun], console: Console) -> None:
    """What a sweep would do: every run, how far it is, and what is left of it."""
    from convscope.sweep.estimate import Estimator
    from convscope.sweep.plan import cheap_first
    from convscope.sweep.plan_table import plan_table, plan_words

    estimator = Estimator()
    estimator.measure(cheap_first(runs))
    print_table(plan_table(runs, estimator), console)
    for sentence in plan_words(runs, estimator):
        line(console, sentence)


def show_comparison(records: Sequence[RunRecord], console: Console) -> None:
    """What `compare.py` would show of these runs: a line per variant, over its seeds."""
    from convscope.analysis.frame import row, tabulate
    from convscope.analysis.select import select_runs
    from convscope.report.page import show
    from convscope.report.views import compared

    runs, _ = tabulate([row(record) for record in records])
    best_first = select_runs(runs, None, None, single=False)
    line(console)
    show(compared(best_first, single=False, width=console.width), console)


def write_reports(runs: Sequence[PlannedRun], command: str, console: Console) -> None:
    """Write the report of every study that has one of these runs.

    Args:
        command: what the user typed.
    """
    written = (run.request.directory for run in runs if run.request.directory.record.exists())
    for study in dict.fromkeys(directory.path.parent for directory in written):
        _write_report(study, command, console)


def _write_report(study: Path, command: str, console: Console) -> None:
    from convscope.sweep.report import report_study

    try:
        page = report_study(study, command)
    except Exception as error:  # noqa: BLE001 (the runs are done, and their table is printed)
        reason = " ".join(str(error).split()) or repr(error)
        log.warning("%s has no new report: %s", study, reason)
    else:
        line(console, f"report: {page}")
