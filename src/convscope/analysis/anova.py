"""What kernel size, stride and padding each do to a metric: effects, interactions, shares.

Least squares on a grid of kernel sizes, strides and paddings, some cells empty. A term counts by
what it adds to all terms that do not contain it (sums of squares of type II: Yates 1934, Langsrud
2003), and as many degrees of freedom as the filled cells can estimate. In an unbalanced grid such
sums overlap or leave a part open: `Effects.shares` never shows more than there is.
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
_ADDS_UP = 1e-6
_POLICIES = ("valid", "half", "full")
_SAME = 1e-8
"""Relative size below which a number is a rounding error of one that counts."""

Array = NDArray[Any]
Term = tuple[str, ...]


@dataclass(frozen=True)
class Effects:
    """The analysis of one setting.

    Args:
        terms: A row per factor that varies, per interaction that the filled cells show, and
            `seeds` for what runs of one variant differ in: `term` ("stride", "kernel_size x
            stride"), `df`, `sum_of_squares` (type II), `share` of it in the total (these add up to
            1 where each variant has as many runs and the grid has no holes; else show `shares`),
            `f`, `p_value`. NaN where a factor never varies without another, and where no variant
            has two runs.
        shares: Parts of the variance that add up to 1: of each term, of `CONFOUNDED` factors what
            belongs to no single term, and of `SEEDS`. Where the terms' parts overlap, so that they
            exceed 1, of all `VARIANTS` together and of `SEEDS`. No `SEEDS` where no variant has two
            runs.
        levels: A row per factor and level: `factor`, `level` as text, `mean` of the metric with
            the other factors' levels all equally frequent, `low` and `high` of its 95 % interval,
            and `runs`.
        main_effects_only: Whether `mean` leaves interactions out: empty cells of the grid hide
            what they would have added.
    """

    terms: DataFrame
    shares: Series
    levels: DataFrame
    main_effects_only: bool


def effects(runs: DataFrame, metric: str = "test_accuracy") -> Effects:
    """Estimate the effects of kernel size, stride, padding … on a metric of finished runs.

    Args:
        runs: `frame`'s table, of one setting.

    Raises:
        UserError: runs of more than one setting; nothing varies; all that varies varies together;
            every run has the same result.
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
    model = grid.richest()
    hidden = len(grid.factors) > 1 and len(model.terms) == len(grid.factors)
    return Effects(terms, _shares(terms), _levels(grid, model), main_effects_only=hidden)


def levels_of(runs: DataFrame) -> DataFrame:
    """Return each row's level of each factor as text: `3`, `5.3.3`, `half`; `p1` without a policy.

    Args:
        runs: a row per run or group.
    """
    return DataFrame({factor.key: runs[f"{factor.key}_level"] for factor in FACTORS})


def in_order(level: str) -> tuple[object, ...]:
    """Sort key of a level: policies as they grow, then numbers by size: 3, 3x5, 5, 5.3.3, 11."""
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
    if open_part < -_ADDS_UP:
        return pd.concat([Series({VARIANTS: 1 - seeds.sum()}), seeds])
    confounded = Series({CONFOUNDED: open_part} if open_part > _ADDS_UP else {}, dtype=float)
    return pd.concat([shares.drop(seeds.index), confounded, seeds])


def _levels(grid: Grid, model: Model) -> DataFrame:
    rows = []
    for factor, level in grid.each_level:
        mean, half = model.mean(grid.cells[grid.cells[factor] == level])
        number = int((grid.levels[factor] == level).sum())
        rows.append((factor, level, mean, mean - half, mean + half, number))
    return DataFrame(rows, columns=["factor", "level", "mean", "low", "high", "runs"])


