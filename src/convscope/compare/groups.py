"""Runs that differ in their seed alone, as one row: mean, spread, interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from pandas.api.typing import SeriesGroupBy
from scipy.special import stdtrit

from convscope.compare.frame import METRICS

CONFIDENCE = 0.95
_OF_A_RUN = (
    *("study", "run", "path", "id", "seed", "status", "reason", "command", "record"),
    *("started_at", "ended_at", "duration_s"),
)


def grouped(table: DataFrame) -> DataFrame:
    """One row per group of `frame`'s table, indexed by `group`, in the table's order.

    The columns that all runs of a group share keep their name and value (`study` lists all), and

    - `runs`: how many finished; only these count below. `seeds`: which, as text;
    - `unfinished`: the others, by status, such as `1 failed`; `reason`: of the first of them;
    - per metric of `METRICS`: `<metric>` its mean, `<metric>_std` the sample standard deviation
      (n - 1), `<metric>_low` and `<metric>_high` the 95 % interval of the mean by Student's t,
      `<metric>_min` and `<metric>_max`. NaN where nothing was measured, spread and interval also
      with a single run.
    """
    if table.empty:
        return DataFrame(columns=["runs"])
    groups = table.groupby("group", sort=False)
    first = groups.head(1).set_index("group")
    names = [name for name in first.columns if name not in (*METRICS, *_OF_A_RUN)]
    shared = groups[names].nunique(dropna=False) == 1
    is_finished = table["status"] == "finished"
    finished = table[is_finished].groupby("group", sort=False)
    others = table[~is_finished].groupby("group", sort=False)
    texts = {
        "seeds": finished["seed"].agg(lambda seeds: ", ".join(map(str, sorted(seeds)))),
        "unfinished": others["status"].agg(_counts),
        "reason": others["reason"].agg(lambda reasons: reasons.iloc[0]),
    }
    return pd.concat(
        [
            groups["study"].agg(lambda studies: ", ".join(studies.unique())),
            first[names].where(shared).loc[:, shared.any()],
            finished.size().reindex(first.index, fill_value=0).rename("runs"),
            # Of no group at all, pandas makes numbers.
            DataFrame(
                {name: text.astype(object) for name, text in texts.items()}, first.index
            ).fillna({"seeds": "", "unfinished": ""}),
            *(spread(finished[metric], metric).reindex(first.index) for metric in METRICS),
        ],
        axis="columns",
    )


def _counts(statuses: Series) -> str:
    return ", ".join(f"{number} {status}" for status, number in statuses.value_counts().items())


def spread(values: SeriesGroupBy, metric: str) -> DataFrame:
    """Mean, sample standard deviation, 95 % interval of the mean, least and largest per group.

    The interval is mean +- t(0.975, n - 1) * s / sqrt(n), Student's.
    """
    n, mean, std = values.count(), values.mean(), values.std()
    # One value has no spread: its std is NaN, and with it the interval.
    half = stdtrit((n - 1).clip(lower=1), (1 + CONFIDENCE) / 2) * std / np.sqrt(n)
    return DataFrame(
        {
            metric: mean,
            f"{metric}_std": std,
            f"{metric}_low": mean - half,
            f"{metric}_high": mean + half,
            f"{metric}_min": values.min(),
            f"{metric}_max": values.max(),
        }
    )
