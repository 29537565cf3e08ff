"""Diagnostics in tables, statistics, findings, figures and reports; studies without any."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas import DataFrame
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.libqsturng import qsturng

from convscope import plots
from convscope.analysis.diff import compare
from convscope.analysis.findings import caveats, describe_methods, sentences, summarize
from convscope.analysis.frame import row, tabulate
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import differences
from convscope.analysis.pareto import chosen_front
from convscope.analysis.select import select_runs
from convscope.analysis.table import to_records
from convscope.errors import UserError
from convscope.metrics import METRICS, diagnostics, metrics_of
from convscope.plots.effects import OF
from convscope.plots.heat import VALUE
from convscope.report.comparison import side_by_side, variants
from convscope.report.document import Listing
from convscope.report.export import as_csv
from convscope.tensorboard_plugin.api import _table

from ..studies import both, diagnosed, make_record, results

Conv = tuple[object, object, object]
Make = Callable[..., DataFrame]

HEADS = ["1 px changes", "ERF", "ECE"]
# In steps of 1 / 2,000: four directions of 500 images.
CHANGES: dict[Conv, list[float]] = {
    (3, 1, "half"): [0.008, 0.009, 0.0095],
    (3, 2, "half"): [0.040, 0.041, 0.0425],
    (7, 1, "half"): [0.0045, 0.0055, 0.006],
    (7, 2, "half"): [0.020, 0.0205, 0.022],
}
SIDES: dict[Conv, list[float]] = {
    (3, 1, "half"): [7, 7, 9],
    (3, 2, "half"): [11, 13, 13],
    (7, 1, "half"): [17, 19, 21],
    (7, 2, "half"): [23, 25, 25],
}


def planted(conv: Conv, seed: int) -> dict[str, float]:
    side = SIDES[conv][seed]
    return {
        "shift_change": CHANGES[conv][seed],
        "erf_side": side,
        "erf_share": side**2 / 1024,
        "ece": 0.0125,
        "position_r2": -0.25 - seed / 100,
        "equivariance_error": 0.4,
    }


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The table of four variants with three seeds; those of `without` have no diagnostics."""

    def runs(
        without: Sequence[tuple[Conv, int]] = (),
        accuracies: Mapping[Conv, Sequence[float]] | None = None,
        values: Callable[[Conv, int], Mapping[str, float]] = planted,
        seeds: int = 3,
        **how: Any,
    ) -> DataFrame:
        records = []
        for conv in CHANGES:
            for seed in range(seeds):
                accuracy = (accuracies or {}).get(conv, [0.97, 0.972, 0.974])[seed]
                metrics = results("", seed) | both(accuracy)
                record = make_record(tmp_path / "study", conv, seed, lambda *_, m=metrics: m)
                if (conv, seed) not in without:
                    other = how if conv == (7, 2, "half") else {}
                    record = diagnosed(record, values(conv, seed), **other)
                records.append(record)
        return tabulate([row(record) for record in records])[0]

    return runs


NONE = [(conv, seed) for conv in CHANGES for seed in range(3)]


def columns(runs: DataFrame, single: bool, width: int = 1000) -> dict[str, tuple[str, ...]]:
    table, _ = variants(runs, single, width)
    return dict(zip(table.columns, zip(*table.rows, strict=True), strict=True))


def test_a_table_has_three_columns_of_them(make: Make) -> None:
    shown = columns(make(), single=False)
    assert [shown[head] for head in HEADS] == [
        ("0.88 %", "4.12 %", "0.53 %", "2.08 %"),
        ("7.67", "12.3", "19", "24.3"),
        ("1.25 %",) * 4,
    ]
    of_runs = columns(make(), single=True)
    assert of_runs["1 px changes"][:3] == ("0.80 %", "0.90 %", "0.95 %")
    assert of_runs["ERF"][:3] == ("7", "7", "9")


