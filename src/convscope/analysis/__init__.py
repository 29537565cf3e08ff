"""Comparison of runs: their records as one table, its statistics, and findings in sentences.

Heavy packages are imported when a function is called: TensorBoard imports this package at every
start.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["load"]


def load(*paths: str | Path) -> DataFrame:
    """Load the runs below these folders as a table with one row per run.

    `convscope.analysis.frame` lists the columns. Those that differ between the runs come first,
    then the results; `record` and `id` come last. Each unreadable run causes a warning.

    Args:
        paths: studies, folders of studies, or single runs; by default `outputs`.

    Raises:
        UserError: a folder does not exist.
    """
    from convscope.analysis.frame import Reader, results_first

    runs, unreadable = Reader([Path(path) for path in paths or ("outputs",)]).read()
    for run in unreadable:
        warnings.warn(f"skipped, unreadable: {run.reason}", stacklevel=2)
    return results_first(runs)
