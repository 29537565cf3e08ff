"""Figures as PNG: the same numbers, and nothing of Matplotlib changed."""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import plotly.graph_objects as go
import pytest
from matplotlib.collections import LineCollection
from pandas import DataFrame
from PIL import Image

from convscope.analysis import load
from convscope.analysis.frame import with_settings
from convscope.plots import accuracy_against, curves, effects, heat, map_sizes
from convscope.plots.style import Panel, subplots
from convscope.report.png import drawn, png
from convscope.runs.history import History

Runs = Callable[..., DataFrame]
Draw = Callable[[DataFrame], go.Figure]

ACCURACY = {
    (3, 1, "half"): [0.980, 0.984],
    (3, 2, "half"): [0.970, 0.974],
    (5, 1, "half"): [0.990, 0.996],
    (5, 2, "half"): [0.960, 0.966],
    (7, 3, 0): [0.5, 0.5],
}
FIGURES = (accuracy_against, heat, effects, map_sizes)


@pytest.fixture
def runs(make_runs: Runs) -> DataFrame:
    """A grid whose last variant is impossible."""
    return make_runs(ACCURACY)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_picture_is_a_png_of_twice_800_pixels(figure: Draw, runs: DataFrame) -> None:
    before = dict(mpl.rcParams)

    content = png(figure(runs))

    image = Image.open(BytesIO(content))
    assert (image.format, image.width) == ("PNG", 1600)
    assert image.getpixel((0, 0)) == (255, 255, 255, 255)
    assert png(figure(runs)) == content
    assert dict(mpl.rcParams) == before


def test_bars_stand_or_lie_with_or_without_text() -> None:
    def picture(**trace: object) -> list[tuple[float, float]]:
        category = {"type": "category"}
        panel = Panel("", 200, [{"type": "bar", **trace}], category, category)
        (axes,) = drawn(subplots(["bars"], [panel])).axes
        return [(bar.get_width(), bar.get_height()) for bar in axes.patches]

    standing = picture(x=["a", "b"], y=[0.5, 2.0])
    assert [height for _, height in standing] == [0.5, 2.0]
    lying = picture(y=["a", "b"], x=[0.5, 2.0], orientation="h", text=["half", "two"])
    assert [width for width, _ in lying] == [0.5, 2.0]


def test_points_are_the_means_and_the_front_joins_them(runs: DataFrame) -> None:
    (axes,) = drawn(accuracy_against(runs, "macs")).axes
    front, *marks = axes.lines
    # A triangle at the end of an interval is no point.
    points = [mark for mark in marks if mark.get_marker() not in "^v"]
    macs = {r.variant: r.macs for r in runs["record"]}
    assert sorted((float(p.get_xdata()[0]), float(p.get_ydata()[0])) for p in points) == [
        pytest.approx(pair)
        for pair in sorted(
            [
                (macs["k3-s1-p1"], 0.982),
                (macs["k3-s2-p1"], 0.972),
                (macs["k5-s1-p2"], 0.993),
                (macs["k5-s2-p2"], 0.963),
            ]
        )
    ]
    # k5-s2 costs more than k3-s2 and is less accurate.
    assert list(front.get_ydata()) == pytest.approx([0.972, 0.982, 0.993])
    assert front.get_drawstyle() == "default"
    assert {text.get_text() for text in axes.texts} >= {"k3-s2-p1", "k5-s1-p2"}


@pytest.mark.parametrize(
    ("cost", "lines"),
    [("macs", ["dotted: Pareto front by validation"]), ("train_samples_per_sec", [])],
)
def test_the_title_names_the_front_where_one_is_drawn(
    runs: DataFrame, cost: str, lines: list[str]
) -> None:
    picture = drawn(accuracy_against(runs, cost))

    (axes,) = picture.axes
    named = picture.get_suptitle().splitlines()
    assert [name for name in named if "front" in name] == lines
    assert [line.get_linestyle() for line in axes.lines].count(":") == len(lines)


def test_an_interval_is_cut_at_the_axis_and_marked(make_runs: Runs) -> None:
    runs = make_runs({(3, 1, 1): [0.98] * 3, (5, 1, 2): [0.97] * 3})
    slow = (runs["variant"] == "k3-s1-p1").to_numpy()
    # Their interval ends at -6,828.
    runs["train_samples_per_sec"] = [*(1_000.0, 9_000.0, 2_000.0), *(40_000.0,) * 3]
    assert slow.tolist() == [True] * 3 + [False] * 3

    (axes,) = drawn(accuracy_against(runs)).axes
    left, _ = axes.get_xlim()
    assert left > 0
    triangles = [line.get_xydata()[0] for line in axes.lines if line.get_marker() == "<"]
    assert [tuple(map(float, triangle)) for triangle in triangles] == [(left, 0.98)]
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    bars = [bar for line in lines for bar in line.get_segments()]
    assert min(float(x) for bar in bars for x, _ in bar) == pytest.approx(left)


