"""Two records side by side: rows against the configs and geometries that made them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.compare.diff import diff
from convscope.runs.record import RunRecord
from convscope.runs.study import read_study

MakeStudy = Callable[..., Path]


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


def values(first: RunRecord, second: RunRecord, part: str) -> dict[str, tuple[object, object]]:
    return {row.key: (row.first, row.second) for row in diff(first, second) if row.part == part}


def test_a_run_and_itself(make_one: Callable[..., RunRecord]) -> None:
    record = make_one(3, 1, 0)
    assert diff(record, record) == []
    everything = diff(record, record, everything=True)
    assert not any(row.differs for row in everything)
    assert [row.part for row in everything] == sorted(
        (row.part for row in everything),
        key=["config", "geometry", "result", "environment"].index,
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
        command="python scripts/train.py seed=0",
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
        "command": ("python scripts/train.py", "python scripts/train.py seed=0"),
    }
