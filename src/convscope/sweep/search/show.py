"""What a person is told of a search: what is left of it, and what it has found."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.console import Console

from convscope.metrics import Metric
from convscope.sweep.progress import clock
from convscope.sweep.search.space import Candidate, Space
from convscope.sweep.search.trials import Trial, begun, known_trials
from convscope.sweep.search.words import outcomes, value_words
from convscope.tables import line, print_list
from convscope.text import counted


def space_words(space: Space, candidates: Sequence[Candidate]) -> str:
    """`12 combinations are 10 variants, 3 of them impossible`."""
    impossible = sum(not one.is_possible for one in candidates)
    of_them = f", {impossible} of them impossible" if impossible else ""
    return (
        f"{counted(space.size, 'combination')} {'is' if space.size == 1 else 'are'}"
        f" {counted(len(candidates), 'variant')}{of_them}"
    )


def show_plan(
    candidates: Sequence[Candidate],
    objectives: Sequence[Metric],
    most: int,
    console: Console,
) -> None:
    """How many trials are known, how many are left, and how long these would take here.

    Which they will be is not known: the time is that of as many runs of the space's average.
    """
    from convscope.sweep.estimate import Estimator

    known = known_trials(candidates, objectives)
    ids = {trial.candidate.id for trial in known}
    rest = [one for one in candidates if one.id not in ids]
    left = max(0, min(most - len(known), len(rest)))
    estimator = Estimator()
    estimator.measure(one.run for one in rest)
    seconds = left * statistics.mean(estimator.seconds(one.run) for one in rest) if rest else 0
    if known:
        line(console, f"{counted(len(known), 'trial')} known: {outcomes(known)}")
    if begun(candidates):
        line(console, f"{len(begun(candidates))} begun, which come first")
    time = f"about {clock(seconds)} on this machine"
    line(console, f"{counted(left, 'trial')} left, with trials={most}; {time}")


def show_found(trials: Sequence[Trial], objectives: Sequence[Metric], console: Console) -> None:
    """The best variant, or with several objectives the Pareto front, first objective first."""
    measured = [trial for trial in trials if trial.values is not None]
    tags = " and ".join(objective.tag for objective in objectives)
    what = "Best" if len(objectives) == 1 else "Pareto front"
    heading = f"{what} by {tags}, of {counted(len(measured), 'variant')} measured:"
    print_list(
        console,
        heading,
        [
            f"{trial.record.variant}: {value_words(trial.values or (), objectives)}"
            for trial in best(measured, objectives)
        ],
    )


def best(trials: Sequence[Trial], objectives: Sequence[Metric]) -> list[Trial]:
    """The measured trials than which none is better; by the first objective, best first."""
    # Here: pandas takes long to import, and is not needed before.
    from pandas import DataFrame

    from convscope.analysis.pareto import unbeaten

    signs = [objective.sign for objective in objectives]
    table = DataFrame([trial.values for trial in trials], columns=range(len(signs))) * signs
    on_it = unbeaten(table).sort_values(list(table.columns), ascending=False, kind="stable")
    return [trials[place] for place in on_it.index]
