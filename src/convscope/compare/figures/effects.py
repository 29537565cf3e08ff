"""What kernel size, stride and padding do, each on its own: adjusted means, share of variance."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.compare.effects import Effects
from convscope.compare.effects import effects as estimated
from convscope.compare.figures.quantities import QUANTITIES, plain
from convscope.compare.figures.settings import one_setting
from convscope.compare.figures.stack import stacked
from convscope.compare.figures.style import NEUTRAL, figure
from convscope.compare.figures.text import escaped, lines
from convscope.compare.groups import grouped
from convscope.tables import numbered, percent

ACCURACY = QUANTITIES["test_accuracy"]
_LEVEL, _TERM, _GAP = 40, 26, 60
_FACTORS = {"kernel_size": "kernel size", "padding_policy": "padding"}


def effects(runs: DataFrame, setting: str | None = None) -> go.Figure:
    """Adjusted mean accuracy per level with its 95 % interval; below, each term's share.

    Args:
        runs: `frame`'s table.
        setting: which one to draw; by default that with the most finished runs.

    Raises:
        UserError: there is no such setting, nothing varies, or there are too few runs.
    """
    alone, which = one_setting(runs, setting)
    found = estimated(alone)
    layout = stacked([_LEVEL * len(found.levels), _TERM * len(found.terms)], _GAP)
    layout["title"] = {
        "text": "<br>".join(
            filter(None, ("Effects on test accuracy, the other factors held equal", escaped(which)))
        )
    }
    layout["showlegend"] = False
    layout["xaxis"] |= {
        "title": {"text": "adjusted mean test accuracy, 95 % interval"},
        "tickformat": ACCURACY.tick_format,
    }
    layout["xaxis2"] |= {"title": {"text": "share of the variance"}, "tickformat": ".0%"}
    for axis in ("yaxis", "yaxis2"):
        layout[axis] |= {"type": "category", "autorange": "reversed"}
    groups = list(grouped(alone).index)
    return figure([_levels(found, groups), _shares(found, groups)], layout)


def level_names(levels: DataFrame) -> list[str]:
    """`kernel size 3`, and what its units see."""
    return [
        f"{_FACTORS.get(level['factor'], level['factor'])} {level['level']}"
        for _, level in levels.iterrows()
    ]


def term_names(terms: DataFrame) -> list[str]:
    """`kernel size x stride`, `seeds`."""
    return [
        " x ".join(_FACTORS.get(part, part) for part in term.split(" x ")) for term in terms["term"]
    ]


def seen(level: Any) -> str:
    """What goes with a level: `sees 23 px, map of 5.4 units`."""
    return f"sees {level['receptive_field']:.3g} px, map of {level['final_map']:.3g} units"


def _levels(found: Effects, groups: list[str]) -> dict[str, Any]:
    levels = found.levels
    names = level_names(levels)
    rows = [row for _, row in levels.iterrows()]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain(levels["mean"]),
        "y": [
            f"{name}<br><span style='font-size:10px'>{seen(row)}</span>"
            for name, row in zip(names, rows, strict=True)
        ],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": plain(levels["high"] - levels["mean"]),
            "arrayminus": plain(levels["mean"] - levels["low"]),
        },
        "marker": {"size": 9, "color": "#0072b2"},
        "hovertext": [
            lines(
                name,
                f"{percent(row['mean'])} (95 % interval {percent(row['low'])}"
                f" to {percent(row['high'])})",
                f"{numbered(row['runs'], 'run')}, {seen(row)}",
            )
            for name, row in zip(names, rows, strict=True)
        ],
        "hoverinfo": "text",
        "customdata": [groups] * len(levels),
    }


def _shares(found: Effects, groups: list[str]) -> dict[str, Any]:
    terms = found.terms
    names = term_names(terms)
    return {
        "type": "bar",
        "orientation": "h",
        "x": plain(terms["share"]),
        "y": names,
        "xaxis": "x2",
        "yaxis": "y2",
        "marker": {"color": ["#0072b2"] * (len(terms) - 1) + [NEUTRAL]},
        "text": [f"{share:.0%}" for share in terms["share"]],
        "hovertext": [
            lines(name, f"{share:.1%} of the variance, {df:g} degrees of freedom")
            for name, share, df in zip(names, terms["share"], terms["df"], strict=True)
        ],
        "hoverinfo": "text",
        "customdata": [groups] * len(terms),
    }
