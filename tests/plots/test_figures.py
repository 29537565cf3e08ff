"""Figures: their numbers against hand calculation; what a reader sees where there are none."""

import itertools
import json
import math
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly
import plotly.graph_objects as go
import pytest
from pandas import DataFrame
from plotly.io import _base_renderers, _renderers
from scipy import stats

from convscope.analysis import load
from convscope.analysis.frame import tabulate, with_settings
from convscope.analysis.groups import grouped
from convscope.errors import UserError
from convscope.plots import (
    FIGURES,
    accuracy_against,
    curves,
    diagnostic_maps,
    effects,
    heat,
    map_sizes,
    parallel,
    styled,
)
from convscope.plots.axes import log_ticks
from convscope.plots.style import CELL_INK, ON_DARK
from convscope.plots.variant_style import legend_entries, variant_style
from convscope.runs.directory import RunDirectory
from convscope.runs.predictions import write_arrays

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Make = Callable[..., Path]
Runs = Callable[..., DataFrame]

ACCURACY = {
    "k3-s1-p1": [0.980, 0.984, 0.985],
    "k3-s2-p1": [0.970, 0.972, 0.974],
    "k5-s1-p2": [0.990, 0.991, 0.995],
    "k5-s2-p2": [0.960, 0.966, 0.969],
}
SPEED = {"k3-s1-p1": 1_000.0, "k3-s2-p1": 4_000.0, "k5-s1-p2": 500.0, "k5-s2-p2": 2_000.0}
DARK, LIGHT = "#303030", "#ffffff"
HOSTILE = "<img src=x onerror=alert(1)>%{x}&amp;"


def planted(variant: str, seed: int) -> dict[str, float]:
    return {
        "test_accuracy": ACCURACY[variant][seed],
        "train_samples_per_sec": SPEED[variant] + 10 * seed,
    }


@pytest.fixture
def runs(make_study: Make, tmp_path: Path) -> DataFrame:
    """Two kernel sizes, two strides, three seeds; see `ACCURACY` and `SPEED`."""
    return load(make_study(tmp_path / "s", (3, 5), (1, 2), ("half",), metrics=planted))


def data(figure: go.Figure) -> list[dict[str, Any]]:
    """The traces as the page gets them, without those that are but a legend."""
    traces: list[dict[str, Any]] = json.loads(figure.to_json())["data"]
    return [trace for trace in traces if trace.get("x") != [None]]


