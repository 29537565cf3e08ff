"""Runs of one config as one row: mean, spread and interval against scipy's."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from scipy import stats

from convscope.analysis.frame import with_settings
from convscope.analysis.groups import grouped
from convscope.analysis.table import cells, to_records

Runs = Callable[..., DataFrame]


def test_mean_spread_and_interval_are_scipys(make_runs: Runs) -> None:
    values = [0.981, 0.984, 0.979, 0.9857, 0.9803]
    group = grouped(make_runs({(3, 1, "half"): values})).iloc[0]
    interval = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert group["test_accuracy"] == pytest.approx(np.mean(values))
    assert group["test_accuracy_std"] == pytest.approx(np.std(values, ddof=1))
    assert (group["test_accuracy_low"], group["test_accuracy_high"]) == pytest.approx(interval)
    assert (group["test_accuracy_min"], group["test_accuracy_max"]) == (0.979, 0.9857)
    assert group["runs"] == 5
    assert group["seeds"] == "0, 1, 2, 3, 4"


def test_a_single_run_has_a_mean_and_no_interval(make_runs: Runs) -> None:
    group = grouped(make_runs({(3, 1, "half"): [0.98]})).iloc[0]
    assert group["test_accuracy"] == group["test_accuracy_max"] == 0.98
    assert all(math.isnan(group[f"test_accuracy_{of}"]) for of in ("std", "low", "high"))


def test_seeds_that_agree_leave_an_interval_as_wide_as_rounding(make_runs: Runs) -> None:
    """353 of 359 images, three times: a step of 1 / 359 hides 1 / (359 sqrt(12)) = 0.0804 %."""
    runs = make_runs({(3, 1, "half"): [353 / 359] * 3}).assign(test_images=359, val_images=143)
    group = grouped(runs).iloc[0]
    half = 4.30265273 * 0.000804098 / 1.73205081
    assert group["test_accuracy_std"] == pytest.approx(0, abs=1e-12)
    assert group["test_accuracy_low"] == pytest.approx(353 / 359 - half, abs=1e-7)
    assert group["test_accuracy_high"] == pytest.approx(353 / 359 + half, abs=1e-7)
    # Of 143 images a step hides more; other metrics are not counted in images.
    wider = group["best_val_accuracy_high"] - group["best_val_accuracy"]
    assert wider == pytest.approx(half * 359 / 143, rel=1e-4)
    assert group["step_ms_high"] - group["step_ms_low"] == pytest.approx(0, abs=1e-12)
    (row,) = to_records(runs)
    assert cells(row)["test_accuracy"] == "98.33 ± <0.08 %"
    assert (row["test_images"], row["val_images"]) == (359, 143)


def test_only_finished_runs_count_and_the_others_are_told(make_runs: Runs) -> None:
    groups = grouped(
        make_runs({(3, 1, 0): [0.98, None, 0.96, None], (5, 1, 0): [None], (7, 3, 0): [0.9]})
    ).set_index("variant")
    assert groups["runs"].to_dict() == {"k3-s1-p0": 2, "k5-s1-p0": 0, "k7-s3-p0": 0}
    assert groups["test_accuracy"].tolist() == pytest.approx(
        [0.97, math.nan, math.nan], nan_ok=True
    )
    assert groups["seeds"].tolist() == ["0, 2", "", ""]
    assert groups["unfinished"].tolist() == ["2 failed", "1 failed", "1 skipped"]
    assert groups["reason"].tolist()[:2] == ["out of memory"] * 2
    assert groups["reason"].iloc[2].startswith("conv2 would have an empty output")


def test_a_metric_that_some_runs_lack_is_averaged_over_the_others(make_runs: Runs) -> None:
    runs = make_runs({(3, 1, 0): [0.98, 0.96, 0.94]})
    runs.loc[runs["seed"] == 2, "test_accuracy"] = math.nan
    group = grouped(runs).iloc[0]
    assert group["test_accuracy"] == pytest.approx(0.97)
    assert group["test_accuracy_high"] == pytest.approx(
        0.97 + stats.t.ppf(0.975, 1) * np.std([0.98, 0.96], ddof=1) / math.sqrt(2)
    )
    assert math.isnan(group["peak_mb"])


def test_groups_keep_what_their_runs_share_and_the_tables_order(make_runs: Runs) -> None:
    runs = make_runs({(5, 1, 0): [0.98, 0.97], (3, 2, "half"): [0.96, 0.95]})
    runs.loc[0, "threads"] = 8
    groups = grouped(runs)
    assert groups.index.tolist() == runs["group"].unique().tolist()
    assert groups["variant"].tolist() == runs["variant"].unique().tolist()
    assert groups["kernel_size"].tolist() == [3, 5]
    assert groups["optim.lr"].tolist() == [0.02, 0.02]
    assert groups["threads"].isna().tolist() == [True, False]
    assert not {"seed", "run", "record"} & set(groups.columns)


def test_other_channels_epochs_and_rates_are_never_pooled(make_runs: Runs) -> None:
    configs = [
        {},
        {"model": {"channels": [32, 64, 128]}},
        {"trainer": {"max_epochs": 3}},
        {"optim": {"lr": 0.01}},
        {"trainer": {"limit_train_batches": 0.5}},
        {"data": {"fingerprint": "beef" * 16}},
    ]
    tables = [make_runs({(3, 1, 0): [0.98, 0.97]}, config=config) for config in configs]
    runs = with_settings(pd.concat(tables, ignore_index=True))
    groups = grouped(runs)
    assert groups["runs"].tolist() == [2] * 6
    assert groups["label"].nunique() == 6
    assert groups["setting"].iloc[3] == (
        "fingerprint f00df00d, channels 16-32-64, lr 0.01, max_epochs 5, limit_train_batches –"
    )


def test_one_config_in_two_studies_is_one_group(make_runs: Runs) -> None:
    first = make_runs({(3, 1, 0): [0.98]}, study=Path("outputs/first"))
    second = make_runs({(3, 1, 0): [None, 0.96]}, study=Path("outputs/second"))
    groups = grouped(pd.concat([first, second], ignore_index=True))
    assert groups["study"].tolist() == ["first, second"]
    assert groups["runs"].tolist() == [2]


def test_no_run_is_no_group(make_runs: Runs) -> None:
    assert len(grouped(make_runs({}))) == 0
