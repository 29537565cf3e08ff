"""Settings apart: groups of different settings are never joined by a line or a mean."""

from __future__ import annotations

import pandas as pd
from pandas import DataFrame

from convscope.errors import UserError

MOST_PANELS = 8
SINGLE = "settings with one variant each"


def one_setting(runs: DataFrame, setting: str | None) -> tuple[DataFrame, str]:
    """The runs of one setting, and which it is for a title, "" where there is but one.

    Args:
        setting: as the column has it; by default the one with the most finished runs.

    Raises:
        UserError: there is no such setting, or no run at all.
    """
    if runs.empty:
        raise UserError("there are no runs to draw")
    settings = sorted(runs["setting"].unique())
    if setting is None:
        finished = (runs["status"] == "finished").groupby(runs["setting"], sort=False).sum()
        setting = str(finished.idxmax())
    if setting not in settings:
        raise UserError(f"setting must be one of {'; '.join(settings)}, got {setting}")
    which = f"{setting} (one of {len(settings)} settings)" if len(settings) > 1 else ""
    return runs[runs["setting"] == setting], which


def parts(groups: DataFrame) -> list[tuple[str, DataFrame]]:
    """Groups by setting, the largest first; the title is "" where there is but one setting.

    Those that are alone in their setting come last, together, as `SINGLE`.
    """
    by_setting = [(str(name), part) for name, part in groups.groupby("setting", sort=False)]
    if len(by_setting) == 1:
        return [("", groups)]
    several = [(name, part) for name, part in by_setting if len(part) > 1]
    single = [part for _, part in by_setting if len(part) == 1]
    ordered = sorted(several, key=lambda part: (-len(part[1]), part[0]))
    return [*ordered, (SINGLE, pd.concat(single))] if single else ordered
