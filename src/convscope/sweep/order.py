"""In which order a sweep trains, so that one that is stopped has something to compare."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.geometry import levels
from convscope.sweep.plan import PlannedRun


def cheap_first(runs: Sequence[PlannedRun], at_once: int = 1) -> list[PlannedRun]:
    """Seed by seed; of a seed first the cheapest runs that show a level nobody has shown yet.

    A level is a value of one of `geometry.FACTORS`; once each has been shown, the rest follows by
    MACs.

    Args:
        at_once: runs that are trained side by side; above 1 the rest of the last seed goes the
            other way, so that at the end no long run is waited for alone.
    """
    seeds = list(dict.fromkeys(run.request.config.seed for run in runs))
    return [
        run
        for seed in seeds
        for run in _of_one_seed(
            [run for run in runs if run.request.config.seed == seed],
            long_first=at_once > 1 and seed == seeds[-1],
        )
    ]


def _of_one_seed(runs: Sequence[PlannedRun], long_first: bool) -> list[PlannedRun]:
    by_cost = sorted(runs, key=_macs)
    shown: set[tuple[str, str]] = set()
    first = []
    for run in by_cost:
        if not _levels(run) <= shown:
            first.append(run)
            shown |= _levels(run)
    rest = [run for run in by_cost if run not in first]
    return first + (rest[::-1] if long_first else rest)


def _levels(run: PlannedRun) -> set[tuple[str, str]]:
    convs = run.request.variant.convs
    return set() if convs is None else set(levels(convs, "other").items())


def _macs(run: PlannedRun) -> int:
    geometry = run.request.variant.geometry
    return 0 if geometry is None else geometry.macs
