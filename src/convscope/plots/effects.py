"""Effects of kernel size, stride and padding: adjusted means and shares of variance."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from pandas import DataFrame, Series

from convscope.analysis.anova import SEEDS, Effects
from convscope.analysis.anova import effects as estimated
from convscope.errors import UserError
from convscope.geometry import FACTORS
from convscope.metrics import METRICS, Metric, metrics_of
from convscope.plots.axes import bounded, error_bars, jitter, strip
from convscope.plots.registry import GEOMETRY, SETTING, Choice, Figure, InReport
from convscope.plots.style import (
    ACCENT,
    NEUTRAL,
    Panel,
    Trace,
    escaped,
    lines,
    narrow_lines,
    scatter,
    subplots,
)
from convscope.plots.table import one_setting, records, to_json_list
from convscope.text import counted

OF = Choice(
    "of",
    "Effects on",
    {
        metric.name: metric.title
        for metric in metrics_of("heat")
        if metric.of_test or metric.is_diagnostic
    },
)
_ROW = 26
"""Height of a row, in pixels."""
_BESIDE, _STRIP = 0.3, 0.2
"""Distance of a strip of single runs from its mean, and its width, as fractions of a row."""
_NAMES = {factor.key: factor.title for factor in FACTORS}


def effects(runs: DataFrame, setting: str | None = None, of: str = "test_accuracy") -> go.Figure:
    """Draw a metric's adjusted mean per level with 95 % intervals, and shares of its variance.

    Args:
        runs: table from `frame`.
        setting: the setting to draw; by default the one with the most finished runs.
        of: name of the metric, one of `OF`.

    Raises:
        UserError: `of` is not an option, the setting does not exist, no run has the metric, nothing
            varies, or there are too few runs.
    """
    metric = METRICS[OF.check(of)]
    runs, which = one_setting(runs, setting)
    if metric.is_optional and runs[of].isna().all():
        raise UserError(metric.missing)
    found = estimated(runs, of)
    levels = _levels(found, metric)
    # That of accuracies, to most readers a familiar limit, by name.
    limits = "0 to 100 %" if metric.is_share else "what is possible"
    groups = list(runs.loc[runs["status"] == "finished", "group"].unique())
    titles = [
        *narrow_lines("Effects on", metric.title),
        which,
        "main effects only, as variants are missing" if found.main_effects_only else "",
        "" if levels["is_possible"].all() else f"open circle: extrapolated beyond {limits}",
    ]
    rows = levels["y"].iloc[-1] + 1
    means = Panel(
        f"adjusted mean, {metric.unit}, 95 % interval"
        if metric.unit
        else "adjusted mean, 95 % interval",
        int(_ROW * rows),
        [_strips(levels, runs, metric), _means(levels, groups, metric, limits)],
        {
            "tickformat": metric.tick_format,
            "zeroline": False,
            "title": {"text": "small points: single runs"},
        },
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


def _levels(found: Effects, metric: Metric) -> DataFrame:
    """Return the levels with `name`, `y` (with gaps between factors) and `is_possible`.

    `is_possible` is false for a mean outside the metric's range, which the main-effects model can
    predict.
    """
    levels = found.levels
    # The clipped interval must still contain a mean outside the range.
    mean = levels["mean"]
    factor = levels["factor"].map(lambda key: _NAMES.get(key, key))
    return levels.assign(
        y=levels.index + 0.5 * levels["factor"].factorize()[0],
        name=factor + " " + levels["level"],
        low=bounded(metric, levels["low"]).clip(upper=mean),
        high=bounded(metric, levels["high"]).clip(lower=mean),
        is_possible=~((mean < metric.least) | (mean > metric.most)),
    )


def _means(levels: DataFrame, groups: list[str], metric: Metric, limits: str) -> Trace:
    mean, low, high = (levels[column] for column in ("mean", "low", "high"))
    return scatter(
        "markers",
        to_json_list(mean),
        list(levels["y"]),
        [_hint(metric, limits, **level) for _, level in records(levels)],
        error_x=error_bars(mean, low, high, ACCENT, 1.5),
        marker={
            "size": 9,
            "color": ACCENT,
            "symbol": ["circle" if one else "circle-open" for one in levels["is_possible"]],
        },
        customdata=[groups] * len(levels),
    )


def _strips(levels: DataFrame, runs: DataFrame, metric: Metric) -> Trace:
    """Return the single runs of each level, below its mean."""
    finished = runs[(runs["status"] == "finished") & runs[metric.name].notna()]
    parts = []
    for _, level in records(levels):
        part = finished[finished[f"{level['factor']}_level"] == level["level"]]
        parts.append(part.assign(y=level["y"] + _BESIDE + _STRIP * jitter(len(part))))
    every = pd.concat(parts)
    return strip(every, every[metric.name], every["y"], metric, NEUTRAL)


def _hint(
    metric: Metric,
    limits: str,
    *,
    name: str,
    mean: float,
    low: float,
    high: float,
    runs: int,
    is_possible: bool,
    **_: Any,
) -> str:
    interval = f" (95 % interval {metric.text(low)} to {metric.text(high)})"
    noun = "accuracy" if metric.of_test else "value"
    return lines(
        name,
        f"{metric.text(mean)}{'' if math.isnan(low) else interval}",
        "" if is_possible else f"extrapolated: no {noun} is beyond {limits}",
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
    choices=(SETTING, OF),
    reports=(
        InReport(
            "effects",
            "Effect of each factor",
            "Above, the adjusted mean of each level (the levels of all other factors weighted"
            " equally) with its 95 % interval, and below it, as small points, the runs of the"
            " level, at all levels of the other factors. In the lower panel, shares of the variance"
            " between runs, which add up to 100 %: of each factor; of interactions, the joint"
            " effect of two factors beyond the sum of both; of seeds, the rest. If variants are"
            " missing, variance that belongs to no single factor is called confounded, and factors"
            " whose shares overlap are shown together as variants.",
        ),
        InReport(
            "effects-shift-change",
            "Effect of each factor on the answers that a shift of one pixel changes",
            "As above, for the share of test images whose predicted class changes when the image"
            " moves by one pixel.",
            {"of": "shift_change"},
            needs="shift_change",
        ),
    ),
)
