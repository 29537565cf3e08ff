"""Settings apart: groups of different settings are never joined by a line or a mean."""

from __future__ import annotations

from pandas import DataFrame

from convscope.errors import UserError


def one_setting(runs: DataFrame, setting: str | None) -> tuple[DataFrame, str]:
    """The runs of one setting and what a title adds to say so, "" where there is but one.

    Args:
        setting: as the column has it; by default the one with the most finished runs.

    Raises:
        UserError: there is no such setting, or no run at all.
    """
    if runs.empty:
        raise UserError("there are no runs to draw")
    settings = list(runs["setting"].unique())
    if setting is None:
        counts = runs.groupby("setting", sort=False)["status"].agg(
            lambda s: (s == "finished").sum()
        )
        setting = str(counts.idxmax())
    if setting not in settings:
        raise UserError(f"setting must be one of {', '.join(settings)}, got {setting}")
    alone = runs[runs["setting"] == setting]
    return alone, f"{setting} (1 of {len(settings)} settings)" if len(settings) > 1 else ""


def by_setting(groups: DataFrame) -> list[tuple[str, DataFrame]]:
    """Groups by setting, those with the most groups first."""
    parts = [(str(name), part) for name, part in groups.groupby("setting", sort=False)]
    return sorted(parts, key=lambda part: -len(part[1]))
