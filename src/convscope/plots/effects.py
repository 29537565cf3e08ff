"""What kernel size, stride and padding do, each on its own: adjusted means, share of variance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.analysis.anova import SEEDS, Effects
from convscope.analysis.anova import effects as estimated
from convscope.geometry import FACTORS
from convscope.plots.marks import NEUTRAL
from convscope.plots.quantities import QUANTITIES, plain
from convscope.plots.settings import one_setting
from convscope.plots.stack import panel_title, stacked
from convscope.plots.style import ACCENT, figure
from convscope.plots.text import escaped, lines
from convscope.text import counted, percent

_ACCURACY = QUANTITIES["test_accuracy"]
_LEVEL, _TERM = 26, 26
"""Height of a row of the upper and of the lower panel, pixels."""
_NAMES = {factor.key: factor.title for factor in FACTORS}


@dataclass(frozen=True)
class Level:
    """A level of a factor as a row; `y` leaves a gap between factors."""

    y: float
    name: str
    mean: float
    low: float
    high: float
    runs: int

    @property
    def is_possible(self) -> bool:
        """False where main effects added up lead to an accuracy that there is not."""
        return not (self.mean < 0 or self.mean > _ACCURACY.most)


@dataclass(frozen=True)
class Shown:
    """What the figure shows, of runs of one setting.

    Args:
        setting: which, "" where there is but one.
        shares: parts of the variance that add up to 1, the seeds last.
        notes: what must be known of the means, a short line each.
    """

    setting: str
    notes: list[str]
    levels: list[Level]
    shares: dict[str, float]
    groups: list[str]


def effects(runs: DataFrame, setting: str | None = None) -> go.Figure:
    """Adjusted mean accuracy per level with its 95 % interval; below, each term's share.

    Args:
        runs: `frame`'s table.
        setting: which one to draw; by default that with the most finished runs.

    Raises:
        UserError: there is no such setting, nothing varies, or there are too few runs.
    """
    shown = shown_effects(runs, setting)
    rows = shown.levels[-1].y + 1
    titles = ["Effects on test accuracy", shown.setting, *shown.notes]
    layout = stacked(titles, [int(_LEVEL * rows), _TERM * len(shown.shares)])
    layout["annotations"] = [
        panel_title(0, "adjusted mean, 95 % interval"),
        panel_title(1, "share of the variance"),
    ]
    layout["xaxis"] |= {"tickformat": _ACCURACY.tick_format, "zeroline": False}
    layout["yaxis"] |= {
        "tickvals": [level.y for level in shown.levels],
        "ticktext": [escaped(level.name) for level in shown.levels],
        "range": [rows - 0.5, -0.5],
        "zeroline": False,
    }
    layout["xaxis2"] |= {
        "tickformat": ".0%",
        # Beside the longest bar there must be room for its number.
        "range": [0, 1.25 * max(filter(math.isfinite, shown.shares.values()))],
    }
    layout["yaxis2"] |= {"type": "category", "autorange": "reversed", "ticklabelstandoff": 4}
    layout["showlegend"] = False
    return figure([_means(shown), _bars(shown)], layout)


def shown_effects(runs: DataFrame, setting: str | None) -> Shown:
    """As `effects`, without the drawing."""
    alone, which = one_setting(runs, setting)
    found = estimated(alone)
    shares = {
        " x ".join(_NAMES.get(part, part) for part in str(term).split(" x ")): share
        for term, share in found.shares.items()
    }
    levels = _levels(found)
    return Shown(
        which,
        list(_notes(found, levels)),
        levels,
        shares,
        list(alone.loc[alone["status"] == "finished", "group"].unique()),
    )


def _levels(found: Effects) -> list[Level]:
    rows: list[Level] = []
    factors = list(found.levels["factor"].unique())
    low, high = (_ACCURACY.bounded(found.levels[end]) for end in ("low", "high"))
    # A mean from main effects only may itself lie outside.
    means = found.levels["mean"]
    levels = found.levels.assign(low=low.clip(upper=means), high=high.clip(lower=means))
    for number, (_, level) in enumerate(levels.iterrows()):
        factor = level["factor"]
        rows.append(
            Level(
                y=number + 0.5 * factors.index(factor),
                name=f"{_NAMES.get(factor, factor)} {level['level']}",
                mean=level["mean"],
                low=level["low"],
                high=level["high"],
                runs=level["runs"],
            )
        )
    return rows


def _notes(found: Effects, levels: Sequence[Level]) -> Iterator[str]:
    if found.main_effects_only:
        yield "main effects only, as variants are missing"
    if not all(level.is_possible for level in levels):
        yield "open circle: extrapolated beyond 0 to 100 %"


def _means(shown: Shown) -> dict[str, Any]:
    levels = shown.levels
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain(level.mean for level in levels),
        "y": [level.y for level in levels],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": plain(level.high - level.mean for level in levels),
            "arrayminus": plain(level.mean - level.low for level in levels),
            "width": 0,
            "thickness": 1.5,
        },
        "marker": {
            "size": 9,
            "color": ACCENT,
            "symbol": ["circle" if level.is_possible else "circle-open" for level in levels],
        },
        "hovertext": [_level_hint(level) for level in levels],
        "hoverinfo": "text",
        "customdata": [shown.groups] * len(levels),
    }


def _level_hint(level: Level) -> str:
    interval = (
        ""
        if math.isnan(level.low)
        else f" (95 % interval {percent(level.low)} to {percent(level.high)})"
    )
    return lines(
        level.name,
        f"{percent(level.mean)}{interval}",
        "" if level.is_possible else "extrapolated: no accuracy is beyond 0 to 100 %",
        counted(level.runs, "run"),
    )


def _bars(shown: Shown) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "x": plain(shown.shares.values()),
        "y": list(shown.shares),
        "xaxis": "x2",
        "yaxis": "y2",
        "marker": {"color": [NEUTRAL if term == SEEDS else ACCENT for term in shown.shares]},
        "text": [share_text(share) for share in shown.shares.values()],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "text",
        "hovertext": [f"{term}: {share_text(share)}" for term, share in shown.shares.items()],
        "customdata": [shown.groups] * len(shown.shares),
    }


def share_text(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"
