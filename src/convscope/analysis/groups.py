"""Runs that differ in their seed alone, as one row: mean, spread, interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from pandas.api.typing import SeriesGroupBy
from scipy.special import stdtrit

from convscope.metrics import METRICS, measured

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
    return pd.concat(
        [
            groups["study"].agg(lambda studies: ", ".join(studies.unique())),
            first[names].where(shared).loc[:, shared.any()],
            finished.size().reindex(first.index, fill_value=0).rename("runs"),
            # Of no group at all, pandas makes numbers.
            DataFrame(
                {name: text.astype(object) for name, text in texts.items()}, first.index
            ).fillna({"seeds": "", "unfinished": ""}),
            *(
                spread(finished[metric], metric, _hidden(first, metric)).reindex(first.index)
                for metric in measured()
            ),
        ],
        axis="columns",
    )


def _counts(statuses: Series) -> str:
    return ", ".join(f"{number} {status}" for status, number in statuses.value_counts().items())


def _hidden(first: DataFrame, metric: str) -> Series | float:
    """Standard deviation that rounding to whole images hides, by group; 0 of other metrics."""
    images = METRICS[metric].images
    return 0.0 if images is None else hidden_std(first[images]).fillna(0.0)


def hidden_std(images: Any) -> Any:
    """Standard deviation that an accuracy on so many images hides where seeds agree.

    That of values spread evenly over a step of 1 / images: 1 / (images sqrt(12)).
    """
    return 1 / (images * math.sqrt(12))


def spread(values: SeriesGroupBy, metric: str, hidden: Series | float = 0.0) -> DataFrame:
    """Mean, sample standard deviation, 95 % interval of the mean, least and largest per group.

    The interval is mean +- t(0.975, n - 1) * s / sqrt(n), Student's.

    Args:
        hidden: least standard deviation of the interval, by group or of all.
    """
    n, mean, std = values.count(), values.mean(), values.std()
    # One value has no spread: its std is NaN, and with it the interval.
    known = std.clip(lower=hidden if isinstance(hidden, float) else hidden.reindex(std.index))
    half = stdtrit((n - 1).clip(lower=1), (1 + CONFIDENCE) / 2) * known / np.sqrt(n)
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