def test_the_legend_says_what_they_are_and_of_how_many_images(make: Make) -> None:
    said = (
        "ERF: side of the square with half of the effective receptive field, pixels; 1 px changes:"
        " answers that change when the image moves by one pixel, mean of four directions, {};"
        " ECE: expected calibration error"
    )
    assert variants(make(), single=False, width=1000)[1].endswith(said.format("500 test images"))
    mixed = variants(make(images=10_000, level="full"), single=False, width=1000)[1]
    assert mixed.endswith(said.format("500 to 10,000 test images"))


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (80, ["variant", "val accuracy", "test accuracy", "seeds", "samples/s", "map", "MACs"]),
        (94, ["samples/s", "1 px changes", "map", "MACs"]),
        (120, ["samples/s", "1 px changes", "ERF", "map", "RF", "MACs", "params"]),
        (200, ["samples/s", "step ms", *HEADS, "map", "RF", "MACs", "params"]),
    ],
)
def test_a_narrow_table_keeps_the_changes_longest(make: Make, width: int, heads: list[str]) -> None:
    shown = [
        head.removeprefix("<") for head in variants(make(), single=False, width=width)[0].columns
    ]
    assert shown[-len(heads) :] == heads


def test_a_run_without_them_shows_a_dash(make: Make) -> None:
    runs = make(without=[(conv, seed) for conv, seed in NONE if conv != (3, 1, "half") or seed])
    shown = columns(runs, single=False)
    assert [shown[head] for head in HEADS] == [
        (one, "–", "–", "–") for one in ("0.80 %", "7", "1.25 %")
    ]
    assert columns(runs, single=True)["ERF"] == ("7", *["–"] * 11)


def test_without_any_nothing_is_shown(make: Make) -> None:
    runs = make(without=NONE)
    for single in (False, True):
        assert not set(HEADS) & set(columns(runs, single))
        names = to_records(runs, single=single)[0]
        assert not any(name.startswith((*diagnostics(), "diagnostic_")) for name in names)
    legend = variants(runs, single=False, width=1000)[1]
    assert not any(head in legend for head in HEADS)
    told = sentences([*summarize(runs), *caveats(runs), *describe_methods(runs)])
    assert not any("iagnostic" in line or "shift" in line or "effective" in line for line in told)
    assert not set(diagnostics()) & {one["key"] for one in _table(runs)["metrics"]}
    for name in diagnostics():
        message = f"no finished run has {METRICS[name].title}: compare.py --diagnose STUDY"
        for draw, key in ((plots.accuracy_against, "cost"), (plots.heat, "value")):
            with pytest.raises(UserError, match=message):
                draw(runs, **{key: name})
    with pytest.raises(UserError, match="no finished run has answers changed by a shift of 1 px"):
        plots.effects(runs, of="shift_change")


def test_tables_for_programs_have_all_that_a_run_has(make: Make) -> None:
    runs = make(without=[((7, 2, "half"), seed) for seed in range(3)])
    (first, *_, last) = csv.DictReader(io.StringIO(as_csv(to_records(runs))))
    changes = CHANGES[3, 1, "half"]
    assert float(first["shift_change"]) == pytest.approx(np.mean(changes))
    assert float(first["shift_change_std"]) == pytest.approx(np.std(changes, ddof=1))
    assert float(first["position_r2_low"]) < -0.25 < float(first["position_r2_max"]) + 0.01
    assert (first["diagnostic_images"], last["diagnostic_images"]) == ("500", "")
    assert (last["shift_change"], last["erf_side_max"]) == ("", "")
    # No run has these.
    assert not {"brier", "aliasing_std"} & set(first)
    single = to_records(runs, single=True)
    assert [one["erf_side"] for one in single[:3]] == SIDES[3, 1, "half"]
    assert single[0]["diagnostic_images"] == 500
    json.dumps(single, allow_nan=False)


