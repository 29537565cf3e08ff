"""What kernel size, stride and padding do, each on its own: adjusted means, share of variance."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame, Series

from convscope.analysis.anova import SEEDS, Effects
from convscope.analysis.anova import effects as estimated
from convscope.geometry import FACTORS
from convscope.metrics import METRICS
from convscope.plots.axes import bounded, error_bars
from convscope.plots.registry import GEOMETRY, SETTING, Figure, InReport
from convscope.plots.style import ACCENT, NEUTRAL, Panel, Trace, escaped, lines, scatter, subplots
from convscope.plots.table import one_setting, records, to_json_list
from convscope.text import counted, percent

_ACCURACY = METRICS["test_accuracy"]
_ROW = 26
"""Height of a row, pixels."""
_NAMES = {factor.key: factor.title for factor in FACTORS}


def effects(runs: DataFrame, setting: str | None = None) -> go.Figure:
    """Adjusted mean accuracy per level with its 95 % interval; below, each term's share.

    Args:
        runs: `frame`'s table.
        setting: which one to draw; by default that with the most finished runs.

    Raises:
        UserError: there is no such setting, nothing varies, or there are too few runs.
    """
    runs, which = one_setting(runs, setting)
    found = estimated(runs)
    levels = _levels(found)
    groups = list(runs.loc[runs["status"] == "finished", "group"].unique())
    titles = [
        "Effects on test accuracy",
        which,
        "main effects only, as variants are missing" if found.main_effects_only else "",
        "" if levels["is_possible"].all() else "open circle: extrapolated beyond 0 to 100 %",
    ]
    rows = levels["y"].iloc[-1] + 1
    means = Panel(
        "adjusted mean, 95 % interval",
        int(_ROW * rows),
        [_means(levels, groups)],
        {"tickformat": _ACCURACY.tick_format, "zeroline": False},
        {
            "tickvals": list(levels["y"]),
            "ticktext": [escaped(name) for name in levels["name"]],
            "range": [rows - 0.5, -0.5],
            "zeroline": False,
        },
    )
    shares = Panel(
        "share of the variance",
        _ROW * len(found.shares),
        [_bars(found.shares, groups)],
        # Beside the longest bar there must be room for its number.
        {"tickformat": ".0%", "range": [0, 1.25 * found.shares.max()]},
        {"type": "category", "autorange": "reversed", "ticklabelstandoff": 4},
    )
    return subplots(titles, [means, shares])


def _levels(found: Effects) -> DataFrame:
    """Return the levels with their `name` and `y`, which leaves a gap between factors.

    `is_possible` is False where main effects added up lead to an accuracy that there is not.
    """
    levels = found.levels
    # A mean from main effects only may itself lie outside.
    mean = levels["mean"]
    factor = levels["factor"].map(lambda key: _NAMES.get(key, key))
    return levels.assign(
        y=levels.index + 0.5 * levels["factor"].factorize()[0],
        name=factor + " " + levels["level"],
        low=bounded(_ACCURACY, levels["low"]).clip(upper=mean),
        high=bounded(_ACCURACY, levels["high"]).clip(lower=mean),
        is_possible=~((mean < 0) | (mean > _ACCURACY.most)),
    )


def _means(levels: DataFrame, groups: list[str]) -> Trace:
    mean, low, high = (levels[column] for column in ("mean", "low", "high"))
    return scatter(
        "markers",
        to_json_list(mean),
        list(levels["y"]),
        [_hint(**level) for _, level in records(levels)],
        error_x=error_bars(mean, low, high, ACCENT, 1.5),
        marker={
            "size": 9,
            "color": ACCENT,
            "symbol": ["circle" if one else "circle-open" for one in levels["is_possible"]],
        },
        customdata=[groups] * len(levels),
    )


def _hint(
    *, name: str, mean: float, low: float, high: float, runs: int, is_possible: bool, **_: Any
) -> str:
    interval = f" (95 % interval {percent(low)} to {percent(high)})"
    return lines(
        name,
        f"{percent(mean)}{'' if math.isnan(low) else interval}",
        "" if is_possible else "extrapolated: no accuracy is beyond 0 to 100 %",
        counted(runs, "run"),
    )


def _bars(shares: Series, groups: list[str]) -> Trace:
    terms = [
        " x ".join(_NAMES.get(factor, factor) for factor in str(term).split(" x "))
        for term in shares.index
    ]
    texts = ["–" if math.isnan(share) else f"{100 * share:.1f} %" for share in shares]
    return {
        "type": "bar",
        "orientation": "h",
        "x": to_json_list(shares),
        "y": terms,
        "marker": {"color": [NEUTRAL if term == SEEDS else ACCENT for term in terms]},
        "text": texts,
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "text",
        "hovertext": [f"{term}: {text}" for term, text in zip(terms, texts, strict=True)],
        "customdata": [groups] * len(terms),
    }


FIGURE = Figure(
    effects,
    order=21,
    view=GEOMETRY,
    choices=(SETTING,),
    reports=(
        InReport(
            "effects",
            "What each of them does on its own",
            "Above, the adjusted mean of each level, with the other factors' levels equally"
            " frequent, and its 95 % interval. Below, shares of the variance between runs, which"
            " add up to 100 %: of each factor; of interactions, what two factors do together beyond"
            " the sum of both; of seeds, what is left. Where variants are missing, what belongs to"
            " no single factor is confounded; factors that overlap are shown as variants together.",
        ),
    ),
)
