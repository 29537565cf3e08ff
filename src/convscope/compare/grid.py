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
from pandas import DataFrame, Series
from scipy.special import stdtrit

FACTORS = ("kernel_size", "stride", "padding_policy")
CONFIDENCE = 0.95
_POLICIES = ("valid", "half", "full")
_SAME = 1e-8
"""Relative size below which a number is a rounding error of one that counts."""

Array = NDArray[Any]
Term = tuple[str, ...]


class Grid:
    """Runs as points of a grid of levels, with the factors that vary.

    Args:
        levels: a column of text per factor of `FACTORS`, a row per run.
        y: what was measured, shape (runs,).
    """

    def __init__(self, levels: DataFrame, y: Array) -> None:
        self.levels, self.y = levels, y
        self.factors = [factor for factor in FACTORS if levels[factor].nunique() > 1]
        self.values = {f: sorted(levels[f].unique(), key=in_order) for f in self.factors}
        self.cells = DataFrame(
            list(itertools.product(*self.values.values())), columns=list(self.values)
        )
        self.terms: list[Term] = [
            term
            for size in range(1, len(self.factors) + 1)
            for term in itertools.combinations(self.factors, size)
        ]

    def model(self, terms: Sequence[Term]) -> Model:
        """The least-squares fit of these terms and a constant."""
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

    def design(self, levels: DataFrame, terms: Sequence[Term]) -> Array:
        """A column of ones, and per term its levels' combinations: shape (rows, columns).

        Each level but the last has a column, -1 at the last level: over the whole grid a factor's
        columns add up to nothing.
        """
        columns = [np.ones((len(levels), 1))]
        for term in terms:
            product = columns[0]
            for factor in term:
                coded = self._coded(levels[factor], factor)
                product = (product[:, :, None] * coded[:, None, :]).reshape(len(levels), -1)
            columns.append(product)
        return np.hstack(columns)

    def _coded(self, column: Series, factor: str) -> Array:
        *values, last = self.values[factor]
        return np.stack([(column == v).astype(float) - (column == last) for v in values], axis=1)


class Model:
    """A least-squares fit, by the pseudoinverse: columns that say the same share their weight.

    Args:
        terms: of `Grid.terms`.
    """

    def __init__(self, grid: Grid, terms: Sequence[Term]) -> None:
        self._grid, self.terms = grid, terms
        self._design = grid.design(grid.levels, terms)

    @cached_property
    def _inverse(self) -> Array:
        return np.linalg.pinv(self._design, rtol=_SAME)

    @cached_property
    def rank(self) -> int:
        return int(np.linalg.matrix_rank(self._design, rtol=_SAME))

    @property
    def df(self) -> int:
        """Degrees of freedom that the fit leaves."""
        return len(self._grid.y) - self.rank

    @cached_property
    def residual(self) -> float:
        """Residual sum of squares."""
        y = self._grid.y - self._grid.y.mean()
        return float(((y - self._design @ (self._inverse @ y)) ** 2).sum())

    @property
    def variance(self) -> float:
        """Residual variance; NaN where the fit leaves no degree of freedom."""
        return self.residual / self.df if self.df else math.nan

    def estimates(self, cells: DataFrame) -> bool:
        """Whether the mean of these cells follows from the measured ones (Searle 1971)."""
        row = self._row(cells)
        return bool(np.allclose(row @ self._inverse @ self._design, row, atol=_SAME))

    def mean(self, cells: DataFrame) -> tuple[float, float]:
        """The mean of these cells and half its 95 % interval's width; NaN where unknown."""
        if not self.estimates(cells):
            return math.nan, math.nan
        weights = self._row(cells) @ self._inverse
        error = math.sqrt(self.variance * float(weights @ weights))
        return float(weights @ self._grid.y), float(stdtrit(self.df, (1 + CONFIDENCE) / 2)) * error

    def _row(self, cells: DataFrame) -> Array:
        row: Array = self._grid.design(cells, self.terms).mean(axis=0)
        return row


def in_order(level: str) -> tuple[object, ...]:
    """Policies as they grow, then numbers by size: 3, 3x5, 5, 5.3.3, 11."""
    if level in _POLICIES:
        return (_POLICIES.index(level),)
    return (len(_POLICIES), [int(number) for number in re.findall(r"\d+", level)], level)