def test_lines_are_selected_and_sorted_by_them(make: Make) -> None:
    runs = make()
    few = select_runs(runs, "shift_change < 0.02", "shift_change", single=False)
    assert few["variant"].unique().tolist() == ["k7-s1-p3", "k3-s1-p1"]
    widest = select_runs(runs, None, "-erf_side", single=True)
    assert widest["erf_side"].tolist()[:3] == [25, 25, 23]
    some = make(without=[((3, 1, "half"), seed) for seed in range(3)])
    none = select_runs(some, "shift_change == null", None, single=False)
    assert none["variant"].unique().tolist() == ["k3-s1-p1"]
    for name in ("shift_change", "shift_change_high"):
        message = f"shares are fractions: compare {name} with 0.02, got {name} < 2"
        with pytest.raises(UserError, match=message):
            select_runs(runs, f"{name} < 2", None, single=False)
    assert len(select_runs(runs, "erf_side > 20", None, single=False)) == 3


def test_an_interval_allows_for_rounding(make: Make) -> None:
    """Equal seeds: 1 / (500 sqrt(12)) of a share, 2 / sqrt(12) pixels of a side."""

    def equal(conv: Conv, _: int) -> dict[str, float]:
        return {"shift_change": 0.02, "erf_side": 9 if conv[0] == 3 else 10}

    runs = make(values=equal)
    group = grouped(runs).iloc[0]
    half = stats.t.ppf(0.975, 2) / np.sqrt(3 * 12)
    assert group["shift_change_high"] - 0.02 == pytest.approx(half / 500)
    assert group["erf_side_high"] - 9 == pytest.approx(2 * half)
    # One step of rounding between means is no difference that three seeds show.
    assert not differences(runs, "erf_side")["differs"].any()


def test_differences_at_another_level_are_those_of_scipy(make: Make) -> None:
    runs = make()
    samples = list(CHANGES.values())
    expected = stats.tukey_hsd(*samples)
    ends = expected.confidence_interval(0.975)
    found = differences(runs, "shift_change", level=0.025).set_index(["first", "second"])
    groups = [runs[runs["variant"] == name]["group"].iloc[0] for name in ("k3-s2-p1", "k3-s1-p1")]
    one = found.loc[tuple(groups)]
    assert one["method"] == "Tukey HSD"
    assert one["p_value"] == pytest.approx(expected.pvalue[1, 0], abs=1e-6)
    assert (one["low"], one["high"]) == pytest.approx((ends.low[1, 0], ends.high[1, 0]), abs=1e-6)
    # Between both levels: different at 5 % and not at 2.5 %.
    p_value = found["p_value"].sort_values().iloc[-1]
    for level in (p_value * 1.01, p_value * 0.99):
        last = differences(runs, "shift_change", level=level)["differs"]
        assert last.all() == (level > p_value)


def test_findings_name_the_ends_and_their_difference(make: Make) -> None:
    """Against scipy's Tukey test, statsmodels' analysis of variance, and by hand."""
    runs = make()
    said = [
        line
        for line in sentences(summarize(runs))
        if "pixel changes" in line or "effective" in line
    ]
    samples = {conv: np.array(values) for conv, values in CHANGES.items()}
    ends = stats.tukey_hsd(*samples.values()).confidence_interval(1 - 0.05 / 2)
    low, high = (100 * end[1, 2] for end in (ends.low, ends.high))
    model = ols("shift_change ~ C(kernel_size) * C(stride)", runs).fit()
    table = anova_lm(model, typ=2)
    assert (table["PR(>F)"].dropna() < 0.05 / 3).all()
    shares = 100 * table["sum_sq"] / table["sum_sq"].sum()
    assert said[0] == (
        "A shift of one pixel changes 4.12 % of k3-s2-p1's answers to 500 test images, the most,"
        " and 0.53 % of k7-s1-p3's, the fewest: significantly different, by 3.58 points (95 %"
        f" interval {low:.2f} to {high:.2f}); of the variance between runs, stride accounts for"
        f" {shares['C(stride)']:.0f} %, kernel size {shares['C(kernel_size)']:.0f} % and the"
        f" interaction of kernel size with stride {shares['C(kernel_size):C(stride)']:.0f} %."
    )
    # Spreads of the seeds that are no smaller than rounding to steps of 2 pixels hides.
    spreads = [max(np.var(values, ddof=1), 4 / 12) for values in SIDES.values()]
    half = qsturng(1 - 0.05 / 2, 4, 8) * np.sqrt(np.mean(spreads) / 3)
    gap = 73 / 3 - 23 / 3
    assert said[1:] == [
        "Half of k7-s2-p3's effective receptive field lies within a square of 24.3 px (58 % of the"
        " receptive field's area), half of k3-s1-p1's within 7.67 px (6 %): significantly"
        f" different, by 16.7 px (95 % interval {gap - half:.1f} to {gap + half:.1f})."
    ]