def by_group(trace: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(zip(trace["customdata"], trace[name], strict=True))


def groups(runs: DataFrame) -> dict[str, str]:
    """Variant to group, of one setting."""
    return dict(zip(runs["variant"], runs["group"], strict=True))


def text_of(figure: go.Figure) -> str:
    return str(json.loads(figure.to_json())["layout"]["title"]["text"])


def test_accuracy_against_speed_shows_means_and_intervals(runs: DataFrame) -> None:
    """No front: means of speeds differ by chance."""
    singles, points = data(accuracy_against(runs))

    of = groups(runs)
    for variant, values in ACCURACY.items():
        group, mean = of[variant], sum(values) / 3
        high = stats.t.interval(0.95, 2, loc=mean, scale=stats.sem(values))[1]
        assert by_group(points, "y")[group] == pytest.approx(mean, abs=1e-12)
        assert by_group(points, "x")[group] == SPEED[variant] + 10
        half = dict(zip(points["customdata"], points["error_y"]["array"], strict=True))
        assert half[group] == pytest.approx(high - mean, abs=1e-12)
    assert sorted(zip(singles["customdata"], singles["x"], singles["y"], strict=True)) == sorted(
        zip(runs["group"], runs["train_samples_per_sec"], runs["test_accuracy"], strict=True)
    )
    assert by_group(points, "text") == {group: variant for variant, group in of.items()}
    assert by_group(points, "hovertext")[of["k3-s2-p1"]] == (
        "k3-s2-p1<br>97.20 % (95 % interval 96.70 % to 97.70 %), 3 runs<br>"
        "4,010 samples/s (95 % interval 3,985 samples/s to 4,035<br>samples/s)"
    )


def test_the_front_against_macs_is_that_of_validation(runs: DataFrame) -> None:
    of = groups(runs)
    # Not in the order of the test accuracy: k3-s1 costs more than k5-s2 and is chosen before it.
    chosen = {"k3-s2-p1": 0.96, "k5-s2-p2": 0.97, "k3-s1-p1": 0.98, "k5-s1-p2": 0.975}
    front, singles, points = data(
        accuracy_against(runs.assign(best_val_accuracy=runs["variant"].map(chosen)), "macs")
    )
    assert front["customdata"] == [of["k3-s2-p1"], of["k5-s2-p2"], of["k3-s1-p1"]]
    assert by_group(points, "hovertext")[of["k3-s1-p1"]].endswith(
        "on the front, by validation accuracy"
    )
    # All runs of a variant have its MACs: they are a strip on the left of its mean, without ties.
    macs = by_group(points, "x")
    ratios: dict[str, set[float]] = {}
    for x, group in zip(singles["x"], singles["customdata"], strict=True):
        ratios.setdefault(group, set()).add(x / macs[group])
    assert [len(of_group) for of_group in ratios.values()] == [3] * 4
    assert all(0.8 < ratio < 1 for of_group in ratios.values() for ratio in of_group)
    assert "k3-s2-p1, seed 1<br>97.20 %" in singles["hovertext"]
    assert accuracy_against(runs, "macs").to_json() == accuracy_against(runs, "macs").to_json()


def test_an_interval_beyond_an_axis_is_cut_there_and_marked(
    make_study: Make, tmp_path: Path
) -> None:
    speeds = {"k3-s1-p1": [1_000.0, 9_000.0, 2_000.0], "k5-s1-p2": [40_000.0, 40_100.0, 40_200.0]}

    def metrics(variant: str, seed: int) -> dict[str, float]:
        return {"test_accuracy": 0.98, "train_samples_per_sec": speeds[variant][seed]}

    runs = load(make_study(tmp_path / "s", (3, 5), (1,), ("half",), metrics=metrics))

    figure = accuracy_against(runs)

    _, points, beyond = data(figure)
    axis = figure["layout"]["xaxis"]
    left, right = (10**end for end in axis["range"])
    slow = groups(runs)["k3-s1-p1"]
    # Of a mean of 4,000 and a standard deviation of 4,359 the interval ends at -6,828.
    assert stats.t.interval(0.95, 2, 4_000, stats.sem(speeds["k3-s1-p1"]))[0] < 0
    bars = dict(zip(points["customdata"], points["error_x"]["arrayminus"], strict=True))
    assert 4_000 - bars[slow] == pytest.approx(left)
    assert 0 < left < 4_000 < 40_200 < right
    assert (beyond["x"], beyond["customdata"]) == ([pytest.approx(left)], [slow])
    assert beyond["marker"]["symbol"] == ["triangle-left"]
    assert "95 % interval 0 samples/s to" in beyond["hovertext"][0].replace("<br>", " ")
    assert "triangle: interval extends beyond the axis" in text_of(figure)


def test_no_interval_leaves_what_an_accuracy_or_a_speed_can_be(make_runs: Runs) -> None:
    """Student's interval of two seeds reaches from -111 % to 271 %, and to a speed below 0."""
    grid = {(3, 1, 1): [0.95, 0.65], (5, 1, 2): [0.99, 0.97]}
    runs = make_runs(grid | {(3, 2, 1): [0.9, 0.92], (5, 2, 2): [0.96, 0.98]})
    runs["train_samples_per_sec"] = [5_000.0, 6_000.0, 7_000.0, 7_100.0] * 2
    low, high = stats.t.interval(0.95, 1, loc=0.8, scale=stats.sem([0.95, 0.65]))
    assert (low, high) == (pytest.approx(-1.106, abs=1e-3), pytest.approx(2.706, abs=1e-3))

    points = next(one for one in data(accuracy_against(runs)) if one.get("error_y"))
    for axis, most in (("x", math.inf), ("y", 1.0)):
        error = points[f"error_{axis}"]
        ends = zip(points[axis], error["arrayminus"], error["array"], strict=True)
        assert all(
            middle - below >= -1e-9 and middle + above <= most + 1e-9
            for middle, below, above in ends
        )
    hints = " ".join(points["hovertext"]).replace("<br>", " ")
    assert "80.00 % (95 % interval 0.00 % to 100.00 %)" in hints
    means = data(effects(runs))[1]
    error = means["error_x"]
    for middle, below, above in zip(means["x"], error["arrayminus"], error["array"], strict=True):
        assert middle - below >= -1e-9
        assert middle + above <= 1 + 1e-9


def test_what_a_mark_hides_is_named_where_it_is_pointed_at(make_runs: Runs) -> None:
    runs = make_runs({(3, 1, 1): [0.98], (3, 1, 0): [0.98], (5, 1, 2): [0.9]})

    *_, points = data(accuracy_against(runs))

    hints = {text.split("<br>")[0]: text.split("<br>")[-1] for text in points["hovertext"]}
    assert hints["k3-s1-p1"] == "at the same position: k3-s1-p0"
    assert hints["k3-s1-p0"] == "at the same position: k3-s1-p1"
    assert "same place" not in hints["k5-s1-p2"]
    assert points["marker"]["opacity"] < 1


@pytest.mark.parametrize("spans", [(1e3, 1e4), (1e3, 6e4), (2e3, 9e3), (1e2, 1e7)])
def test_ticks_of_a_logarithmic_axis_are_few_and_round(spans: tuple[float, float]) -> None:
    low, high = map(math.log10, spans)

    ticks = log_ticks(low, high)

    assert 2 <= len(ticks) <= 5
    assert all(f"{tick:.0e}"[0] in "1235" and low <= math.log10(tick) <= high for tick in ticks)


def test_a_single_seed_has_no_interval(make_study: Make, tmp_path: Path) -> None:
    runs = load(make_study(tmp_path / "s", (3, 5), (1,), ("half",), (0,), metrics=planted))

    points = data(accuracy_against(runs, "macs"))[-1]

    assert points["error_y"]["array"] == [None, None]
    assert "error_x" not in points
    assert "interval" not in "".join(points["hovertext"])
    assert points["x"] == [r.macs for r in runs["record"]]


def test_settings_have_a_panel_each_and_are_never_joined(make_study: Make, tmp_path: Path) -> None:
    for rate in (0.01, 0.02):
        make_study(tmp_path / "s", (3, 5), (1,), ("half",), config={"optim": {"lr": rate}})
    runs = load(tmp_path)
    setting = dict(zip(runs["group"], runs["setting"], strict=True))

    for figure in (accuracy_against(runs), heat(runs), heat(runs, setting="lr 0.02")):
        for trace in data(figure):
            inside = [g for g in flat(trace["customdata"]) if g is not None]
            assert len({setting[group] for group in inside}) <= 1
    titles = [note["text"] for note in accuracy_against(runs)["layout"]["annotations"]]
    assert titles == ["lr 0.01", "lr 0.02"]
    assert (
        text_of(heat(runs, setting="lr 0.02")) == "test accuracy, %<br>lr 0.02 (one of 2 settings)"
    )
    with pytest.raises(UserError, match="setting must be one of lr 0.01; lr 0.02, got lr 3"):
        heat(runs, setting="lr 3")


def results_by_name(variant: str, seed: int) -> dict[str, float]:
    """Results that differ from variant to variant and from seed to seed."""
    place = zlib.crc32(variant.encode()) / 2**32
    return {
        "test_accuracy": 0.9 + 0.09 * place + seed / 1000,
        "train_samples_per_sec": 1_000 * 30**place + 10 * seed,
    }


def flat(values: Any) -> list[Any]:
    return (
        [one for value in values for one in flat(value)] if isinstance(values, list) else [values]
    )


def test_settings_of_one_variant_share_a_panel_without_a_front(
    make_study: Make, tmp_path: Path
) -> None:
    for rate in (0.01, 0.02):
        make_study(
            tmp_path / "s",
            (3,),
            (1,),
            ("half",),
            metrics=lambda _, seed, rate=rate: {
                "test_accuracy": 0.9 + rate + seed / 1000,
                "train_samples_per_sec": 100.0,
            },
            config={"optim": {"lr": rate}},
        )

    _, points = data(accuracy_against(load(tmp_path)))

    assert sorted(points["text"]) == ["lr 0.01", "lr 0.02"]


def test_a_heat_map_has_the_means_and_names_its_holes(make_study: Make, tmp_path: Path) -> None:
    def metrics(variant: str, seed: int) -> dict[str, float]:
        return {"test_accuracy": 0.9 + len(variant) / 1000 + seed / 100}

    runs = load(make_study(tmp_path / "s", (3, 5), (1, 3), (0,), (0, 1), metrics))

    known, holes = data(heat(runs))

    assert (known["y"], known["x"]) == (["3", "5"], ["1", "3"])
    assert known["z"][0][0] == pytest.approx(0.913, abs=1e-12)
    assert known["text"] == [["91.30", ""], ["91.30", ""]]
    assert holes["text"] == [["", "×"], ["", "×"]]
    assert text_of(heat(runs)) == "test accuracy, %<br>× impossible"
    reason = runs.loc[runs["variant"] == "k5-s3-p0", "reason"].iloc[0]
    hint = holes["hovertext"][1][1].replace("<br>", " ")
    assert hint == f"k5-s3-p0 impossible: {reason}"
    assert holes["customdata"][1][1] == groups(runs)["k5-s3-p0"]


def test_a_heat_map_of_maps_says_their_height_and_width(make_study: Make, tmp_path: Path) -> None:
    runs = load(make_study(tmp_path / "s", (3,), (1, [2, 2, 1]), ("half",), (0,)))

    known, _ = data(heat(runs, "final_map"))

    # 28, halved by the pool: 14; with stride 2 first 14, pooled 7, stride 2 gives 4.
    assert known["x"] == ["1", "2.2.1"]
    assert known["z"] == [[196, 16]]
    assert known["text"] == [["14", "4"]]


def test_effects_are_the_means_of_a_full_grid(runs: DataFrame) -> None:
    singles, means, bars = data(effects(runs))

    mean = {variant: sum(values) / 3 for variant, values in ACCURACY.items()}
    expected = [
        (mean["k3-s1-p1"] + mean["k3-s2-p1"]) / 2,
        (mean["k5-s1-p2"] + mean["k5-s2-p2"]) / 2,
        (mean["k3-s1-p1"] + mean["k5-s1-p2"]) / 2,
        (mean["k3-s2-p1"] + mean["k5-s2-p2"]) / 2,
    ]
    assert means["x"] == pytest.approx(expected, abs=1e-12)
    # 4 variants of 3 runs leave 8 degrees of freedom for the variance within.
    within = sum((v - mean[name]) ** 2 for name, values in ACCURACY.items() for v in values) / 8
    half = stats.t.ppf(0.975, 8) * math.sqrt(within / 6)
    assert means["error_x"]["array"] == pytest.approx([half] * 4, abs=1e-12)
    assert bars["y"] == ["kernel size", "stride", "kernel size x stride", "seeds"]
    total = sum((v - sum(mean.values()) / 4) ** 2 for values in ACCURACY.values() for v in values)
    assert bars["x"][-1] == pytest.approx(8 * within / total, abs=1e-12)
    assert sum(bars["x"]) == pytest.approx(1, abs=1e-12)
    assert means["hovertext"][3].startswith("stride 2<br>96.85 % (95 % interval ")
    assert means["hovertext"][3].endswith("<br>6 runs")
    of_level = [x for x, y in zip(singles["x"], singles["y"], strict=True) if round(y) == 0]
    assert sorted(of_level) == sorted(ACCURACY["k3-s1-p1"] + ACCURACY["k3-s2-p1"])
    assert len(singles["x"]) == 2 * 12
    # A level's variants have different maps and receptive fields: their mean is that of none.
    assert effects(runs)["layout"]["yaxis"]["ticktext"] == (
        *("kernel size 3", "kernel size 5", "stride 1", "stride 2"),
    )


INCOMPLETE = {
    (3, 1, "half"): [0.699, 0.700, 0.701],
    (5, 1, "half"): [0.989, 0.990, 0.991],
    (3, 2, "half"): [0.988, 0.990, 0.992],
}
"""Kernel 5 adds 29 points at stride 1, stride 2 as many to kernel 3: both would make 128 %."""


def test_a_mean_beyond_100_percent_is_marked_as_an_extrapolation(make_runs: Runs) -> None:
    figure = effects(make_runs(INCOMPLETE))
    _, means, _ = data(figure)
    # Over both levels of the other factor: (70 + 99) / 2 and (99 + 128) / 2.
    assert means["x"] == pytest.approx([0.845, 1.135, 0.845, 1.135])
    assert means["marker"]["symbol"] == ["circle", "circle-open", "circle", "circle-open"]
    title = figure["layout"]["title"]["text"]
    assert title.split("<br>") == [
        "Effects on test accuracy",
        "main effects only, as variants are missing",
        "open circle: extrapolated beyond 0 to 100 %",
    ]
    assert max(map(len, title.split("<br>"))) < 46  # What fits 360 pixels.
    hints = [text.split("<br>") for text in means["hovertext"]]
    assert hints[1][-2] == "extrapolated: no accuracy is beyond 0 to 100 %"
    assert not any("extrapolated" in line for line in hints[0])

    figure = effects(make_runs(INCOMPLETE | {(3, 2, "half"): [0.70, 0.701, 0.702]}))
    assert set(data(figure)[1]["marker"]["symbol"]) == {"circle"}
    assert figure["layout"]["title"]["text"].split("<br>")[1:] == [
        "main effects only, as variants are missing"
    ]
    full = INCOMPLETE | {(5, 2, "half"): [0.99, 0.991, 0.992]}
    assert "<br>" not in effects(make_runs(full))["layout"]["title"]["text"]


def test_a_mean_below_0_is_marked_too(make_runs: Runs) -> None:
    """2 %, 40 % and 2 %: the fourth variant would have -36 %, and two means -17 %."""
    grid = {
        (3, 1, "half"): [0.40, 0.41],
        (5, 1, "half"): [0.02, 0.03],
        (3, 2, "half"): [0.02, 0.03],
    }
    _, means, _ = data(effects(make_runs(grid)))
    assert means["x"] == pytest.approx([0.215, -0.165, 0.215, -0.165])
    assert means["marker"]["symbol"] == ["circle", "circle-open", "circle", "circle-open"]


def test_parallel_coordinates_hold_every_group_once(runs: DataFrame) -> None:
    (trace,) = data(parallel(runs))

    dimensions = {dimension["label"]: dimension for dimension in trace["dimensions"]}
    of = groups(runs)
    places = {group: place for place, group in enumerate(trace["customdata"])}
    assert sorted(places) == sorted(of.values())
    assert dimensions["kernel size"]["ticktext"] == ["3", "5"]
    assert dimensions["kernel size"]["values"][places[of["k5-s1-p2"]]] == 1
    for variant, values in ACCURACY.items():
        shown = dimensions["accuracy %"]["values"][places[of[variant]]]
        assert shown == pytest.approx(sum(values) / 3, abs=1e-12)
        speed = 10 ** dimensions["samples/s"]["values"][places[of[variant]]]
        assert speed == pytest.approx(SPEED[variant] + 10)
    assert "padding" not in dimensions, "all are equal on that axis"


def test_ticks_of_parallel_coordinates_are_values_that_there_are(
    make_study: Make, tmp_path: Path
) -> None:
    grid = ((3, 5, 7, [5, 3, 3]), (1, 2, 3), (0, "half", 5))
    runs = load(make_study(tmp_path / "s", *grid, (0,), results_by_name))
    finished = runs[runs["status"] == "finished"]

    figure = parallel(runs)

    dimensions = {one["label"]: one for one in data(figure)[0]["dimensions"]}
    for dimension in dimensions.values():
        assert set(dimension["tickvals"]) <= set(dimension["values"]), dimension["label"]
        assert {min(dimension["values"]), max(dimension["values"])} <= set(dimension["tickvals"])
    written = set(dimensions["RF px"]["ticktext"])
    assert written <= {f"{value:g}" for value in finished["receptive_field"]}
    assert dimensions["kernel size"]["ticktext"] == ["3", "5", "5.3.3", "7"]
    assert dimensions["padding"]["ticktext"] == ["valid", "half", "p5"]
    key = figure["layout"]["coloraxis2"]
    assert (key["showscale"], key["colorbar"]["tickformat"]) == (True, ".3~%")
    assert "line colour: test accuracy" in text_of(figure)
    assert figure["layout"]["meta"]["least_width"] == 92 * len(dimensions)


def test_parallel_coordinates_leave_out_what_has_no_number(
    make_study: Make, tmp_path: Path
) -> None:
    def metrics(variant: str, seed: int) -> dict[str, float]:
        full = planted(variant, seed)
        return full if variant != "k3-s1-p1" else {"test_accuracy": full["test_accuracy"]}

    runs = load(make_study(tmp_path / "s", (3, 5), (1, 2), ("half",), metrics=metrics))

    figure = parallel(runs)

    assert groups(runs)["k3-s1-p1"] not in data(figure)[0]["customdata"]
    assert "1 group without all numbers left out" in text_of(figure)


def test_map_sizes_are_drawn_to_scale(make_study: Make, tmp_path: Path) -> None:
    runs = load(make_study(tmp_path / "s", (3,), (2, 3), (0,), (0,)))

    figure = map_sizes(runs)

    alive, impossible = data(figure)
    # (28 - 3) // 2 + 1 = 13, the pool keeps the odd edge: 7, (7 - 3) // 2 + 1 = 3, then 1.
    shown = dict(zip(alive["x"], map(int, alive["text"]), strict=True))
    assert shown == {"input": 28, "conv1": 13, "pool1": 7, "conv2": 3, "conv3": 1}
    area = [size / side for size, side in zip(alive["marker"]["size"], shown.values(), strict=True)]
    assert area == pytest.approx([area[0]] * 5)
    assert impossible["text"] == ["impossible"]
    assert "conv3 would have an empty output" in impossible["hovertext"][0].replace("<br>", " ")
    assert figure["layout"]["xaxis"]["categoryarray"] == tuple(shown)


@pytest.mark.parametrize(
    ("channels", "pool_after", "largest", "texts"),
    [
        # Five stages of 36 pixels each; 30 x 31 halved are 15 x 15.5, rounded up.
        ([8] * 3, [1], 28, ["28", "30x31", "15x16", "17x19", "19x22"]),
        # Nine of 20: sides of 18 and numbers in two lines stand apart.
        ([8] * 6, [2, 4], 18, ["28", "30x<br>31", "32x<br>34", "16x<br>17"]),
    ],
)
def test_map_sizes_stand_apart_on_a_narrow_page(
    make_study: Make,
    tmp_path: Path,
    channels: list[int],
    pool_after: list[int],
    largest: float,
    texts: list[str],
) -> None:
    model = {"channels": channels, "pool_after": pool_after}
    study = make_study(tmp_path / "s", ("3x4",), (1,), ("full",), (0,), config={"model": model})
    (row,) = data(map_sizes(load(study)))
    assert list(row["text"][: len(texts)]) == texts
    assert max(row["marker"]["size"]) == pytest.approx(largest)


def test_map_sizes_of_one_variant_have_their_settings(make_study: Make, tmp_path: Path) -> None:
    study = tmp_path / "s"
    for pool, after in (("max", [1]), ("avg", [1]), ("max", [])):
        model = {"pool_after": after, "pool": pool}
        make_study(study, (3,), (1,), (1,), (0,), config={"model": model})
    texts = map_sizes(load(study))["layout"]["yaxis"]["ticktext"]
    # Rows are in the table's order, and runs in that of their names, which have a hash.
    names = [frozenset(text.replace("<br>", " ").partition(" ")[2].split("; ")) for text in texts]
    assert [text.partition("<br>")[0] for text in texts] == ["k3-s1-p1"] * 2
    assert set(names) == {
        frozenset({"pool_after none, pool max"}),
        frozenset({"pool_after 1, pool max", "pool_after 1, pool avg"}),
    }


def test_map_sizes_join_groups_of_equal_maps(make_study: Make, tmp_path: Path) -> None:
    for rate in (0.01, 0.02):
        make_study(tmp_path / "s", (3,), (1,), ("half",), (0,), config={"optim": {"lr": rate}})
    runs = load(tmp_path)

    (row,) = data(map_sizes(runs))

    assert sorted(row["customdata"][0]) == sorted(runs["group"])


def learn(runs: DataFrame, values: dict[int, list[float]]) -> None:
    """Give the run of each seed its `val/accuracy` by epoch."""
    for seed, path in zip(runs["seed"], runs["path"], strict=True):
        cells = [f"{e},{e},,,,{v},,,,," for e, v in enumerate(values[seed], start=1)]
        header = (
            "epoch,step,train/loss,train/accuracy,val/loss,val/accuracy,optim/lr,"
            "throughput/train_samples_per_sec,throughput/eval_samples_per_sec,"
            "throughput/step_ms,memory/peak_mb"
        )
        Path(path, "history.csv").write_text("\n".join([header, *cells, ""]))


@pytest.fixture
def one(make_study: Make, tmp_path: Path) -> DataFrame:
    """One variant with two seeds."""
    return load(make_study(tmp_path / "s", (3,), (1,), ("half",), (0, 1), metrics=planted))


def test_curves_are_the_mean_over_the_seeds_within_a_band(one: DataFrame) -> None:
    learn(one, {0: [0.5, 0.9, 0.97], 1: [0.7, 0.8]})

    band, line = data(curves(one))

    assert line["x"] == [1, 2, 3]
    assert line["y"] == pytest.approx([0.6, 0.85, 0.97])
    assert band["x"] == [1, 2, 3, 3, 2, 1]
    assert band["y"] == [0.7, 0.9, 0.97, 0.97, 0.8, 0.5]
    group = one["group"].iloc[0]
    assert line["customdata"] == [group] * 3
    assert line["hovertext"][1] == "k3-s1-p1<br>epoch 2: 85.00 % (80.00 % to 90.00 %)<br>2 runs"
    assert line["hovertext"][2] == "k3-s1-p1<br>epoch 3: 97.00 %<br>1 run"


def test_of_a_history_longer_than_a_figure_is_wide_fewer_epochs_are_drawn(one: DataFrame) -> None:
    learn(one, {seed: [0.5 + epoch / 20_000 for epoch in range(5_001)] for seed in (0, 1)})

    figure = curves(one)

    band, line = data(figure)
    # Every third of 5,001, the last one included.
    assert line["x"] == list(range(3, 5_002, 3))
    assert len(band["x"]) == 2 * 1_667
    assert line["y"][-1] == pytest.approx(0.75)
    assert "one of every 3 epochs is drawn" in text_of(figure)


def test_axes_of_curves_hold_all_of_them(make_study: Make, tmp_path: Path) -> None:
    grid = ((3, 5, 7), (1, 2), (0, "half"))
    runs = load(make_study(tmp_path / "s", *grid, (0, 1, 2), results_by_name))
    learn(runs, {seed: [0.1 + seed / 100, 0.9, 0.98, 0.99 - seed / 1000] for seed in range(3)})

    figure = curves(runs)

    drawn, layout = data(figure), figure["layout"]
    lines, bands = ([t for t in drawn if (t["mode"] == "none") == is_band] for is_band in (0, 1))
    assert len(lines) == len(bands) == 12
    low, high = layout["yaxis"]["range"]
    values = [value for trace in drawn for value in trace["y"]]
    assert (min(values), max(values)) == (0.1, 0.99)
    assert low < 0.1 < 0.99 < high < 1.05
    # Bands of three kernel sizes in each panel, and one zoom for all panels.
    panels = [note["text"] for note in layout["annotations"]]
    assert panels == [f"stride {s}, padding {p}" for s in (1, 2) for p in ("valid", "half")]
    assert [layout[f"yaxis{n}"]["matches"] for n in (2, 3, 4)] == ["y"] * 3
    assert [layout[f"xaxis{n}"]["matches"] for n in (2, 3, 4)] == ["x"] * 3


def test_an_unfinished_run_does_not_bend_its_group_s_curve(one: DataFrame) -> None:
    learn(one, {0: [0.5, 0.9], 1: [0.1]})
    one.loc[one["seed"] == 1, "status"] = "interrupted"

    (line,) = data(curves(one))

    assert line["y"] == [0.5, 0.9]


def test_a_pruned_run_has_no_curve(one: DataFrame) -> None:
    learn(one, {0: [0.5, 0.9], 1: [0.1]})
    one["status"] = "pruned"
    with pytest.raises(UserError, match="no run has val/accuracy in its history"):
        curves(one)


def test_what_cannot_be_read_is_named_and_no_link_is_followed(
    one: DataFrame, tmp_path: Path
) -> None:
    learn(one, {0: [0.5, 0.9], 1: [0.7, 0.8]})
    history = Path(one.loc[one["seed"] == 1, "path"].iloc[0], "history.csv")
    elsewhere = history.rename(tmp_path / "elsewhere.csv")
    history.symlink_to(elsewhere)

    figure = curves(one)

    (line,) = data(figure)
    assert line["y"] == [0.5, 0.9]
    assert "history.csv is not a regular file<br>" in text_of(figure)


@pytest.mark.parametrize("figure", [one.draw for one in FIGURES.values()], ids=FIGURES)
@pytest.mark.parametrize("paddings", [None, (0,)], ids=["no run", "impossible alone"])
def test_a_figure_without_anything_to_show_says_so(
    figure: Callable[[DataFrame], go.Figure],
    paddings: tuple[int] | None,
    make_study: Make,
    tmp_path: Path,
) -> None:
    runs = (
        tabulate([])[0]
        if paddings is None
        else load(make_study(tmp_path / "s", (7,), (3,), paddings))
    )

    with pytest.raises(UserError) as error:
        figure(runs)

    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("figure", "argument"),
    [
        *((accuracy_against, "cost"), (heat, "value"), (curves, "metric"), (effects, "of")),
        (diagnostic_maps, "array"),
    ],
)
def test_an_unknown_choice_is_refused(
    figure: Callable[..., go.Figure], argument: str, runs: DataFrame
) -> None:
    with pytest.raises(UserError, match=f"{argument} must be one of .*, got no_such"):
        figure(runs, **{argument: "no_such"})


