"""Runs that differ only in their seed, as one row: mean, spread, interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from pandas.api.typing import DataFrameGroupBy
from scipy.special import stdtrit

from convscope.metrics import METRICS, latencies, per_run

CONFIDENCE = 0.95
_OF_A_RUN = (
    *("study", "run", "path", "id", "seed", "status", "reason", "command", "record"),
    *("started_at", "ended_at", "duration_s"),
)


def grouped(table: DataFrame) -> DataFrame:
    """Return one row per group, indexed by `group`, in the table's order.

    Columns that all runs of a group share keep their name and value (`study` lists all). Added are

    - `runs`: number of finished runs, which the columns below describe; `seeds`: theirs, as text;
    - `unfinished`: number of other runs by status, such as `1 failed`; `reason`: of the first;
    - per latency, which the seeds of a variant share: `<metric>`, the median of those known;
    - per metric of which each run has a value: `<metric>` is the mean, `<metric>_std` the sample
      standard deviation (n - 1), `<metric>_low` and `<metric>_high` the 95 % interval of the mean
      (Student's t), `<metric>_min` and `<metric>_max`. NaN where nothing was measured; standard
      deviation and interval also with a single run. The interval of a share of images allows for
      its rounding to whole images: equal seeds do not make it vanish.

    Args:
        table: from `frame`.
    """
    if table.empty:
        return DataFrame(columns=["runs"])
    groups = table.groupby("group", sort=False)
    first = groups.head(1).set_index("group")
    of_runs = (*per_run(), *latencies(), *_OF_A_RUN)
    names = [name for name in first.columns if name not in of_runs]
    shared = groups[names].nunique(dropna=False) == 1
    # A group needs a name even where a damaged record names different data.
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
        # For an empty column, pandas chooses a numeric type.
        DataFrame({name: text.astype(object) for name, text in texts.items()}, first.index).fillna(
            {"seeds": "", "unfinished": ""}
        ),
        finished[latencies()].median().reindex(first.index),
        _spread(finished, first),
    ]
    return pd.concat(columns, axis="columns")


def _counts(statuses: Series) -> str:
    return ", ".join(f"{number} {status}" for status, number in statuses.value_counts().items())


def rounding_std(images: Any) -> Any:
    """Return the standard deviation that rounding to whole images hides: 1 / (images sqrt(12)).

    It is that of a uniform distribution over one step of 1 / images.
    """
    return 1 / (images * math.sqrt(12))


def hidden_std(metric: str, runs: DataFrame) -> Series:
    """Return the standard deviation that a metric's rounding hides, for each run; 0 without any.

    Args:
        metric: name of the metric.
        runs: rows with the column of `Metric.images`.
    """
    images, step = METRICS[metric].images, METRICS[metric].step
    if images is None:
        return Series(step / math.sqrt(12), runs.index)
    return rounding_std(runs[images].where(runs[images] > 0)).fillna(0.0)


def _spread(finished: DataFrameGroupBy, first: DataFrame) -> DataFrame:
    """Return mean, standard deviation, 95 % interval of the mean, minimum and maximum per group.

    The interval is mean ± t(0.975, n - 1) s / sqrt(n); s is at least what rounding hides.
    """
    # Most runs lack some metrics, and each takes time.
    known = [one for one in per_run() if finished.obj[one].notna().any()] or per_run()
    summary = finished[known].agg(["count", "mean", "std", "min", "max"]).reindex(first.index)
    columns: dict[str, Series] = {}
    for metric in known:
        stats = summary[metric]
        # The std of one value is NaN, and so is its interval.
        error = stats["std"].clip(lower=hidden_std(metric, first)) / np.sqrt(stats["count"])
        half = stdtrit((stats["count"] - 1).clip(lower=1), (1 + CONFIDENCE) / 2) * error
        columns |= {
            metric: stats["mean"],
            f"{metric}_std": stats["std"],
            f"{metric}_low": stats["mean"] - half,
            f"{metric}_high": stats["mean"] + half,
            f"{metric}_min": stats["min"],
            f"{metric}_max": stats["max"],
        }
    ends = ("", "_std", "_low", "_high", "_min", "_max")
    names = [f"{metric}{end}" for metric in per_run() for end in ends]
    return DataFrame(columns, first.index).reindex(columns=names).astype(float)