def test_what_is_not_significant_is_said_to_be(make: Make) -> None:
    def near(conv: Conv, seed: int) -> dict[str, float]:
        return {"shift_change": 0.02 + 0.001 * seed + (0.0005 if conv == (3, 1, "half") else 0)}

    (line,) = [line for line in sentences(summarize(make(values=near))) if "pixel" in line]
    half = qsturng(1 - 0.05 / 2, 4, 8) * 0.1 / np.sqrt(3)
    assert line == (
        "A shift of one pixel changes 2.15 % of k3-s1-p1's answers to 500 test images, the most,"
        " and 2.10 % of k3-s2-p1's, the fewest: not significantly different (a significant"
        f" difference would have to exceed {half:.2f} points)."
    )


def test_as_accurate_and_steadier(make: Make) -> None:
    """k3-s2-p1 is chosen; of the others, k7-s1-p3 is significantly less accurate."""
    runs = make(
        accuracies={
            (3, 2, "half"): [0.981, 0.982, 0.983],
            (3, 1, "half"): [0.980, 0.981, 0.982],
            (7, 1, "half"): [0.960, 0.961, 0.962],
            (7, 2, "half"): [0.979, 0.980, 0.981],
        }
    )
    (line,) = [
        line for line in sentences(summarize(runs)) if line.startswith("Of the variants whose")
    ]
    assert line == (
        "Of the variants whose test accuracy is not significantly different from k3-s2-p1's,"
        " k3-s1-p1 (0.88 %) and k7-s2-p3 (2.08 %) change significantly fewer answers than it"
        " (4.12 %)."
    )
    # None is steadier than the steadiest.
    steadiest = make(accuracies={(7, 1, "half"): [0.974, 0.975, 0.976]})
    assert not any(
        line.startswith("Of the variants whose") for line in sentences(summarize(steadiest))
    )


def test_single_runs_show_no_difference(make: Make) -> None:
    said = [
        line
        for line in sentences(summarize(make(seeds=1)))
        if "pixel" in line or "effective" in line
    ]
    assert said == [
        "A shift of one pixel changes 4.00 % of k3-s2-p1's answers to 500 test images, the most,"
        " and 0.45 % of k7-s1-p3's, the fewest: whether other seeds would show the same is not"
        " known.",
        "Half of k7-s2-p3's effective receptive field lies within a square of 23 px (52 % of the"
        " receptive field's area), half of k3-s1-p1's within 7 px (5 %): whether other seeds would"
        " show the same is not known.",
    ]


def test_equal_answers_are_said_to_be_equal(make: Make) -> None:
    said = sentences(
        summarize(make(values=lambda *_: {"shift_change": 0.0, "erf_side": 9, "erf_share": 0.5}))
    )
    (line,) = [line for line in said if "pixel" in line or "effective" in line]
    assert (
        line == "A shift of one pixel changes 0.00 % of every variant's answers to 500 test images."
    )


def test_different_images_are_not_compared(make: Make) -> None:
    runs = make(images=10_000, level="full")
    assert not any("pixel" in line or "effective" in line for line in sentences(summarize(runs)))
    (line,) = [line for line in sentences(caveats(runs)) if line.startswith("Diagnostics")]
    assert line == (
        "Diagnostics were measured on different numbers of test images (500 and 10,000): they do"
        " not compare the variants. The commands that trained these runs, with diagnostics=full,"
        " measure all of them on all test images."
    )