class Grid:
    """Runs as points of a grid of levels, with the factors that vary.

    Args:
        levels: a column of text per factor, by `geometry.FACTORS`' keys; a row per run.
        y: what was measured, shape (runs,).

    Attributes:
        cells: every combination of levels, a column per factor that varies.
        filled: the cells that have runs: their levels, `size`, `mean` and `var` of their runs.
        terms: the factors and all their interactions.
    """

    def __init__(self, levels: DataFrame, y: Array) -> None:
        self.levels, self.y = levels, y
        self.factors = [factor for factor in levels if levels[factor].nunique() > 1]
        self.values = {f: sorted(levels[f].unique(), key=in_order) for f in self.factors}
        self.each_level = [(f, level) for f in self.factors for level in self.values[f]]
        self.cells = DataFrame(itertools.product(*self.values.values()), columns=self.factors)
        of_cell = levels.assign(y=y).groupby(self.factors, sort=False)["y"]
        self.filled = of_cell.agg(["size", "mean", "var"]).fillna({"var": 0.0}).reset_index()
        self.terms: list[Term] = [
            term
            for size in range(1, len(self.factors) + 1)
            for term in itertools.combinations(self.factors, size)
        ]

    def richest(self) -> Model:
        """Return the fit with interactions up to the highest order that estimates every level.

        With main effects only where no order does.
        """
        for order in range(len(self.factors), 1, -1):
            model = Model(self, [term for term in self.terms if len(term) <= order])
            if all(model.estimates(self.cells[self.cells[f] == v]) for f, v in self.each_level):
                return model
        return Model(self, [term for term in self.terms if len(term) == 1])

    def design(self, cells: DataFrame, terms: Sequence[Term]) -> Array:
        """Return a column per combination of a term's levels, 1 in its cells.

        The combinations of a term express all that those of a term within it do, and a constant.

        Returns:
            Shape (cells, columns).
        """
        columns = []
        for term in terms:
            if not any(set(term) < set(other) for other in terms):
                indices = [cells[f].map(self.values[f].index).to_numpy(int) for f in term]
                sizes = [len(self.values[f]) for f in term]
                columns.append(np.eye(math.prod(sizes))[np.ravel_multi_index(indices, sizes)])
        return np.hstack(columns) if columns else np.ones((len(cells), 1))


class Model:
    """A least-squares fit to the means of the filled cells, each weighted by its runs.

    Args:
        terms: of `Grid.terms`, with all that lie within them.
    """

    def __init__(self, grid: Grid, terms: Sequence[Term]) -> None:
        self._grid, self.terms = grid, terms
        self._weight = np.sqrt(grid.filled["size"].to_numpy(float))
        design = self._weight[:, None] * grid.design(grid.filled, terms)
        left, sizes, right = np.linalg.svd(design, full_matrices=False)
        self.rank = int((sizes > _SAME * sizes[0]).sum())
        # The rest is what the filled cells cannot estimate.
        self._left, self._right = left[:, : self.rank], right[: self.rank]
        self._sizes = sizes[: self.rank]

    @property
    def df(self) -> int:
        """Degrees of freedom that the fit leaves."""
        return len(self._grid.y) - self.rank

    @cached_property
    def residual(self) -> float:
        """Residual sum of squares of the runs."""
        filled = self._grid.filled
        y = self._weight * (filled["mean"] - self._grid.y.mean()).to_numpy()
        within = (filled["var"] * (filled["size"] - 1)).sum()
        return float(((y - self._left @ (self._left.T @ y)) ** 2).sum() + within)

    @property
    def variance(self) -> float:
        """Residual variance; NaN where the fit leaves no degree of freedom."""
        return self.residual / self.df if self.df else math.nan

    def estimates(self, cells: DataFrame) -> bool:
        """Whether the mean of these cells follows from the filled ones (Searle 1971)."""
        row = self._row(cells)
        return bool(np.allclose(self._right.T @ (self._right @ row), row, atol=_SAME))

    def mean(self, cells: DataFrame) -> tuple[float, float]:
        """Return the mean of these cells and half its 95 % interval's width; NaN where unknown."""
        if not self.estimates(cells):
            return math.nan, math.nan
        of_cell = self._left @ ((self._right @ self._row(cells)) / self._sizes)
        mean = float(of_cell @ (self._weight * self._grid.filled["mean"].to_numpy()))
        error = math.sqrt(self.variance * float(of_cell @ of_cell))
        return mean, float(stdtrit(self.df, (1 + CONFIDENCE) / 2)) * error

    def _row(self, cells: DataFrame) -> Array:
        row: Array = self._grid.design(cells, self.terms).mean(axis=0)
        return row
