"""Effects of kernel size, stride and padding: adjusted means and shares of variance."""

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
"""Height of a row, in pixels."""
_NAMES = {factor.key: factor.title for factor in FACTORS}


def effects(runs: DataFrame, setting: str | None = None) -> go.Figure:
    """Draw adjusted mean accuracies per level with 95 % intervals, and shares of variance per term.

    Args:
        runs: table from `frame`.
        setting: the setting to draw; by default the one with the most finished runs.

    Raises:
        UserError: the setting does not exist, nothing varies, or there are too few runs.
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
        # Leaves room for the number beside the longest bar.
        {"tickformat": ".0%", "range": [0, 1.25 * found.shares.max()]},
        {"type": "category", "autorange": "reversed", "ticklabelstandoff": 4},
    )
    return subplots(titles, [means, shares])


def _levels(found: Effects) -> DataFrame:
    """Return the levels with `name`, `y` (with gaps between factors) and `is_possible`.

    `is_possible` is false for a mean outside 0 to 1, which the main-effects model can predict.
    """
    levels = found.levels
    # The clipped interval must still contain a mean outside 0 to 1.
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
            "Effect of each factor",
            "Above, the adjusted mean of each level (the levels of all other factors weighted"
            " equally) with its 95 % interval. Below, shares of the variance between runs, which"
            " add up to 100 %: of each factor; of interactions, the joint effect of two factors"
            " beyond the sum of both; of seeds, the rest. If variants are missing, variance that"
            " belongs to no single factor is called confounded, and factors whose shares overlap"
            " are shown together as variants.",
        ),
    ),
)