def test_what_limits_them_is_said(make: Make) -> None:
    assert not any("iagnostics" in line for line in sentences(caveats(make())))
    (line,) = [line for line in sentences(caveats(make(without=NONE[:4]))) if "iagnostics" in line]
    assert line == ("4 of 12 runs have no diagnostics: compare.py --diagnose measures them.")
    (line,) = [
        line for line in sentences(caveats(make(device="NVIDIA H100"))) if "iagnostics" in line
    ]
    assert line == (
        "Diagnostics were measured on AMD EPYC with torch 2.14.1 and NVIDIA H100 with torch"
        " 2.14.1: small differences may come from rounding."
    )
    (line,) = [
        line for line in sentences(describe_methods(make())) if line.startswith("Diagnostics")
    ]
    assert "on 500 test images that are evenly spaced in the test" in line


def test_two_variants_side_by_side(make: Make) -> None:
    runs = make(seconds=99.0, measured_at="2026-03-01T12:00:00Z")
    late = runs["variant"] == "k7-s2-p3"
    found = {one.key: one for one in compare(runs, runs[~late].head(1), runs[late]).rows}
    assert not {"diagnostics.seconds", "diagnostics.measured_at"} & set(found)
    assert found["diagnostics.images"].first == found["diagnostics.images"].second == 500
    sides = [runs[runs["variant"] == variant] for variant in ("k3-s1-p1", "k3-s2-p1")]
    (listing,) = (one for one in side_by_side(compare(runs, *sides)) if isinstance(one, Listing))
    rows = {cells[1]: cells[2:] for cells in listing.table.rows}
    ends = stats.tukey_hsd(*CHANGES.values()).confidence_interval(0.95)
    low, high = (100 * end[1, 0] for end in (ends.low, ends.high))
    assert rows["shift_change"] == (
        "0.88 ± 0.08 %",
        "4.12 ± 0.13 %",
        "+3.23 points",
        f"{low:+.2f} to {high:+.2f} points",
        "<0.001",
    )
    assert rows["erf_side"][:3] == ("7.7 ± 1.2", "12.3 ± 1.2", "+4.67")
    assert "ece" not in rows
    one, other = (side.head(1) for side in sides)
    blocks = side_by_side(compare(runs, one, other))
    (listing,) = (block for block in blocks if isinstance(block, Listing))
    rows = {r[1]: r[2:] for r in listing.table.rows}
    assert rows["shift_change"] == ("0.80 %", "4.00 %", "+3.20 points")
    assert rows["erf_side"] == ("7", "11", "x1.57")


def test_a_front_of_accuracy_and_answers_that_change(make: Make) -> None:
    accuracies = {conv: [0.96 + 0.02 * CHANGES[conv][0] / 0.04] * 3 for conv in CHANGES}
    groups = grouped(make(accuracies=accuracies | {(7, 2, "half"): [0.95] * 3}))
    names = groups["variant"]
    # The more accurate, the more answers change, but for k7-s2-p3.
    assert names[chosen_front(groups, "shift_change")].tolist() == [
        *("k7-s1-p3", "k3-s1-p1", "k3-s2-p1")
    ]
    assert chosen_front(groups, "erf_side") == []
    drawn = plots.accuracy_against(make(), "shift_change")
    # What fits 360 pixels.
    assert drawn.layout.xaxis.title.text == "answers changed by a shift of 1 px"
    assert drawn.layout.title.text.startswith(
        "Accuracy against<br>answers changed by a shift of 1 px<br>"
    )
    assert plots.accuracy_against(make(), "erf_side").layout.xaxis.title.text == (
        "effective receptive field, px"
    )
    # A direction neither is better in.
    assert (
        plots.accuracy_against(
            make(values=lambda conv, seed: planted(conv, seed) | {"filter_asymmetry": 0.3 + seed}),
            "filter_asymmetry",
        ).layout.xaxis.title.text
        == "filter asymmetry"
    )


