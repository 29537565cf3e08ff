"""Rows of plain values: numbers worked out by hand for studies with planted results."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas import DataFrame
from scipy import stats

from convscope.analysis.frame import Reader
from convscope.analysis.table import shared, to_records, varied
from convscope.report.comparison import variants

MakeStudy = Callable[..., Path]


def table(*studies: Path) -> DataFrame:
    runs, aside = Reader(studies).read()
    assert not aside
    return runs


def planted(variant: str, seed: int) -> Mapping[str, float]:
    return {"test_accuracy": [0.97, 0.98, 0.99][seed], "train_samples_per_sec": 100.0 * (seed + 1)}


@pytest.fixture
def study(make_study: MakeStudy, tmp_path: Path) -> Path:
    """k3-s1-p0 with three seeds, k5-s3-p0, which is impossible, and a failed run of a fourth."""
    folder = make_study(tmp_path / "s", [3], [1], [0], metrics=planted)
    make_study(folder, [5], [3], [0], [0])
    failed = {"status": "failed", "reason": "the loss is NaN", "metrics": lambda *_: {}}
    return make_study(folder, [3], [1], [0], [3], **failed)


def test_a_row_per_group(study: Path) -> None:
    first, second = to_records(table(study))
    assert list(first)[:9] == [
        *("label", "variant", "kernel_size", "stride", "padding", "dilation", "padding_mode"),
        *("padding_policy", "runs"),
    ]
    assert list(first)[-7:] == [
        *("map", "final_map", "receptive_field", "macs", "params", "study", "group"),
    ]
    assert list(first) == list(second)
    expected = {
        "label": "k3-s1-p0",
        "runs": 3,
        "seeds": "0, 1, 2",
        "unfinished": "1 failed",
        "reason": "the loss is NaN",
        "map": "9x9",
        "final_map": 81,
        "receptive_field": 12,
        "peak_mb": None,
        "test_accuracy_min": 0.97,
        "test_accuracy_max": 0.99,
        "train_samples_per_sec": 200.0,
        "train_samples_per_sec_std": 100.0,
    }
    assert {key: first[key] for key in expected} == expected
    # pandas holds them as floats, as the impossible variant has none.
    assert repr([first[key] for key in ("final_map", "params", "macs")]) == "[81, 24058, 2148544]"
    assert first["test_accuracy"] == pytest.approx(0.98)
    assert first["test_accuracy_std"] == pytest.approx(0.01)
    low, high = stats.t.interval(0.95, 2, 0.98, 0.01 / 3**0.5)
    assert first["test_accuracy_low"] == pytest.approx(low)
    assert first["test_accuracy_high"] == pytest.approx(high)
    impossible = {"runs": 0, "seeds": "", "unfinished": "1 skipped", "test_accuracy": None}
    impossible |= {"map": None, "final_map": None, "macs": None}
    assert {key: second[key] for key in impossible} == impossible
    assert second["reason"].startswith("conv2 would have an empty output")


def test_a_single_seed_has_no_spread(make_study: MakeStudy, tmp_path: Path) -> None:
    (row,) = to_records(table(make_study(tmp_path / "s", [3], [1], [0], [1], planted)))
    assert (row["runs"], row["test_accuracy"]) == (1, 0.98)
    assert (row["test_accuracy_std"], row["test_accuracy_low"]) == (None, None)


def test_a_row_per_run(study: Path) -> None:
    runs = table(study)
    rows = to_records(runs, single=True)
    assert [(row["variant"], row["seed"], row["status"], row["test_accuracy"]) for row in rows] == [
        ("k3-s1-p0", 0, "finished", 0.97),
        ("k3-s1-p0", 1, "finished", 0.98),
        ("k3-s1-p0", 2, "finished", 0.99),
        ("k3-s1-p0", 3, "failed", None),
        ("k5-s3-p0", 0, "skipped", None),
    ]
    assert rows[0]["path"] == str(study / rows[0]["run"])
    assert list(rows[0])[:10] == [
        *("label", "variant", "kernel_size", "stride", "padding", "dilation", "padding_mode"),
        *("padding_policy", "seed", "status"),
    ]
    assert list(rows[0])[-4:] == ["duration_s", "command", "path", "group"]
    assert len({row["group"] for row in rows}) == 2


def kinds(value: Any) -> set[type]:
    return {type(one) for row in value for one in row.values()}


def test_every_value_is_plain(study: Path) -> None:
    runs = table(study)
    for rows in (to_records(runs), to_records(runs, single=True), [shared(runs)]):
        assert kinds(rows) <= {str, int, float, bool, type(None)}
        assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_what_differs_has_a_column_and_the_rest_is_shared(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    one = ([3], [1], [0], [0, 1])
    make_study(tmp_path / "a", *one, config={"trainer": {"limit_train_batches": 1.0}})
    make_study(
        tmp_path / "b",
        *one,
        config={"trainer": {"limit_train_batches": 100}, "model": {"channels": [8, 8, 8]}},
    )
    runs = table(tmp_path / "a", tmp_path / "b")
    assert varied(runs) == ["model.channels", "trainer.limit_train_batches"]
    rows = to_records(runs)
    # A share stays a share, a count of batches a count, though pandas holds both as floats.
    assert [repr(row["trainer.limit_train_batches"]) for row in rows] == ["1.0", "100"]
    assert [row["model.channels"] for row in rows] == ["16-32-64", "8-8-8"]
    assert [row["study"] for row in rows] == ["a", "b"]
    common = shared(runs)
    assert "study" not in common
    assert "model.channels" not in common
    assert common["optim.lr"] == 0.02
    assert common["dataset"] == "mnist"
    assert common["test_images"] == 10_000
    assert (common["device"], common["threads"], common["torch"]) == ("AMD EPYC", 2, "2.14.1")
    assert not {"seed", "variant", "conv.stride"} & set(common)


def test_machines_within_a_group(make_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s", [3], [1], [0], [0, 1])
    runs = table(folder)
    runs["threads"] = pd.Series([2, 8])
    (row,) = to_records(runs)
    assert row["threads"] == "2, 8"
    assert "threads" not in shared(runs)


def test_what_matters_least_leaves_a_table_that_is_too_wide(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    """With two settings and MACs of eight digits, the last feature map has no place either."""
    study = tmp_path / "s"
    both = {"test_accuracy": 0.9958, "best_val_accuracy": 0.9958, "train_samples_per_sec": 24_334.0}
    for lr in (0.02, 0.1):
        changed = {"optim": {"lr": lr}}
        make_study(study, [7], [1], [3], [0, 1], lambda *_: both, config=changed)
    runs = table(study)
    heads = {}
    for width in (80, 90, 120):
        drawn, _ = variants(runs, single=False, width=width)
        cells = zip(drawn.columns, *drawn.rows, strict=True)
        widths = [max(len(cell.removeprefix("<")) for cell in column) for column in cells]
        assert sum(widths) + 2 * (len(widths) - 1) <= width
        heads[width] = [name for name in ("MACs", "map", "RF", "params") if name in drawn.columns]
    assert heads == {80: ["MACs"], 90: ["MACs", "map"], 120: ["MACs", "map", "RF", "params"]}