def contrast(first: str, second: str) -> float:
    """WCAG 2.2: relative luminance, contrast ratio."""

    def luminance(colour: str) -> float:
        shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return sum(w * s for w, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_marks_stand_out_from_their_page() -> None:
    for light, dark in ON_DARK.items():
        assert contrast(light, LIGHT) >= 3
        assert contrast(dark, DARK) >= 3


def test_no_two_variants_look_alike_unless_the_legend_says_so(make_runs: Runs) -> None:
    kernels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, (1, 3, 3), (5, 3, 3), (7, 5, 3), (9, 5, 3), "3x5"]
    strides = [1, 2, 3, (2, 1, 1), (1, 2, 1), (2, 2, 1), (1, 1, 2)]
    runs = make_runs(
        {(k, s, p): [0.9] for k in kernels for s in strides for p in ("half", 1, 4, "1x2")}
    )
    of = variant_style(grouped(runs))

    seen = of[["colour", "size", "shape", "fill", "ring"]].apply(tuple, axis="columns")
    assert len(seen) > 300
    assert seen.nunique() == len(seen)
    titles = []
    for channel in ("colour", "shape", "fill"):
        titles.append({title for title, _, _ in legend_entries(of, channel)})
        named = [name for _, name, _ in legend_entries(of, channel)]
        assert sorted(named) == sorted(of[f"{channel}_of"].unique())
    assert titles == [{"kernel size"}, {"stride"}, {"padding"}]
    lines = of[["colour", "width", "shape", "dash"]].apply(tuple, axis="columns")
    assert lines.nunique() == len(lines)


