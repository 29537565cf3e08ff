"""Learning curves: the mean over the seeds, and a band from the least to the greatest."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.compare.figures.marks import Marks
from convscope.compare.figures.style import figure
from convscope.compare.figures.text import escaped, lines
from convscope.errors import UserError
from convscope.runs.directory import RunDirectory
from convscope.runs.history import METRICS, History
from convscope.tables import numbered, percent


def curves(runs: DataFrame, metric: str = "val/accuracy") -> go.Figure:
    """A metric per epoch, a line per group.

    Args:
        runs: `frame`'s table.
        metric: of `history.METRICS`.

    Raises:
        UserError: `metric` is none of them, or no run has it.
    """
    if metric not in METRICS:
        raise UserError(f"metric must be one of {', '.join(METRICS)}, got {metric}")
    marks = Marks(runs["variant"])
    traces: list[dict[str, Any]] = []
    unreadable: list[str] = []
    for group, members in runs.groupby("group", sort=False):
        series = []
        for path in members["path"]:
            try:
                series.append(_series(path, metric))
            except UserError as error:
                unreadable.append(str(error))
        if any(series):
            traces += _curve(str(group), members, [one for one in series if one], marks)
    if not traces:
        raise UserError(f"no run has {metric} in its history")
    layout: dict[str, Any] = {
        "title": {"text": f"{metric} per epoch: mean, least and greatest of the seeds"},
        "height": 440,
        "xaxis": {"title": {"text": "epoch"}, "dtick": 1},
        "yaxis": {"tickformat": ".3~%" if metric.endswith("accuracy") else ",~g"},
    }
    return figure(traces, layout)


def _series(path: str, metric: str) -> dict[int, float]:
    """The metric by epoch; {} where there is no history.

    Raises:
        UserError: the history is a link, or cannot be read.
    """
    history = RunDirectory(Path(path)).history
    try:
        if not stat.S_ISREG(history.lstat().st_mode):
            raise UserError(f"{history} is not a regular file")
    except FileNotFoundError:
        return {}
    return {
        int(row["epoch"] or 0): float(value)
        for row in History(history).read()
        if (value := row[metric]) is not None
    }


def _curve(
    group: str, members: DataFrame, series: list[dict[int, float]], marks: Marks
) -> list[dict[str, Any]]:
    epochs = sorted(set().union(*series))
    values = [[one[epoch] for one in series if epoch in one] for epoch in epochs]
    means = [sum(at) / len(at) for at in values]
    first = members.iloc[0]
    colour = marks.colour(first["variant"])
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": epochs,
        "y": means,
        "name": escaped(first["label"]),
        "legendgroup": group,
        "line": {"color": colour, "dash": marks.dash(first["padding_policy"])},
        "customdata": [group] * len(epochs),
        "hovertext": [
            lines(first["label"], f"epoch {epoch}: {percent(mean)}", numbered(len(at), "run"))
            for epoch, mean, at in zip(epochs, means, values, strict=True)
        ],
        "hoverinfo": "text",
    }
    if len(series) < 2:
        return [line]
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": [*epochs, *reversed(epochs)],
        "y": [*map(max, values), *map(min, reversed(values))],
        "fill": "toself",
        "line": {"width": 0, "color": colour},
        "opacity": 0.2,
        "legendgroup": group,
        "showlegend": False,
        "hoverinfo": "skip",
        "customdata": [group] * (2 * len(epochs)),
    }
    return [band, line]
