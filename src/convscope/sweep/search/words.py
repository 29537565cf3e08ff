"""Trials in words, for lines and lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from convscope.metrics import Metric
from convscope.sweep.search.trials import Trial


def outcome_words(trial: Trial, objectives: Sequence[Metric]) -> str:
    """`k3-s2-p1 measured: validation 97.52 %, 34,000 samples/s`."""
    what = trial.record.reason
    if trial.values is not None:
        what = value_words(trial.values, objectives)
    elif trial.record.status == "finished":
        missing = [one.tag for one in objectives if trial.record.metrics.get(one.name) is None]
        what = f"the run has no {' and no '.join(missing)}"
    return f"{trial.record.variant} {trial.outcome}: {what}"


def value_words(values: Sequence[float], objectives: Sequence[Metric]) -> str:
    return ", ".join(
        objective.describe(value) for objective, value in zip(objectives, values, strict=True)
    )


def outcomes(trials: Sequence[Trial]) -> str:
    """`12 measured, 3 pruned`."""
    counts = Counter(trial.outcome for trial in trials)
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