def test_levels_that_look_alike_share_one_entry_of_the_legend(make_runs: Runs) -> None:
    runs = make_runs({(11, 1, padding): [0.9] for padding in range(10)})
    of = variant_style(grouped(runs))

    # 0 is valid, 5 half and 10 would be full: of the others three have a look of their own.
    names = [name for _, name, _ in legend_entries(of, "fill")]

    assert names == ["valid", "half", "p1", "p2", "p3", "p4 and 4 more"]


@pytest.mark.parametrize("dark", [False, True])
def test_a_style_changes_colours_and_no_number(runs: DataFrame, dark: bool) -> None:
    figure = accuracy_against(runs, "macs")
    before = figure.to_json()

    drawn = styled(figure, dark)

    assert figure.to_json() == before
    assert data(drawn)[1]["y"] == data(figure)[1]["y"]
    colours = set(data(drawn)[1]["marker"]["color"])
    assert colours == ({"#56b4e9", "#f08a3c"} if dark else {"#0072b2", "#d55e00"})
    scale = drawn["layout"]["template"]["layout"]["coloraxis"]["colorscale"]
    assert all(contrast(CELL_INK, colour) >= 4.5 for _, colour in scale)


def diagnose(runs: DataFrame) -> DataFrame:
    """The runs with an effective receptive field each, on disk too."""
    rng = np.random.default_rng(0)
    for path in runs["path"]:
        arrays = {"erf": rng.random((224, 224)), "shift_accuracy": rng.random((9, 9))}
        write_arrays(RunDirectory(Path(path)).diagnostics, arrays)
    return runs.assign(erf_side=9.0, erf_share=0.5, shift_change=0.125)


