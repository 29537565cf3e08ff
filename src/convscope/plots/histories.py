"""Each run's history as a curve of its group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pandas import DataFrame

from convscope.errors import UserError
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History

MOST_EPOCHS = 2_000
"""Of a curve, more than a figure has pixels; of a longer history fewer are drawn."""


@dataclass(frozen=True)
class Curve:
    """A metric of a group's runs.

    Args:
        runs: how many have it.
        values: by epoch, of the runs that got that far.
        every: 1, or the number of epochs of which one is in `values`.
    """

    runs: int
    values: dict[int, list[float]]
    every: int = 1

    @cached_property
    def means(self) -> list[float]:
        return [sum(values) / len(values) for values in self.values.values()]


def learned(runs: DataFrame, metric: str) -> tuple[dict[str, Curve], list[str]]:
    """The curve of each group that has one, and what could not be read.

    Where a group has finished runs these alone count: of its others the last epochs are missing.
    """
    found: dict[str, Curve] = {}
    unreadable: list[str] = []
    for group, paths in _counting(runs).items():
        series = []
        for path in paths:
            try:
                series.append(_series(Path(path), metric))
            except UserError as error:
                unreadable.append(str(error))
        epochs = sorted(set().union(*series))
        if epochs:
            every = -(-len(epochs) // MOST_EPOCHS)
            # The last one stays.
            drawn = epochs[::-every][::-1]
            values = {epoch: [one[epoch] for one in series if epoch in one] for epoch in drawn}
            found[group] = Curve(sum(map(bool, series)), values, every)
    return found, unreadable


def _counting(runs: DataFrame) -> dict[str, list[str]]:
    """The folders of each group's finished runs, of all where there is none."""
    folders: dict[str, dict[bool, list[str]]] = {}
    for group, status, path in zip(runs["group"], runs["status"], runs["path"], strict=True):
        folders.setdefault(group, {}).setdefault(status == "finished", []).append(path)
    return {group: of[max(of)] for group, of in folders.items()}


def _series(run: Path, metric: str) -> dict[int, float]:
    """The metric by epoch; {} where there is no history.

    Raises:
        UserError: the history is no regular file, cannot be read, or has an accuracy that is none.
    """
    path = RunDirectory(run).history
    series = {
        int(row["epoch"] or 0): float(value)
        for row in History(path).read()
        if (value := row[metric]) is not None and math.isfinite(value)
    }
    for epoch, value in series.items():
        if metric.endswith("/accuracy") and not 0 <= value <= 1:
            raise UserError(f"{path} epoch {epoch}: {metric} must be a share, 0 to 1, got {value}")
    return series