def test_a_long_legend_fits_below_the_points(make_runs: Runs) -> None:
    grid = {(k, s, p): [0.9] for k in range(1, 12) for s in (1, 2, 3) for p in range(6)}
    picture = drawn(accuracy_against(make_runs(grid)))
    picture.draw_without_rendering()

    (axes,) = picture.axes
    below = axes.get_tightbbox().y0
    assert len(picture.legends) == 3
    ends = [legend.get_window_extent() for legend in picture.legends]
    assert all(0 <= end.y0 < end.y1 <= below for end in ends)
    assert ends[-1].x1 <= picture.bbox.width
    assert all(left.x1 <= right.x0 for left, right in pairwise(ends))


def test_cells_are_the_means_and_holes_are_named(runs: DataFrame) -> None:
    picture = drawn(heat(runs))

    texts = {
        (axes.get_title(loc="left"), *text.get_position()): text.get_text()
        for axes in picture.axes
        for text in axes.texts
    }
    assert texts == {
        ("padding valid", 2, 2): "×",
        ("padding half", 0, 0): "98.20",
        ("padding half", 1, 0): "97.20",
        ("padding half", 0, 1): "99.30",
        ("padding half", 1, 1): "96.30",
    }
    assert picture.get_suptitle() == "test accuracy, %\n× impossible"


def test_effects_are_the_means_of_the_living_grid(runs: DataFrame) -> None:
    means, shares = drawn(effects(runs)).axes
    points = [line for line in means.lines if line.get_marker() == "o"]
    shown = [float(point.get_xdata()[0]) for point in points]
    assert shown == pytest.approx([0.977, 0.978, 0.9875, 0.9675])
    assert [label.get_text() for label in shares.get_yticklabels()] == [
        "kernel size",
        "stride",
        "kernel size x stride",
        "seeds",
    ]


def test_a_mean_beyond_100_percent_is_marked(make_runs: Runs) -> None:
    grid = {(3, 1, "half"): [0.69, 0.71], (5, 1, "half"): [0.98, 1.0], (3, 2, "half"): [0.98, 1.0]}
    picture = drawn(effects(make_runs(grid)))

    means, _ = picture.axes
    points = [line for line in means.lines if line.get_marker() == "o"]
    assert [float(point.get_xdata()[0]) for point in points] == pytest.approx(
        [0.845, 1.135, 0.845, 1.135]
    )
    assert [point.get_fillstyle() == "none" for point in points] == [False, True] * 2
    assert picture.get_suptitle().splitlines()[1:] == [
        "main effects only, as variants are missing",
        "open circle: extrapolated beyond 0 to 100 %",
    ]


def test_a_name_is_no_formula(make_runs: Runs) -> None:
    settings = [
        make_runs({(3, 1, 1): [0.9], (3, 2, 1): [0.8]}, config={"data": {"name": name}})
        for name in ("mnist", "$\\frac$")
    ]
    runs = with_settings(pd.concat(settings, ignore_index=True))

    titles = {axes.get_title(loc="left") for axes in drawn(accuracy_against(runs)).axes}
    assert titles == {"dataset mnist", "dataset $\\frac$"}


def test_pyplot_is_left_alone() -> None:
    code = "import sys, convscope.report.png; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_curves_are_the_means_within_a_band(
    make_study: Callable[..., Path], tmp_path: Path
) -> None:
    study = make_study(tmp_path / "s", (3,), (1,), ("half",), (0, 1))
    for run, values in zip(sorted(study.iterdir()), ([0.5, 0.9], [0.7, 0.8]), strict=True):
        for epoch, value in enumerate(values, start=1):
            History(run / "history.csv").append(
                {"epoch": epoch, "step": epoch, "val/accuracy": value}
            )

    figure = curves(load(study))
    picture = drawn(figure)
    (axes,) = picture.axes

    assert figure.layout.title.text.endswith("<br>drag over the last epochs to zoom in")
    assert "drag" not in picture.get_suptitle(), "nobody can in a picture"
    (line,) = (line for line in axes.lines if line.get_linestyle() == "-")
    assert list(line.get_ydata()) == pytest.approx([0.6, 0.85])
    (band,) = axes.patches
    assert band.get_xy()[:, 1].tolist() == [0.7, 0.9, 0.8, 0.5, 0.7]