@pytest.fixture
def thousand(make_runs: Runs, tmp_path: Path) -> DataFrame:
    """320 groups of 3 seeds in 8 settings, each run with the history of 5 epochs."""
    accuracies = {
        (size, stride, padding): [0.96 + 0.004 * size - 0.003 * stride + 0.0005 * n for n in (0, 2)]
        + [0.97]
        for size in (3, 4, 5, 6, 7)
        for stride in (1, 2, 3, 4)
        for padding in ("half", "full")
    }
    decays = [make_runs(accuracies, config={"optim": {"weight_decay": n / 9}}) for n in range(8)]
    runs = with_settings(pd.concat(decays, ignore_index=True))
    runs["path"] = [str(tmp_path / str(number)) for number in runs.index]
    for path in runs["path"]:
        Path(path).mkdir()
    learn(runs, {seed: [0.5, 0.8, 0.9, 0.95, 0.96] for seed in range(3)})
    return diagnose(runs)


def test_a_thousand_runs_are_quick_and_small(thousand: DataFrame) -> None:
    assert len(thousand) > 800
    for name, figure in FIGURES.items():
        figure.draw(thousand)
        started = time.process_time()
        drawn = figure.draw(thousand)
        # A generous multiple of what it takes, for a slow machine.
        assert time.process_time() - started < 1.5, name
        assert len(drawn.to_json()) < 500_000, name