def test_a_heat_map_marks_what_was_not_measured(make: Make) -> None:
    runs = make(without=[((7, 2, "half"), seed) for seed in range(3)])
    figure = plots.heat(runs, "shift_change")
    known, holes = json.loads(figure.to_json())["data"]
    assert known["text"] == [["0.88", "4.12"], ["0.53", ""]]
    assert holes["text"] == [["", ""], ["", "–"]]
    assert figure.layout.title.text.endswith("<br>– not measured")


def test_effects_on_a_diagnostic(make: Make) -> None:
    figure = plots.effects(make(), of="shift_change")
    _, means, bars = json.loads(figure.to_json())["data"]
    mean = {conv: np.mean(values) for conv, values in CHANGES.items()}
    expected = [
        (mean[3, 1, "half"] + mean[3, 2, "half"]) / 2,
        (mean[7, 1, "half"] + mean[7, 2, "half"]) / 2,
        (mean[3, 1, "half"] + mean[7, 1, "half"]) / 2,
        (mean[3, 2, "half"] + mean[7, 2, "half"]) / 2,
    ]
    assert means["x"] == pytest.approx(expected)
    assert sum(bars["x"]) == pytest.approx(1)
    assert figure.layout.title.text == "Effects on<br>answers changed by a shift of 1 px"
    assert means["hovertext"][0].startswith("kernel size 3<br>2.50 % (95 % interval ")
    sides = plots.effects(make(), of="erf_side")
    assert sides.layout.annotations[0].text == "adjusted mean, px, 95 % interval"
    assert sides.data[1].hovertext[0].startswith("kernel size 3<br>10 px (95 % interval ")
    # Negative values are possible, and no extrapolation.
    below = plots.effects(make(), of="position_r2")
    assert set(below.data[1].marker.symbol) == {"circle"}
    with pytest.raises(
        UserError, match="of must be one of test_accuracy, shift_change, .*got macs"
    ):
        plots.effects(make(), of="macs")


def test_parallel_coordinates_leave_out_axes_that_not_all_have(make: Make) -> None:
    def axes(runs: DataFrame) -> list[str]:
        return [one.label for one in plots.parallel(runs).data[0].dimensions]

    assert {"1 px changes %", "ERF px"} <= set(axes(make()))
    (ticks,) = [
        one.ticktext
        for one in plots.parallel(make()).data[0].dimensions
        if one.label == "1 px changes %"
    ]
    assert ticks == ("0.53", "0.88", "2.08", "4.12")
    runs = make(without=[((7, 2, "half"), seed) for seed in range(3)])
    assert not {"1 px changes %", "ERF px"} & set(axes(runs))
    figure = plots.parallel(runs)
    assert len(figure.data[0].customdata) == 4
    title = figure.layout.title.text.replace("<br>", " ")
    assert "not measured for all: effective receptive field and answers changed by a" in title


def test_the_tab_offers_only_what_a_run_has(make: Make) -> None:
    told = _table(make())
    assert {"brier", "aliasing", "latency_b1_p50_ms"} <= set(told["absent"])
    assert not {"shift_change", "erf_side", "test_accuracy", "macs"} & set(told["absent"])
    named = {one["key"]: one for one in told["metrics"]}
    assert named["shift_change"]["title"] == "1 px changes"
    assert named["shift_change"]["measured"] is True
    assert [group["texts"]["erf_side"] for group in told["groups"]] == [
        "7.67",
        "12.3",
        "19",
        "24.3",
    ]


def test_every_one_is_drawn_where_metrics_are_chosen() -> None:
    assert set(diagnostics()) <= set(VALUE.options) & set(OF.options)
    assert {one.name for one in metrics_of("parallel")} & set(diagnostics()) == {
        *("shift_change", "erf_side", "ece")
    }
