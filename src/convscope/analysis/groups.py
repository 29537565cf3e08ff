"""Runs that differ only in their seed, as one row: mean, spread, interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from pandas.api.typing import DataFrameGroupBy
from scipy.special import stdtrit

from convscope.metrics import METRICS, measured

CONFIDENCE = 0.95
_OF_A_RUN = (
    *("study", "run", "path", "id", "seed", "status", "reason", "command", "record"),
    *("started_at", "ended_at", "duration_s"),
)


def grouped(table: DataFrame) -> DataFrame:
    """Return one row per group of `frame`'s table, indexed by `group`, in the table's order.

    The columns that all runs of a group share keep their name and value (`study` lists all), and

    - `runs`: how many finished; only these count below. `seeds`: which, as text;
    - `unfinished`: the others, by status, such as `1 failed`; `reason`: of the first of them;
    - per metric that varies from seed to seed: `<metric>` its mean, `<metric>_std` the sample
      standard deviation (n - 1), `<metric>_low` and `<metric>_high` the 95 % interval of the mean
      by Student's t, `<metric>_min` and `<metric>_max`. NaN where nothing was measured, spread and
      interval also with a single run. The interval of an accuracy knows that it is a whole number
      of images: seeds that agree to the last one do not make it vanish.
    """
    if table.empty:
        return DataFrame(columns=["runs"])
    groups = table.groupby("group", sort=False)
    first = groups.head(1).set_index("group")
    names = [name for name in first.columns if name not in (*measured(), *_OF_A_RUN)]
    shared = groups[names].nunique(dropna=False) == 1
    # A group has a name even where a damaged record of it says that its data are others.
    shared = shared.assign(**{name: True for name in ("label", "setting") if name in shared})
    is_finished = table["status"] == "finished"
    finished = table[is_finished].groupby("group", sort=False)
    others = table[~is_finished].groupby("group", sort=False)
    texts = {
        "seeds": finished["seed"].agg(lambda seeds: ", ".join(map(str, sorted(seeds)))),
        "unfinished": others["status"].agg(_counts),
        "reason": others["reason"].agg(lambda reasons: reasons.iloc[0]),
    }
    columns = [
        groups["study"].agg(lambda studies: ", ".join(studies.unique())),
        first[names].where(shared).loc[:, shared.any()],
        finished.size().reindex(first.index, fill_value=0).rename("runs"),
        # Of no group at all, pandas makes numbers.
        DataFrame({name: text.astype(object) for name, text in texts.items()}, first.index).fillna(
            {"seeds": "", "unfinished": ""}
        ),
        _spread(finished, first),
    ]
    return pd.concat(columns, axis="columns")


def _counts(statuses: Series) -> str:
    return ", ".join(f"{number} {status}" for status, number in statuses.value_counts().items())


def hidden_std(images: Any) -> Any:
    """Return the standard deviation that an accuracy on so many images hides where seeds agree.

    That of values spread evenly over a step of 1 / images: 1 / (images sqrt(12)).
    """
    return 1 / (images * math.sqrt(12))


def _spread(finished: DataFrameGroupBy, first: DataFrame) -> DataFrame:
    """Mean, sample standard deviation, 95 % interval of the mean, least and largest per group.

    The interval is mean +- t(0.975, n - 1) * s / sqrt(n), Student's; s is at least what rounding to
    whole images hides.
    """
    all_of = finished[measured()].agg(["count", "mean", "std", "min", "max"]).reindex(first.index)
    columns: dict[str, Series] = {}
    for metric in measured():
        of = all_of[metric]
        images = METRICS[metric].images
        hidden = 0.0 if images is None else hidden_std(first[images]).fillna(0.0)
        # One value has no spread: its std is NaN, and with it the interval.
        error = of["std"].clip(lower=hidden) / np.sqrt(of["count"])
        half = stdtrit((of["count"] - 1).clip(lower=1), (1 + CONFIDENCE) / 2) * error
        columns |= {
            metric: of["mean"],
            f"{metric}_std": of["std"],
            f"{metric}_low": of["mean"] - half,
            f"{metric}_high": of["mean"] + half,
            f"{metric}_min": of["min"],
            f"{metric}_max": of["max"],
        }
    return DataFrame(columns)
