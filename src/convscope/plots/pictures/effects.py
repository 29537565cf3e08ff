"""Effects as a picture."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from pandas import DataFrame

from convscope.analysis.anova import SEEDS
from convscope.plain_pictures import plain_text
from convscope.plots.effects import Shown, share_text, shown_effects
from convscope.plots.marks import NEUTRAL
from convscope.plots.pictures.canvas import PERCENT, SMALL, TEXT, new_figure, plain_axes, png
from convscope.plots.style import ACCENT

_LEVEL, _TERM, _NOTE, _AROUND = 0.26, 0.25, 0.15, 1.5


@plain_text()
def effects_png(runs: DataFrame, setting: str | None = None) -> bytes:
    """`figures.effects` as a picture; raises as it does."""
    shown = shown_effects(runs, setting)
    heights = [_LEVEL * (shown.levels[-1].y + 1), _TERM * len(shown.shares)]
    figure = new_figure(sum(heights) + _AROUND + _NOTE * len(shown.notes))
    above, below = figure.subplots(2, 1, height_ratios=heights)
    _means(above, shown)
    _bars(below, shown.shares)
    return png(figure, shown.setting)


def _means(axes: Axes, shown: Shown) -> None:
    plain_axes(axes)
    levels = shown.levels
    for level in levels:
        axes.plot([level.low, level.high], [level.y] * 2, color=ACCENT, linewidth=1.5)
        filled = ACCENT if level.is_possible else "white"
        axes.plot(level.mean, level.y, "o", color=ACCENT, markerfacecolor=filled, markersize=6)
    axes.set_yticks([level.y for level in levels], [level.name for level in levels])
    axes.set_ylim(levels[-1].y + 0.5, -0.5)
    axes.xaxis.set_major_formatter(PERCENT)
    title = "\n".join(["adjusted mean test accuracy, 95 % interval", *shown.notes])
    axes.set_title(title, loc="left", fontsize=TEXT)


def _bars(axes: Axes, shares: dict[str, float]) -> None:
    plain_axes(axes)
    lengths = [0 if math.isnan(share) else share for share in shares.values()]
    colours = [NEUTRAL if term == SEEDS else ACCENT for term in shares]
    bars = axes.barh(list(shares), lengths, color=colours)
    axes.bar_label(bars, [share_text(s) for s in shares.values()], padding=3, fontsize=SMALL)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(lengths))
    axes.xaxis.set_major_formatter(PERCENT)
    axes.set_title("share of the variance", loc="left", fontsize=TEXT)
