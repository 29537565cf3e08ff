"""Comparison of runs: their records as one table, its statistics, and findings in sentences."""

from __future__ import annotations

import warnings
from pathlib import Path

from pandas import DataFrame

from convscope.analysis.frame import Reader, results_first

__all__ = ["load"]


def load(*paths: str | Path) -> DataFrame:
    """Load the runs below these folders as a table with one row per run.

    `convscope.analysis.frame` lists the columns. Those that differ between the runs come first,
    then the results; `record` and `id` come last. Each unreadable run causes a warning.

    Args:
        paths: studies, folders of studies, packed studies, or single runs; by default `outputs`.

    Raises:
        UserError: a folder does not exist.
    """
    runs, unreadable = Reader([Path(path) for path in paths or ("outputs",)]).read()
    for run in unreadable:
        warnings.warn(f"skipped, unreadable: {run.reason}", stacklevel=2)
    return results_first(runs)
