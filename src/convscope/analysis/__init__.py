"""Runs compared: one table, its statistics, figures, a report, and a tab in TensorBoard.

Reads only records. Nothing heavy is imported before it is called: TensorBoard imports this package
at every start.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["load"]


def load(*paths: str | Path) -> DataFrame:
    """The runs below these folders as a table, one row per run; `frame` says which columns.

    What differs between the runs comes first, then the results; `record` and `id` come last.
    What cannot be read is warned of by name.

    Args:
        paths: studies, folders of studies, or single runs; by default `outputs`.

    Raises:
        UserError: there is no such folder.
    """
    from convscope.analysis.frame import Reader, results_first

    runs, unreadable = Reader([Path(path) for path in paths or ("outputs",)]).read()
    for left in unreadable:
        warnings.warn(f"skipped, unreadable: {left.reason}", stacklevel=2)
    return results_first(runs)
