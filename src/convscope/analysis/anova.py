"""What kernel size, stride and padding each do to a metric: effects, interactions, shares.

Least squares on the variants that live. A term counts by what it adds to all terms that do not
contain it (sums of squares of type II: Yates 1934, Langsrud 2003), and as many degrees of freedom
as the living cells can tell apart. In an unbalanced grid such sums overlap or leave a part open:
`Effects.shares` never shows more than there is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from scipy.special import fdtrc

from convscope.analysis.grid import Grid, Model, Term
from convscope.errors import UserError
from convscope.geometry import FACTORS

SEEDS = "seeds"
VARIANTS, CONFOUNDED = "variants", "confounded factors"
_ADDS_UP = 1e-6


@dataclass(frozen=True)
class Effects:
    """The analysis of one setting.

    Args:
        terms: A row per factor that varies, per interaction that the living cells show, and
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
        main_effects_alone: Whether `mean` leaves interactions out: empty cells of the grid hide
            what they would have added.
    """

    terms: DataFrame
    shares: Series
    levels: DataFrame
    main_effects_alone: bool


def effects(runs: DataFrame, metric: str = "test_accuracy") -> Effects:
    """Effects of kernel size, stride and padding policy on a metric of finished runs.

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
            "effects need runs that differ in conv and seed alone, "
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
            "effects need variants that differ in one factor alone, "
            f"got {' and '.join(grid.factors)} always changed together"
        )
    model = grid.richest()
    hidden = len(grid.factors) > 1 and len(model.terms) == len(grid.factors)
    levels = _levels(grid, model, measured)
    return Effects(terms, _partition(terms), levels, main_effects_alone=hidden)


def _terms(grid: Grid) -> DataFrame:
    full = grid.model(grid.terms)
    total = float(((grid.y - grid.y.mean()) ** 2).sum())
    rows: list[dict[str, object]] = []
    for term in grid.terms:
        others = [other for other in grid.terms if not set(term) <= set(other)]
        without, with_it = grid.model(others), grid.model([*others, term])
        df = with_it.rank - without.rank
        if df or len(term) == 1:
            gained = max(without.residual - with_it.residual, 0) if df else math.nan
            rows.append({"term": _name(term), "df": df, "sum_of_squares": gained})
    seeds = {"term": SEEDS, "df": full.df, "sum_of_squares": full.residual if full.df else math.nan}
    table = DataFrame([*rows, seeds])
    table["share"] = table["sum_of_squares"] / total
    table["f"] = table["sum_of_squares"] / table["df"].where(table["df"] > 0) / full.variance
    table["p_value"] = fdtrc(table["df"], full.df, table["f"])
    table.loc[table.index[-1], ["f", "p_value"]] = math.nan
    return table


def _partition(terms: DataFrame) -> Series:
    shares = terms.set_index("term")["share"].dropna()
    seeds = shares[shares.index == SEEDS]
    open_part = 1 - shares.sum()
    if open_part < -_ADDS_UP:
        return pd.concat([Series({VARIANTS: 1 - seeds.sum()}), seeds])
    confounded = Series({CONFOUNDED: open_part} if open_part > _ADDS_UP else {}, dtype=float)
    return pd.concat([shares.drop(seeds.index), confounded, seeds])


def _levels(grid: Grid, model: Model, runs: DataFrame) -> DataFrame:
    rows: list[dict[str, object]] = []
    for factor in grid.factors:
        for level in grid.values[factor]:
            of_it = runs[(grid.levels[factor] == level).to_numpy()]
            mean, half = model.mean(grid.cells[grid.cells[factor] == level])
            rows.append(
                {
                    "factor": factor,
                    "level": level,
                    "mean": mean,
                    "low": mean - half,
                    "high": mean + half,
                    "runs": len(of_it),
                }
            )
    return DataFrame(rows)


def levels_of(runs: DataFrame) -> DataFrame:
    """Each row's level of each factor as text: `3`, `5.3.3`, `half`, and `p1` where no policy fits.

    Args:
        runs: a row per run or group.
    """
    return DataFrame({factor.key: runs[f"{factor.key}_level"] for factor in FACTORS})


def _name(term: Term) -> str:
    return " x ".join(term)
