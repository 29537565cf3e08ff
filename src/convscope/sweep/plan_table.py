"""The plan of a sweep in the terminal: a table of its runs, and the time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from convscope.geometry import pair_token
from convscope.sweep.estimate import Estimator
from convscope.sweep.plan import PlannedRun, cheap_first, run_labels
from convscope.sweep.progress import clock
from convscope.tables import Table, print_line, print_table
from convscope.text import MISSING, count, counted


def show_plan(runs: Sequence[PlannedRun], console: Console) -> dict[str, float]:
    """Print the state of every run, and the time left in all.

    Returns:
        The seconds that each run takes, by identity.
    """
    estimator = Estimator()
    estimator.measure(cheap_first(runs))
    print_table(plan_table(runs, estimator), console)
    for sentence in plan_sentences(runs, estimator):
        print_line(console, sentence)
    return {run.request.id: estimator.seconds(run) for run in runs}


def plan_table(runs: Sequence[PlannedRun], estimator: Estimator) -> Table:
    """Return a row per possible run, in the order of training."""
    possible = [run for run in cheap_first(runs) if run.state != "impossible"]
    columns = ("<variant", "seed", "<state", "map", "MACs", "params", "epochs left", "time")
    labels = run_labels(runs)
    rows = tuple(_row(run, labels[run.request.id], estimator) for run in possible)
    return Table(columns, rows)


def _row(run: PlannedRun, label: str, estimator: Estimator) -> tuple[str, ...]:
    geometry = run.request.geometry
    seconds = estimator.seconds(run)
    return (
        label,
        str(run.request.config.seed),
        run.state,
        pair_token(geometry.final_map),
        count(geometry.macs),
        count(geometry.params),
        str(run.epochs_left),
        clock(seconds) if seconds else MISSING,
    )


def plan_sentences(runs: Sequence[PlannedRun], estimator: Estimator) -> list[str]:
    """Return why runs are impossible or not measured, the number per state, and the time left."""
    labels = run_labels(runs)
    sentences = [
        f"{label}: {run.request.variant.impossible}"
        for label, run in {labels[run.request.id]: run for run in runs}.items()
        if run.request.variant.impossible is not None
    ]
    problems = {(labels[run.request.id], estimator.problem(run)): None for run in runs}
    sentences += [
        f"{variant} could not be measured: {problem}" for variant, problem in problems if problem
    ]
    states = Counter(run.state for run in runs)
    counts = ", ".join(f"{number} {state}" for state, number in states.items())
    seconds = sum(estimator.seconds(run) for run in runs)
    most = "at most " if any(run.request.config.prune for run in runs) else ""
    return [
        *sentences,
        f"{counted(len(runs), 'run')}: {counts}; {most}about {clock(seconds)} left on this machine",
    ]
