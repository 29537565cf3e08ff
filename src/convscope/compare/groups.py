"""Runs that differ in their seed alone, as one row: mean, spread, interval."""

from __future__ import annotations

import math

from pandas import DataFrame, Series

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
    groups = [_row(runs) for _, runs in table.groupby("group", sort=False)]
    return DataFrame(groups).set_index("group") if groups else DataFrame(columns=["runs"])


def _row(runs: DataFrame) -> dict[str, object]:
    first = runs.iloc[0]
    finished = runs[runs["status"] == "finished"]
    others = runs[runs["status"] != "finished"]
    counts = others["status"].value_counts()
    shared = {
        name: first[name]
        for name in runs.columns
        if name not in (*METRICS, *_OF_A_RUN) and runs[name].nunique(dropna=False) == 1
    }
    row: dict[str, object] = {
        "study": ", ".join(runs["study"].unique()),
        **shared,
        "runs": len(finished),
        "seeds": ", ".join(map(str, sorted(finished["seed"]))),
        "unfinished": ", ".join(f"{n} {status}" for status, n in counts.items()),
        "reason": others["reason"].iloc[0] if len(others) else None,
    }
    for metric in METRICS:
        row |= spread(finished[metric], metric)
    return row


def spread(values: Series, metric: str) -> dict[str, float]:
    """Mean, sample standard deviation, 95 % interval of the mean, least and largest value.

    The interval is mean +- t(0.975, n - 1) * s / sqrt(n), Student's.
    """
    from scipy.special import stdtrit

    measured = values.dropna()
    n, mean, std = len(measured), measured.mean(), measured.std(ddof=1)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * std / math.sqrt(n) if n > 1 else math.nan
    return {
        metric: mean,
        f"{metric}_std": std,
        f"{metric}_low": mean - half,
        f"{metric}_high": mean + half,
        f"{metric}_min": measured.min(),
        f"{metric}_max": measured.max(),
    }
