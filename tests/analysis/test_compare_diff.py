"""Two records side by side: rows against the configs and geometries that made them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas import DataFrame
from scipy import stats

from convscope.analysis.diff import DiffRow, compare
from convscope.analysis.frame import row, tabulate, with_settings
from convscope.report.comparison import side_by_side
from convscope.report.document import Listing
from convscope.runs.record import RunRecord
from convscope.runs.study import read_study

MakeStudy = Callable[..., Path]
Runs = Callable[..., DataFrame]


@pytest.fixture
def make_one(make_study: MakeStudy, tmp_path: Path) -> Callable[..., RunRecord]:
    """The record of one run, read back from disk."""

    def make(kernel_size: object, stride: object, padding: object, **options: Any) -> RunRecord:
        folder = tmp_path / f"study{len(list(tmp_path.iterdir()))}"
        ((record,), _) = read_study(
            make_study(folder, [kernel_size], [stride], [padding], [0], **options)
        )
        return record

    return make


def diff(first: RunRecord, second: RunRecord, everything: bool = False) -> list[DiffRow]:
    """What differs between two single runs, or all of it."""
    sides = [tabulate([row(record)])[0] for record in (first, second)]
    rows = compare(sides[0].iloc[:0], *sides).rows
    return [row for row in rows if everything or row.differs]


def values(first: RunRecord, second: RunRecord, part: str) -> dict[str, tuple[object, object]]:
    return {row.key: (row.first, row.second) for row in diff(first, second) if row.part == part}


def test_a_run_and_itself(make_one: Callable[..., RunRecord]) -> None:
    record = make_one(3, 1, 0)
    assert diff(record, record) == []
    everything = diff(record, record, everything=True)
    assert not any(row.differs for row in everything)
    assert [row.part for row in everything] == sorted(
        (row.part for row in everything),
        key=["result", "config", "geometry", "environment"].index,
    )


def test_config_and_what_it_makes_of_the_network(make_one: Callable[..., RunRecord]) -> None:
    first = make_one(3, 1, 0)
    second = make_one(3, [2, 1, 1], "half", config={"optim": {"lr": 0.1}, "data": {"root": "x"}})
    # The places of the study and of the data cannot change a result.
    assert values(first, second, "config") == {
        "conv.stride": ("1", "[2,1,1]"),
        "conv.padding": ("0", "1"),
        "optim.lr": (0.02, 0.1),
    }
    geometry = values(first, second, "geometry")
    assert geometry["variant"] == ("k3-s1-p0", "k3-s2.1.1-p1")
    # (28 - 3) + 1 = 26, pooled 13, 11, 9; floor((28 + 2 - 3) / 2) + 1 = 14, pooled 7, 7, 7.
    assert geometry["final_map"] == ("9x9", "7x7")
    assert geometry["conv1 output"] == ("16x26x26", "16x14x14")
    assert geometry["conv1 macs"] == (26 * 26 * 16 * 9, 14 * 14 * 16 * 9)
    assert "conv1 params" not in geometry


def test_an_impossible_variant_has_no_layers(make_one: Callable[..., RunRecord]) -> None:
    first, second = make_one(3, 1, 0), make_one(7, 3, 0)
    geometry = values(first, second, "geometry")
    assert geometry["conv1 output"] == ("16x26x26", None)
    result = values(first, second, "result")
    assert result["status"] == ("finished", "skipped")
    assert result["test_accuracy"] == (0.98, None)
    assert str(result["reason"][1]).startswith("conv2 would have an empty output")


def test_padding_that_has_no_pixels_is_shown_as_typed(make_one: Callable[..., RunRecord]) -> None:
    possible = make_one(3, 2, 1)
    conv = {"kernel_size": [3, 3, 3], "stride": [2, 2, 2], "padding": ["same", "same", "same"]}
    same = dataclasses.replace(possible, config=possible.config | {"conv": conv})
    assert values(possible, same, "config")["conv.padding"] == ("1", "same-same-same")


def test_results_and_environment(make_one: Callable[..., RunRecord]) -> None:
    first = make_one(3, 1, 0)
    environment = first.environment | {"threads": 8, "git": {"commit": "1" * 40, "dirty": True}}
    second = dataclasses.replace(
        first,
        metrics=first.metrics | {"test_accuracy": 0.99},
        environment=environment,
        command="python scripts/train.py data=mnist seed=0",
        started_at="2027-01-31T12:00:00Z",
        duration_s=60.0,
    )
    assert values(first, second, "result") == {
        "test_accuracy": (0.98, 0.99),
        "duration_s": (30.0, 60.0),
    }
    assert values(first, second, "environment") == {
        "git.commit": ("0" * 40, "1" * 40),
        "git.dirty": (False, True),
        "threads": (2, 8),
        "command": ("python scripts/train.py", "python scripts/train.py data=mnist"),
    }


SEEDS = {
    (3, 1, "half"): [0.970, 0.972, 0.971],
    (3, 2, "half"): [0.980, 0.979, 0.981],
    (5, 2, "half"): [0.976, 0.978, 0.977],
}


def side(runs: DataFrame, variant: str) -> DataFrame:
    return runs[runs["variant"] == variant]


def test_two_variants_have_means_and_the_simultaneous_interval_of_their_difference(
    make_runs: Callable[..., DataFrame],
) -> None:
    runs = make_runs(SEEDS)
    expected = stats.tukey_hsd(*SEEDS.values())
    interval = expected.confidence_interval(0.95)

    compared = compare(runs, side(runs, "k3-s1-p1"), side(runs, "k3-s2-p1"))

    accuracy, *others = compared.rows
    assert accuracy.key == "test_accuracy", "results come first"
    assert (accuracy.first, accuracy.second) == (pytest.approx(0.971), pytest.approx(0.98))
    assert accuracy.first_std == pytest.approx(0.001)
    assert accuracy.difference == pytest.approx(0.009)
    assert accuracy.low == pytest.approx(interval.low[1, 0], rel=1e-3)
    assert accuracy.high == pytest.approx(interval.high[1, 0], rel=1e-3)
    assert accuracy.p_value == pytest.approx(expected.pvalue[1, 0], abs=1e-5)
    assert compared.pairs == 3
    (seed,) = (one for one in others if one.key == "seed")
    assert (seed.first, seed.second) == ("0, 1, 2", "0, 1, 2")
    turned, *_ = compare(runs, side(runs, "k3-s2-p1"), side(runs, "k3-s1-p1")).rows
    assert (turned.difference, turned.low, turned.high) == pytest.approx(
        (-0.009, -interval.high[1, 0], -interval.low[1, 0]), rel=1e-3
    )


def test_variants_of_two_settings_are_a_pair_of_their_own(
    make_runs: Callable[..., DataFrame],
) -> None:
    slow, fast = [0.970, 0.972, 0.971], [0.980, 0.979, 0.982]
    tables = [
        make_runs({**SEEDS, (3, 1, "half"): accuracies}, config={"optim": {"lr": rate}})
        for accuracies, rate in ((slow, 0.01), (fast, 0.02))
    ]
    runs = with_settings(pd.concat(tables, ignore_index=True))
    first, second = (
        runs[(runs["variant"] == "k3-s1-p1") & (runs["optim.lr"] == rate)] for rate in (0.01, 0.02)
    )
    interval = stats.ttest_ind(fast, slow).confidence_interval(0.95)

    compared = compare(runs, first, second)

    accuracy = compared.rows[0]
    assert (accuracy.low, accuracy.high) == pytest.approx((interval.low, interval.high), rel=1e-3)
    assert compared.pairs == 1


@pytest.mark.parametrize("seeds", [[0.98], [0.98, None]])
def test_a_single_finished_run_is_not_tested(
    make_runs: Callable[..., DataFrame], seeds: list[float | None]
) -> None:
    runs = make_runs({(3, 1, 1): [0.97, 0.972], (3, 2, 1): seeds})

    compared = compare(runs, side(runs, "k3-s1-p1"), side(runs, "k3-s2-p1"))

    accuracy = compared.rows[0]
    assert (accuracy.second, accuracy.second_std, accuracy.p_value) == (0.98, None, None)
    assert compared.pairs == 0


def test_what_differs_between_the_seeds_of_a_variant_is_listed(
    make_runs: Callable[..., DataFrame],
) -> None:
    runs = make_runs({(3, 1, 1): [0.97] * 5, (3, 2, 1): [0.98, 0.99, None]})

    rows = {
        one.key: one for one in compare(runs, side(runs, "k3-s1-p1"), side(runs, "k3-s2-p1")).rows
    }

    assert (rows["seed"].first, rows["seed"].second) == ("0, 1, 2 and 2 more", "0, 1, 2")
    assert (rows["status"].first, rows["status"].second) == ("finished", "finished, failed")
    assert rows["test_accuracy"].second == pytest.approx(0.985), "failed runs have no part in it"


def test_equal_seeds_have_a_spread_below_what_the_images_can_show(make_runs: Runs) -> None:
    runs = make_runs({(3, 1, 1): [350 / 360] * 2, (3, 2, 1): [359 / 360, 355 / 360]})
    runs = runs.assign(test_images=360)
    sides = (runs[runs["variant"] == name] for name in ("k3-s1-p1", "k3-s2-p1"))
    _, _, listing, *_ = side_by_side(compare(runs, *sides))
    assert isinstance(listing, Listing)
    table = listing.table
    shown = {key: texts for _, key, *texts in table.rows}
    # 1 / (360 sqrt(12)); and 4 / 360 / sqrt(2) where the seeds differ.
    assert shown["test_accuracy"][:2] == ["97.22 ± <0.08 %", "99.17 ± 0.79 %"]


def test_equal_values_of_more_seeds_do_not_differ(make_runs: Runs) -> None:
    """Three times 0.1 add up to more than 0.3, and a deviation of 1e-17 is none."""
    runs = make_runs({(3, 1, 1): [0.98] * 3, (3, 2, 1): [0.98] * 2})
    for record in runs["record"]:
        record.metrics["peak_mb"] = 0.1
    sides = (runs[runs["variant"] == name] for name in ("k3-s1-p1", "k3-s2-p1"))
    (row,) = (one for one in compare(runs, *sides).rows if one.key == "peak_mb")
    assert (row.first, row.first_std, row.differs) == (0.1, 0.0, False)
