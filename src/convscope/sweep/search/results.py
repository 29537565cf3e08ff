"""The results of a search: comparison, best variants, and reports. Imports pandas."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pandas import DataFrame
from rich.console import Console

from convscope.analysis.pareto import non_dominated
from convscope.metrics import Metric
from convscope.report.commands import show_comparison, write_reports
from convscope.runs.record import RunRecord
from convscope.sweep.search.loop import Search
from convscope.sweep.search.trials import Trial, values_text
from convscope.tables import RESUME, print_line, print_list, tensorboard_command
from convscope.text import counted

log = logging.getLogger(__name__)


def show_results(
    found: Search,
    objectives: Sequence[Metric],
    studies: Sequence[Path],
    command: str,
    console: Console,
) -> list[RunRecord]:
    """Print what a search found, and write its studies' reports.

    Returns:
        A record per trial, and that of the run that a signal ended.
    """
    records = [trial.record for trial in found.trials]
    if found.interrupted is not None:
        records.append(found.interrupted)
    show_comparison(records, console)
    _show_best(found.trials, objectives, console)
    if found.interrupted is not None:
        log.info(f"the search was stopped; {RESUME}")
    elif not found.untried:
        log.info("every variant of the space has been tried")
    print_line(console)
    print_line(console, tensorboard_command(records[0]))
    write_reports(studies, command, console)
    return records


def _show_best(trials: Sequence[Trial], objectives: Sequence[Metric], console: Console) -> None:
    """Print the best variant or, with several objectives, the Pareto front, best first."""
    measured = [trial for trial in trials if trial.values is not None]
    tags = " and ".join(objective.tag for objective in objectives)
    what = "Best" if len(objectives) == 1 else "Pareto front"
    heading = f"{what} by {tags}, of {counted(len(measured), 'variant')} measured:"
    print_list(
        console,
        heading,
        [
            f"{trial.record.variant}: {values_text(trial.values or (), objectives)}"
            for trial in _best(measured, objectives)
        ],
    )


def _best(trials: Sequence[Trial], objectives: Sequence[Metric]) -> list[Trial]:
    """Return the measured trials on the Pareto front, best by the first objective first."""
    signs = [objective.sign for objective in objectives]
    table = DataFrame([trial.values for trial in trials], columns=range(len(signs))) * signs
    front = non_dominated(table).sort_values(list(table.columns), ascending=False, kind="stable")
    return [trials[index] for index in front.index]
