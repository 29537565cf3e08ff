"""Pictures: the same numbers as the figures, as PNG, and nothing of matplotlib changed."""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from pandas import DataFrame
from PIL import Image

from convscope.analysis.frame import with_settings
from convscope.errors import UserError
from convscope.plots.pictures import accuracy_png, canvas, effects_png, heat_png

Runs = Callable[..., DataFrame]

ACCURACY = {
    (3, 1, "half"): [0.980, 0.984],
    (3, 2, "half"): [0.970, 0.974],
    (5, 1, "half"): [0.990, 0.996],
    (5, 2, "half"): [0.960, 0.966],
    (7, 3, 0): [0.5, 0.5],
}
PICTURES = (accuracy_png, heat_png, effects_png)


@pytest.fixture
def runs(make_runs: Runs) -> DataFrame:
    """A grid whose last variant is impossible."""
    return make_runs(ACCURACY)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """What was drawn, before it became a picture."""
    figures: list[Figure] = []

    def keep(height: float) -> Figure:
        figures.append(new_figure(height))
        return figures[-1]

    new_figure = canvas.new_figure
    for module in ("accuracy", "heat", "effects"):
        monkeypatch.setattr(f"convscope.plots.pictures.{module}.new_figure", keep)
    return figures


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_a_png_of_twice_800_pixels(
    picture: Callable[[DataFrame], bytes], runs: DataFrame
) -> None:
    before = dict(mpl.rcParams)

    content = picture(runs)

    image = Image.open(BytesIO(content))
    assert (image.format, image.width) == ("PNG", 1600)
    assert image.getpixel((0, 0)) == (255, 255, 255, 255)
    assert picture(runs) == content
    assert dict(mpl.rcParams) == before


def test_points_are_the_means_and_the_front_joins_them(
    runs: DataFrame, drawn: list[Figure]
) -> None:
    accuracy_png(runs, "macs")

    (axes,) = drawn[0].axes
    front, *points = axes.lines
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
    [("macs", ["Pareto front by validation"]), ("train_samples_per_sec", [])],
)
def test_the_legend_names_the_front_where_one_is_drawn(
    runs: DataFrame, drawn: list[Figure], cost: str, lines: list[str]
) -> None:
    accuracy_png(runs, cost)

    (axes,) = drawn[0].axes
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [name for name in named if "front" in name] == lines
    assert [line.get_linestyle() for line in axes.lines].count(":") == len(lines)


def test_an_interval_is_cut_at_the_axis_and_marked(make_runs: Runs, drawn: list[Figure]) -> None:
    runs = make_runs({(3, 1, 1): [0.98] * 3, (5, 1, 2): [0.97] * 3})
    slow = (runs["variant"] == "k3-s1-p1").to_numpy()
    # Their interval ends at -6,828.
    runs["train_samples_per_sec"] = [*(1_000.0, 9_000.0, 2_000.0), *(40_000.0,) * 3]
    assert slow.tolist() == [True] * 3 + [False] * 3

    accuracy_png(runs)

    (axes,) = drawn[0].axes
    left, _ = axes.get_xlim()
    assert left > 0
    triangles = [c for c in axes.collections if isinstance(c, PathCollection)]
    assert [tuple(triangle.get_offsets()[0]) for triangle in triangles] == [(left, 0.98)]
    bars = [c.get_segments()[0] for c in axes.collections if isinstance(c, LineCollection)]
    assert min(float(x) for bar in bars for x, _ in bar) == left


def test_a_long_legend_fits_beside_the_points(make_runs: Runs, drawn: list[Figure]) -> None:
    accuracy_png(
        make_runs({(k, s, p): [0.9] for k in range(1, 12) for s in (1, 2, 3) for p in range(6)})
    )

    (axes,) = drawn[0].axes
    legend = axes.get_legend().get_window_extent()
    assert legend.y0 >= 0
    assert legend.y1 <= drawn[0].bbox.height


def test_cells_are_the_means_and_holes_are_named(runs: DataFrame, drawn: list[Figure]) -> None:
    heat_png(runs)

    texts = {
        (axes.get_title(loc="left"), *text.get_position()): text.get_text()
        for axes in drawn[0].axes
        for text in axes.texts
    }
    assert texts == {
        ("padding valid", 2, 2): "×",
        ("padding half", 0, 0): "98.20",
        ("padding half", 1, 0): "97.20",
        ("padding half", 0, 1): "99.30",
        ("padding half", 1, 1): "96.30",
    }
    assert drawn[0].get_suptitle() == "test accuracy, %; × impossible"


def test_effects_are_the_means_of_the_living_grid(runs: DataFrame, drawn: list[Figure]) -> None:
    effects_png(runs)

    means, shares = drawn[0].axes
    points = [line for line in means.lines if line.get_marker() == "o"]
    shown = [float(point.get_xdata()[0]) for point in points]
    assert shown == pytest.approx([0.977, 0.978, 0.9875, 0.9675])
    assert [label.get_text() for label in shares.get_yticklabels()] == [
        "kernel size",
        "stride",
        "kernel size x stride",
        "seeds",
    ]


def test_a_mean_beyond_100_percent_is_marked(make_runs: Runs, drawn: list[Figure]) -> None:
    grid = {(3, 1, "half"): [0.69, 0.71], (5, 1, "half"): [0.98, 1.0], (3, 2, "half"): [0.98, 1.0]}
    effects_png(make_runs(grid))

    means, _ = drawn[0].axes
    points = [line for line in means.lines if line.get_marker() == "o"]
    assert [float(point.get_xdata()[0]) for point in points] == pytest.approx(
        [0.845, 1.135, 0.845, 1.135]
    )
    assert [point.get_markerfacecolor() == "white" for point in points] == [False, True] * 2
    assert means.get_title(loc="left").splitlines()[1:] == [
        "main effects only, as variants are missing",
        "open circle: extrapolated beyond 0 to 100 %",
    ]


@pytest.mark.parametrize("picture", PICTURES)
def test_nothing_to_draw_is_said(picture: Callable[[DataFrame], bytes], make_runs: Runs) -> None:
    with pytest.raises(UserError, match="finished run"):
        picture(make_runs({(7, 3, 0): [0.5]}))


def test_a_name_is_no_formula(make_runs: Runs, drawn: list[Figure]) -> None:
    settings = [
        make_runs({(3, 1, 1): [0.9], (3, 2, 1): [0.8]}, config={"data": {"name": name}})
        for name in ("mnist", "$\\frac$")
    ]
    accuracy_png(with_settings(pd.concat(settings, ignore_index=True)))

    titles = {axes.get_title(loc="left") for axes in drawn[0].axes}
    assert titles == {"dataset mnist", "dataset $\\frac$"}


def test_pyplot_is_left_alone() -> None:
    code = "import sys, convscope.plots.pictures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
