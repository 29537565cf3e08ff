"""Analysis of variance: effects of kernel size, stride and padding on a metric, and interactions.

Least squares on a grid of kernel sizes, strides and paddings in which cells may be empty. Sums of
squares are of type II: what a term adds to all terms that do not contain it (Yates 1934, Langsrud
2003). A term has as many degrees of freedom as the filled cells can estimate. In an unbalanced grid
these sums may overlap or leave variance unassigned; `Effects.shares` always add up to 1.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series
from scipy.special import fdtrc, stdtrit

from convscope.errors import UserError
from convscope.geometry import FACTORS

SEEDS = "seeds"
VARIANTS, CONFOUNDED = "variants", "confounded factors"
CONFIDENCE = 0.95
_SHARE_TOLERANCE = 1e-6
_POLICIES = ("valid", "half", "full")
_TOLERANCE = 1e-8
"""Relative size below which a number is a rounding error."""

Array = NDArray[Any]
Term = tuple[str, ...]


@dataclass(frozen=True)
class Effects:
    """Analysis of variance of one setting.

    Args:
        terms: a row per factor that varies and per estimable interaction, and last a row `seeds`,
            the variation between runs of one variant. Columns: `term` ("stride", "kernel_size x
            stride"), `df`, `sum_of_squares` (type II), `share` of the total sum of squares, `f`,
            `p_value`. The shares add up to 1 in a balanced grid only; show `shares` instead. NaN
            for a factor that never varies independently of the others, and for `seeds` where no
            variant has two runs.
        shares: parts of the variance by name, which add up to 1: each term, `CONFOUNDED` (belongs
            to no single factor), and `SEEDS`. Where the terms' parts overlap and exceed 1, only
            `VARIANTS` (all terms together) and `SEEDS`. Without `SEEDS` where no variant has two
            runs.
        levels: a row per factor and level: `factor`, `level` as text, adjusted `mean` of the metric
            (all levels of the other factors weighted equally), `low` and `high` of its 95 %
            interval, and number of `runs`.
        main_effects_only: whether the adjusted means ignore interactions, because empty cells make
            these inestimable.
    """

    terms: DataFrame
    shares: Series
    levels: DataFrame
    main_effects_only: bool


def effects(runs: DataFrame, metric: str = "test_accuracy") -> Effects:
    """Estimate the effects of kernel size, stride, padding … on a metric of finished runs.

    Args:
        runs: table from `frame`, of one setting.
        metric: a column of it.

    Raises:
        UserError: the runs have several settings, fewer than two variants, equal results, or
            factors that all vary together.
    """
    measured = runs[(runs["status"] == "finished") & runs[metric].notna()]
    settings = measured["setting"].unique()
    if len(settings) > 1:
        raise UserError(
            "effects need runs that differ only in conv and seed, "
            f"got also {settings[0]!r} and {settings[1]!r}"
        )
    variants = measured["variant"].nunique()
    if variants < 2:
        raise UserError(
            "effects need finished runs of at least 2 variants, "
            f"got {variants} in {len(measured)} finished runs"
        )
    grid = Grid(levels_of(measured), measured[metric].to_numpy(float))
    if np.ptp(grid.y) == 0:
        raise UserError(
            f"effects need results that differ, got {metric} {grid.y[0]:g} in every run"
        )
    terms = _terms(grid)
    if not (terms["df"].iloc[:-1] > 0).any():
        raise UserError(
            "effects need variants that differ in only one factor, "
            f"got {' and '.join(grid.factors)} always changed together"
        )
    model = grid.largest_estimable()
    hidden = len(grid.factors) > 1 and len(model.terms) == len(grid.factors)
    return Effects(terms, _shares(terms), _levels(grid, model), main_effects_only=hidden)


def levels_of(runs: DataFrame) -> DataFrame:
    """Return the levels of all factors as text, a column per factor, a row per row of `runs`.

    Examples are `3`, `5.3.3` (one value per layer), `half`, and `p1` for padding without a policy.

    Args:
        runs: table of runs or of groups.
    """
    return DataFrame({factor.key: runs[f"{factor.key}_level"] for factor in FACTORS})


def level_order(level: str) -> tuple[object, ...]:
    """Return the sort key of a level: valid, half, full, then numbers as 3, 3x5, 5, 5.3.3, 11."""
    if level in _POLICIES:
        return (_POLICIES.index(level),)
    return (len(_POLICIES), [int(number) for number in re.findall(r"\d+", level)], level)


def _terms(grid: Grid) -> DataFrame:
    full = Model(grid, grid.terms)
    rows: list[tuple[str, int, float]] = []
    for term in grid.terms:
        others = [other for other in grid.terms if not set(term) <= set(other)]
        without, with_it = Model(grid, others), Model(grid, [*others, term])
        df = with_it.rank - without.rank
        if df or len(term) == 1:
            gained = max(without.residual - with_it.residual, 0) if df else math.nan
            rows.append((" x ".join(term), df, gained))
    rows.append((SEEDS, full.df, full.residual if full.df else math.nan))
    table = DataFrame(rows, columns=["term", "df", "sum_of_squares"])
    table["share"] = table["sum_of_squares"] / float(((grid.y - grid.y.mean()) ** 2).sum())
    table["f"] = table["sum_of_squares"] / table["df"].where(table["df"] > 0) / full.variance
    table["p_value"] = fdtrc(table["df"], full.df, table["f"])
    table.loc[table.index[-1], ["f", "p_value"]] = math.nan
    return table


def _shares(terms: DataFrame) -> Series:
    shares = terms.set_index("term")["share"].dropna()
    seeds = shares[shares.index == SEEDS]
    open_part = 1 - shares.sum()
    if open_part < -_SHARE_TOLERANCE:
        return pd.concat([Series({VARIANTS: 1 - seeds.sum()}), seeds])
    confounded = Series(
        {CONFOUNDED: open_part} if open_part > _SHARE_TOLERANCE else {}, dtype=float
    )
    return pd.concat([shares.drop(seeds.index), confounded, seeds])


def _levels(grid: Grid, model: Model) -> DataFrame:
    rows = []
    for factor, level in grid.each_level:
        mean, half = model.mean(grid.cells[grid.cells[factor] == level])
        number = int((grid.levels[factor] == level).sum())
        rows.append((factor, level, mean, mean - half, mean + half, number))
    return DataFrame(rows, columns=["factor", "level", "mean", "low", "high", "runs"])


class Grid:
    """Runs as cells of a grid of levels, with the factors that vary.

    Args:
        levels: from `levels_of`.
        y: the metric, shape (runs,).

    Attributes:
        cells: every combination of levels, a column per factor that varies.
        filled: the cells that have runs: their levels; `size`, `mean` and `var` of their runs.
        terms: the factors and all their interactions.
    """

    def __init__(self, levels: DataFrame, y: Array) -> None:
        self.levels, self.y = levels, y
        self.factors = [factor for factor in levels if levels[factor].nunique() > 1]
        self.values = {f: sorted(levels[f].unique(), key=level_order) for f in self.factors}
        self.each_level = [(f, level) for f in self.factors for level in self.values[f]]
        self.cells = DataFrame(itertools.product(*self.values.values()), columns=self.factors)
        by_cell = levels.assign(y=y).groupby(self.factors, sort=False)["y"]
        self.filled = by_cell.agg(["size", "mean", "var"]).fillna({"var": 0.0}).reset_index()
        self.terms: list[Term] = [
            term
            for size in range(1, len(self.factors) + 1)
            for term in itertools.combinations(self.factors, size)
        ]

    def largest_estimable(self) -> Model:
        """Return the model with interactions of the highest order that can estimate every level.

        Where no order can, return the main-effects model.
        """
        for order in range(len(self.factors), 1, -1):
            model = Model(self, [term for term in self.terms if len(term) <= order])
            if all(model.is_estimable(self.cells[self.cells[f] == v]) for f, v in self.each_level):
                return model
        return Model(self, [term for term in self.terms if len(term) == 1])

    def design(self, cells: DataFrame, terms: Sequence[Term]) -> Array:
        """Return the design matrix, shape (cells, columns): indicators of the terms' levels.

        A term needs no columns if another contains it: the columns of `a x b` span those of `a` and
        the constant.
        """
        columns = []
        for term in terms:
            if not any(set(term) < set(other) for other in terms):
                indices = [cells[f].map(self.values[f].index).to_numpy(int) for f in term]
                sizes = [len(self.values[f]) for f in term]
                columns.append(np.eye(math.prod(sizes))[np.ravel_multi_index(indices, sizes)])
        return np.hstack(columns) if columns else np.ones((len(cells), 1))


class Model:
    """A least-squares fit to the means of the filled cells, weighted by their number of runs.

    Args:
        grid: the runs.
        terms: some of `grid.terms`; each with all terms that it contains.
    """

    def __init__(self, grid: Grid, terms: Sequence[Term]) -> None:
        self._grid, self.terms = grid, terms
        self._weight = np.sqrt(grid.filled["size"].to_numpy(float))
        design = self._weight[:, None] * grid.design(grid.filled, terms)
        u, singular, vt = np.linalg.svd(design, full_matrices=False)
        self.rank = int((singular > _TOLERANCE * singular[0]).sum())
        # The filled cells cannot estimate the other directions.
        self._u, self._singular, self._vt = (
            u[:, : self.rank],
            singular[: self.rank],
            vt[: self.rank],
        )

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        return len(self._grid.y) - self.rank

    @cached_property
    def residual(self) -> float:
        """Residual sum of squares of the runs."""
        filled = self._grid.filled
        y = self._weight * (filled["mean"] - self._grid.y.mean()).to_numpy()
        within = (filled["var"] * (filled["size"] - 1)).sum()
        return float(((y - self._u @ (self._u.T @ y)) ** 2).sum() + within)

    @property
    def variance(self) -> float:
        """Residual variance; NaN without residual degrees of freedom."""
        return self.residual / self.df if self.df else math.nan

    def is_estimable(self, cells: DataFrame) -> bool:
        """Return whether the filled cells determine the mean of these cells (Searle 1971)."""
        row = self._row(cells)
        return bool(np.allclose(self._vt.T @ (self._vt @ row), row, atol=_TOLERANCE))

    def mean(self, cells: DataFrame) -> tuple[float, float]:
        """Return the mean of these cells and half the width of its 95 % interval.

        Both are NaN where the mean is not estimable.
        """
        if not self.is_estimable(cells):
            return math.nan, math.nan
        coefficients = self._u @ ((self._vt @ self._row(cells)) / self._singular)
        mean = float(coefficients @ (self._weight * self._grid.filled["mean"].to_numpy()))
        error = math.sqrt(self.variance * float(coefficients @ coefficients))
        return mean, float(stdtrit(self.df, (1 + CONFIDENCE) / 2)) * error

    def _row(self, cells: DataFrame) -> Array:
        row: Array = self._grid.design(cells, self.terms).mean(axis=0)
        return row