@pytest.fixture
def hostile(make_study: Make, tmp_path: Path) -> DataFrame:
    """Two settings, one of them with a data set whose name is markup."""
    for name in ("mnist", HOSTILE):
        make_study(
            tmp_path / "s",
            (3, 5),
            (1, 2),
            ("half",),
            metrics=planted,
            config={"data": {"name": name}},
        )
    runs = load(tmp_path)
    learn(runs, {seed: [0.5, 0.8, 0.9] for seed in range(3)})
    return diagnose(runs)


def test_names_are_escaped_in_every_figure(hostile: DataFrame) -> None:
    for name, figure in FIGURES.items():
        assert "<img" not in figure.draw(hostile).to_json().replace("\\u003c", "<"), name
    assert "&lt;img src=x onerror=alert(1)&gt;%{x}&amp;amp;" in " ".join(
        note["text"].replace("<br>", " ")
        for note in accuracy_against(hostile)["layout"]["annotations"]
    )


def test_figures_are_drawn_without_error_or_request(hostile: DataFrame, browser: "Browser") -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url))
    page.set_content("<!doctype html><title>figures</title>")
    page.add_script_tag(path=Path(plotly.__file__).parent / "package_data" / "plotly.min.js")
    for name, figure in FIGURES.items():
        # Parallel lines are drawn by WebGL, which a browser without a graphics card has not.
        if name == "parallel":
            continue
        page.evaluate(
            """async ([name, figure]) => {
              const place = document.body.appendChild(document.createElement('div'));
              place.id = name;
              await Plotly.newPlot(place, figure.data, figure.layout, {displaylogo: false});
            }""",
            [name, json.loads(styled(figure.draw(hostile), dark=False).to_json())],
        )

    assert said == []
    assert page.locator("img").count() == 0
    title = page.locator("#accuracy_against .annotation-text").all_text_contents()
    assert any(HOSTILE in text.replace("\n", "") for text in title), title
    assert overlapping(page.locator(".xtick text, .ytick text, .annotation-text")) == []
    page.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_texts_of_the_points_overlap_nothing(
    width: int, make_study: Make, tmp_path: Path, browser: "Browser"
) -> None:
    grid = ((3, 5, 7), (1, 2), ("half", "full"))
    runs = load(make_study(tmp_path / "s", *grid, (0, 1, 2), results_by_name))
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_content("<!doctype html><title>points</title><div id=place></div>")
    page.add_script_tag(path=Path(plotly.__file__).parent / "package_data" / "plotly.min.js")
    page.evaluate(
        "({data, layout}) => Plotly.newPlot('place', data, layout)",
        json.loads(styled(accuracy_against(runs), dark=False).to_json()),
    )
    names = page.locator(".textpoint text")
    texts = [text for text in names.all_text_contents() if text]
    assert len(texts) >= 9, "of 12 variants most are named"
    best = runs.groupby("variant")["test_accuracy"].mean().idxmax()
    assert best in texts
    assert overlapping(page.locator(".textpoint text, .xtick text, .ytick text")) == []
    ticks = page.locator(".xtick text").evaluate_all(
        "ticks => ticks.map(tick => tick.getBoundingClientRect()).map(b => [b.left, b.right])"
    )
    gaps = [right[0] - left[1] for left, right in itertools.pairwise(sorted(ticks))]
    assert min(gaps) > 8
    page.close()


