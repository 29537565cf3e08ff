"""A grid of kernel sizes, strides and paddings, some cells empty, and linear models on it."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.special import stdtrit

CONFIDENCE = 0.95
_POLICIES = ("valid", "half", "full")
_SAME = 1e-8
"""Relative size below which a number is a rounding error of one that counts."""

Array = NDArray[Any]
Term = tuple[str, ...]


class Grid:
    """Runs as points of a grid of levels, with the factors that vary.

    Args:
        levels: a column of text per factor, by `geometry.FACTORS`' keys; a row per run.
        y: what was measured, shape (runs,).
    """

    def __init__(self, levels: DataFrame, y: Array) -> None:
        self.levels, self.y = levels, y
        self.factors = [factor for factor in levels if levels[factor].nunique() > 1]
        self.values = {f: sorted(levels[f].unique(), key=in_order) for f in self.factors}
        self.cells = DataFrame(itertools.product(*self.values.values()), columns=self.factors)
        self.terms: list[Term] = [
            term
            for size in range(1, len(self.factors) + 1)
            for term in itertools.combinations(self.factors, size)
        ]

    @cached_property
    def living(self) -> DataFrame:
        """The cells that have runs: their levels, number of `runs`, `mean` and `within`, the sum
        of squares around it.
        """
        of_cell = self.levels.assign(y=self.y).groupby(self.factors, sort=False)["y"]
        return of_cell.agg(
            runs="size", mean="mean", within=lambda y: float(((y - y.mean()) ** 2).sum())
        ).reset_index()

    def model(self, terms: Sequence[Term]) -> Model:
        """The least-squares fit of these terms and of all that lie within them."""
        return Model(self, terms)

    def richest(self) -> Model:
        """With interactions up to the highest order at which the living cells tell every level.

        With main effects alone where no order does.
        """
        for order in range(len(self.factors), 1, -1):
            model = self.model([term for term in self.terms if len(term) <= order])
            levels = (self.cells[self.cells[f] == v] for f in self.factors for v in self.values[f])
            if all(model.estimates(cells) for cells in levels):
                return model
        return self.model([term for term in self.terms if len(term) == 1])

    def design(self, cells: DataFrame, terms: Sequence[Term]) -> Array:
        """A column per combination of a term's levels, 1 in its cells: shape (cells, columns).

        The combinations of a term express all that those of a term within it do, and a constant.
        """
        largest = [term for term in terms if not any(set(term) < set(other) for other in terms)]
        columns = [self._combinations(cells, term) for term in largest]
        return np.hstack(columns) if columns else np.ones((len(cells), 1))

    def _combinations(self, cells: DataFrame, term: Term) -> Array:
        number, amount = np.zeros(len(cells), int), 1
        for factor in term:
            place = {value: place for place, value in enumerate(self.values[factor])}
            number = number * len(place) + cells[factor].map(place).to_numpy(int)
            amount *= len(place)
        return np.eye(amount)[number]


class Model:
    """A least-squares fit to the means of the living cells, each weighted by its runs.

    Args:
        terms: of `Grid.terms`.
    """

    def __init__(self, grid: Grid, terms: Sequence[Term]) -> None:
        self._grid, self.terms = grid, terms
        self._weight = np.sqrt(grid.living["runs"].to_numpy(float))
        design = self._weight[:, None] * grid.design(grid.living, terms)
        left, sizes, right = np.linalg.svd(design, full_matrices=False)
        self.rank = int((sizes > _SAME * sizes[0]).sum())
        # The rest is what the living cells do not tell apart.
        self._left, self._right = left[:, : self.rank], right[: self.rank]
        self._sizes = sizes[: self.rank]

    @property
    def df(self) -> int:
        """Degrees of freedom that the fit leaves."""
        return len(self._grid.y) - self.rank

    @cached_property
    def residual(self) -> float:
        """Residual sum of squares of the runs."""
        living = self._grid.living
        y = self._weight * (living["mean"] - self._grid.y.mean()).to_numpy()
        return float(((y - self._left @ (self._left.T @ y)) ** 2).sum() + living["within"].sum())

    @property
    def variance(self) -> float:
        """Residual variance; NaN where the fit leaves no degree of freedom."""
        return self.residual / self.df if self.df else math.nan

    def estimates(self, cells: DataFrame) -> bool:
        """Whether the mean of these cells follows from the living ones (Searle 1971)."""
        row = self._row(cells)
        return bool(np.allclose(self._right.T @ (self._right @ row), row, atol=_SAME))

    def mean(self, cells: DataFrame) -> tuple[float, float]:
        """The mean of these cells and half its 95 % interval's width; NaN where unknown."""
        if not self.estimates(cells):
            return math.nan, math.nan
        of_cell = self._left @ ((self._right @ self._row(cells)) / self._sizes)
        mean = float(of_cell @ (self._weight * self._grid.living["mean"].to_numpy()))
        error = math.sqrt(self.variance * float(of_cell @ of_cell))
        return mean, float(stdtrit(self.df, (1 + CONFIDENCE) / 2)) * error

    def _row(self, cells: DataFrame) -> Array:
        row: Array = self._grid.design(cells, self.terms).mean(axis=0)
        return row


def in_order(level: str) -> tuple[object, ...]:
    """Policies as they grow, then numbers by size: 3, 3x5, 5, 5.3.3, 11."""
    if level in _POLICIES:
        return (_POLICIES.index(level),)
    return (len(_POLICIES), [int(number) for number in re.findall(r"\d+", level)], level)