def overlapping(texts: Any) -> list[tuple[str, str]]:
    """Pairs of texts of one figure whose boxes share more than a line's edge."""
    boxes = texts.evaluate_all(
        """texts => texts.map(text => {
          const {left, right, top, bottom} = text.getBoundingClientRect();
          return {text: text.textContent, left, right, top, bottom};
        })"""
    )
    return [
        (a["text"], b["text"])
        for place, a in enumerate(boxes)
        for b in boxes[:place]
        if min(a["right"], b["right"]) - max(a["left"], b["left"]) > 2
        and min(a["bottom"], b["bottom"]) - max(a["top"], b["top"]) > 4
    ]


@pytest.mark.parametrize("chosen", ["plotly_mimetype", "vscode"])
def test_a_saved_notebook_shows_its_figures_without_a_network(
    chosen: str,
    runs: DataFrame,
    browser: "Browser",
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What Jupyter keeps of a cell's outputs is put into a page, as nbconvert does it."""
    kept: list[str] = []
    display = SimpleNamespace(
        display=lambda bundle, raw: kept.append(bundle["text/html"]),
        display_html=lambda html, raw: kept.append(html),
    )
    for module in (_renderers, _base_renderers):
        monkeypatch.setattr(module, "ipython_display", display)
    monkeypatch.setattr(_renderers, "nbformat", SimpleNamespace(__version__="5.0"))
    monkeypatch.setattr(plotly.io.renderers, "default", chosen)
    accuracy_against(runs, "macs")._ipython_display_()
    effects(runs).show()
    assert [len(html) > 1_000_000 for html in kept] == [True, False, False]
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html><meta charset=utf-8>{''.join(kept)}", "utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(notebook.as_uri())
    page.locator(".js-plotly-plot").nth(1).locator("svg").first.wait_for()
    assert page.locator(".js-plotly-plot").first.locator(".point").count() == (
        len(ACCURACY) + len(runs)
    )
    context.close()


def test_another_renderer_that_the_user_chose_stays(
    runs: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plotly.io.renderers, "default", "svg")
    accuracy_against(runs, "macs")
    assert plotly.io.renderers.default == "svg"
