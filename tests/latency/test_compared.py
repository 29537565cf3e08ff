"""Latencies in tables, statistics, findings, figures and reports; studies without any."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame

from convscope import plots, report
from convscope.analysis.diff import compare
from convscope.analysis.findings import caveats, describe_methods, sentences
from convscope.analysis.frame import Reader, row, tabulate
from convscope.analysis.groups import grouped
from convscope.analysis.pareto import chosen_front
from convscope.analysis.table import to_records
from convscope.errors import UserError
from convscope.report.comparison import side_by_side, variants
from convscope.runs.record import RunRecord
from convscope.tensorboard_plugin.api import _table

from ..studies import make_record, results, write_run

HEADS = ["b1 p50 ms", "b1 p95 ms", "b256 p50 ms", "b256 p95 ms"]
WHERE = {
    "device": "AMD EPYC",
    "accelerator": "cpu",
    "precision": "bf16-mixed",
    "threads": 2,
    "torch": "2.14.1",
    "calls": {"1": 1000, "256": 50},
    "measured_at": "2026-02-01T12:00:00Z",
}
TIMES = {3: (0.25, 0.5, 8.0, 9.0), 5: (0.5, 0.75, 20.0, 1234.5)}
"""By kernel size: p50 and p95 with a batch of 1, then of 256."""


def timed(
    kernel: int, seed: int, times: tuple[float, ...] | None, folder: Path, **where: Any
) -> RunRecord:
    """A record with these latencies, or without any."""
    accuracy = 0.96 + kernel / 1000 + seed / 10_000
    planted = results("", 0) | {"test_accuracy": accuracy, "best_val_accuracy": accuracy}
    if times is not None:
        names = [f"latency_b{batch}_p{p}_ms" for batch in (1, 256) for p in (50, 95)]
        planted |= dict(zip(names, times, strict=True))
    record = make_record(folder, (kernel, 1, "half"), seed, lambda *_: planted)
    if times is None:
        return record
    environment = record.environment | {"latency": WHERE | where}
    return dataclasses.replace(record, environment=environment)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., DataFrame]:
    """The table of two variants with two seeds; options change how that of kernel 5 was timed."""

    def runs(without: tuple[tuple[int, int], ...] = (), **where: Any) -> DataFrame:
        records = [
            timed(
                kernel,
                seed,
                None if (kernel, seed) in without else TIMES[kernel],
                tmp_path / "study",
                **(where if kernel == 5 else {}),
            )
            for kernel in (3, 5)
            for seed in (0, 1)
        ]
        return tabulate([row(record) for record in records])[0]

    return runs


def columns(runs: DataFrame, single: bool, width: int = 1000) -> dict[str, list[str]]:
    table, _ = variants(runs, single, width)
    return dict(zip(table.columns, zip(*table.rows, strict=True), strict=True))


def test_a_table_has_a_column_for_each(make: Callable[..., DataFrame]) -> None:
    shown = columns(make(), single=False)
    assert [shown[head] for head in HEADS] == [
        ("0.250", "0.500"),
        ("0.500", "0.750"),
        ("8.00", "20.0"),
        ("9.00", "1,234"),
    ]
    assert columns(make(), single=True)["b1 p50 ms"] == ("0.250", "0.250", "0.500", "0.500")
    _, legend = variants(make(), single=False, width=1000)
    assert legend.endswith(
        "b1, b256: milliseconds of a forward pass of 1 and 256 images, median (p50) and p95 of its"
        " calls on AMD EPYC, 2 threads, bf16-mixed"
    )


def test_a_narrow_table_keeps_the_median_of_one_image(make: Callable[..., DataFrame]) -> None:
    table, legend = variants(make(), single=False, width=80)
    assert [head for head in table.columns if head in HEADS] == HEADS[:1]
    assert "b1: milliseconds of a forward pass of 1 image, median (p50) of its calls" in legend


def test_a_record_without_one_shows_a_dash(make: Callable[..., DataFrame]) -> None:
    runs = make(without=((5, 0), (5, 1), (3, 1)))
    shown = columns(runs, single=False)
    # A variant's value is that of the seeds that have it.
    assert [shown[head] for head in HEADS] == [
        (one, "–") for one in ("0.250", "0.500", "8.00", "9.00")
    ]
    assert columns(runs, single=True)["b256 p95 ms"] == ("9.00", "–", "–", "–")
    records = to_records(runs)
    assert [one["latency_b1_p50_ms"] for one in records] == [0.25, None]
    assert "latency_b1_p50_ms_std" not in records[0]


def test_without_any_nothing_is_shown(make: Callable[..., DataFrame]) -> None:
    runs = make(without=tuple((kernel, seed) for kernel in (3, 5) for seed in (0, 1)))
    for single in (False, True):
        assert not set(HEADS) & set(columns(runs, single))
    assert "b1" not in variants(runs, single=False, width=1000)[1]
    assert not any("atenc" in line for line in sentences([*caveats(runs), *describe_methods(runs)]))
    assert not any("latency" in one["key"] for one in _table(runs)["metrics"])
    message = "no finished run has p50 latency, batch 1: compare.py --latency STUDY measures it"
    for draw in (plots.accuracy_against, plots.heat):
        key = "cost" if draw is plots.accuracy_against else "value"
        with pytest.raises(UserError, match=message):
            draw(runs, **{key: "latency_b1_p50_ms"})


def test_the_tab_has_them_as_text_too(make: Callable[..., DataFrame]) -> None:
    told = _table(make(without=((5, 0), (5, 1))))
    named = {one["key"]: one for one in told["metrics"]}
    assert named["latency_b1_p95_ms"]["title"] == "B1 p95 ms"
    assert named["latency_b1_p95_ms"]["measured"] is True
    assert [group["texts"]["latency_b1_p95_ms"] for group in told["groups"]] == ["0.500", "–"]


def test_seeds_that_were_timed_apart_share_the_median(tmp_path: Path) -> None:
    records = [
        timed(3, seed, (middle, 9.0, 8.0, 9.0), tmp_path / "study")
        for seed, middle in enumerate((1.0, 5.0, 2.0))
    ]
    runs = tabulate([row(record) for record in records])[0]
    assert grouped(runs)["latency_b1_p50_ms"].tolist() == [2.0]


def test_a_pareto_front_by_latency(make: Callable[..., DataFrame]) -> None:
    groups = grouped(make())
    names = groups["variant"]
    for cost in ("latency_b1_p50_ms", "latency_b256_p95_ms"):
        assert names[chosen_front(groups, cost)].tolist() == ["k3-s1-p1", "k5-s1-p2"]
    slower = groups.assign(latency_b1_p50_ms=[0.6, 0.5])
    assert names[chosen_front(slower, "latency_b1_p50_ms")].tolist() == ["k5-s1-p2"]
    drawn = plots.accuracy_against(make(), "latency_b1_p50_ms")
    assert drawn.layout.xaxis.title.text == "p50 latency, batch 1, ms"
    assert "dotted: Pareto front by validation" in drawn.layout.title.text
    (front,) = [one for one in drawn.data if one.mode == "lines"]
    assert list(front.x) == [0.25, 0.5]
    points = next(one for one in drawn.data if one.mode == "markers+text")
    # Measured once: no interval over seeds.
    assert points.error_x.array is None


def test_a_report_shows_them_where_they_were_measured(
    make: Callable[..., DataFrame], tmp_path: Path
) -> None:
    for name, runs in (
        ("with", make()),
        ("without", make(without=((3, 0), (3, 1), (5, 0), (5, 1)))),
    ):
        for suffix in ("html", "md"):
            path = tmp_path / f"{name}.{suffix}"
            report.write(runs, [], path, None)
            text = path.read_text("utf-8")
            assert ("Test accuracy and latency of 256 images" in text) == (name == "with")
            assert ("b256 p50 ms" in text) == (name == "with")
    assert (tmp_path / "with_files" / "accuracy-latency-1.png").stat().st_size > 5_000


def test_a_report_is_not_current_once_latencies_are_measured(tmp_path: Path) -> None:
    before = timed(3, 0, None, tmp_path / "study")
    after = timed(3, 0, TIMES[3], tmp_path / "study")
    page = tmp_path / "report.html"
    report.write(tabulate([row(before)])[0], [], page, None)
    assert report.is_current(page, [before], [])
    assert not report.is_current(page, [after], [])


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (
            {"device": "NVIDIA H100", "threads": 16},
            "Latencies were measured on AMD EPYC with 2 threads and torch 2.14.1 and NVIDIA H100"
            " with 16 threads and torch 2.14.1: they do not compare the variants;",
        ),
        ({"threads": 4}, "Latencies were measured on AMD EPYC with 2 threads"),
        ({"torch": "2.15.0"}, "AMD EPYC with 2 threads and torch 2.15.0: they do not compare"),
        (
            {"measured_at": "2026-02-02T12:00:00Z"},
            "Latencies were measured at different times: differences between them need not come"
            " from the variants; compare.py --latency measures all again, in turns.",
        ),
        ({}, ""),
    ],
)
def test_what_is_not_comparable_is_said(
    make: Callable[..., DataFrame], where: dict[str, Any], says: str
) -> None:
    found = [line for line in sentences(caveats(make(**where))) if line.startswith("Latencies")]
    assert len(found) == bool(says)
    assert all(says in line for line in found)


def test_calls_that_were_disturbed_are_said(make: Callable[..., DataFrame]) -> None:
    (line,) = [
        line for line in sentences(caveats(make())) if line.startswith("The 95th percentile")
    ]
    assert line == (
        "The 95th percentile of the latency of a batch of 256 is up to 62 times its median: other"
        " programs may have used the machine."
    )


def test_the_methods_name_the_machine(make: Callable[..., DataFrame]) -> None:
    (line,) = [line for line in sentences(describe_methods(make())) if line.startswith("Latency")]
    assert line.endswith("in turns with the others: AMD EPYC, 2 threads, bf16-mixed.")


def test_two_variants_side_by_side_have_no_spread_over_seeds(
    make: Callable[..., DataFrame],
) -> None:
    runs = make(measured_at="2026-02-02T12:00:00Z", calls={"1": 7, "256": 7})
    sides = [runs[runs["variant"] == variant] for variant in ("k3-s1-p1", "k5-s1-p2")]
    found = {one.key: one for one in compare(runs, *sides).rows}
    one = found["latency_b1_p50_ms"]
    assert (one.first, one.second, one.first_std, one.p_value) == (0.25, 0.5, None, None)
    assert found["test_accuracy"].first_std is not None
    assert not any(key.startswith(("latency.calls", "latency.measured_at")) for key in found)
    rows = [row for block in side_by_side(compare(runs, *sides)) for row in _rows(block)]
    assert ("latency_b1_p50_ms", "0.25", "0.5", "x2") in [row[1:5] for row in rows]


def _rows(block: Any) -> list[tuple[str, ...]]:
    return list(block.table.rows) if hasattr(block, "table") else []


def test_a_record_keeps_them_on_disk(tmp_path: Path) -> None:
    record = timed(3, 0, TIMES[3], tmp_path / "study")
    write_run(tmp_path / "study", record)
    runs, unreadable = Reader([tmp_path / "study"]).read()
    assert unreadable == []
    assert runs["latency_b256_p95_ms"].tolist() == [9.0]
    assert runs["record"][0] == record


@pytest.mark.parametrize(
    ("latency", "says"),
    [
        ({"device": "AMD"}, "environment.latency.accelerator is missing"),
        (
            WHERE | {"threads": -1},
            "environment.latency.threads must be a whole number >= 0, got -1",
        ),
        (7, "environment.latency must be an object, got 7"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, latency: object, says: str) -> None:
    record = timed(3, 0, None, tmp_path / "study")
    damaged = dataclasses.replace(record, environment=record.environment | {"latency": latency})
    with pytest.raises(ValueError, match=says):
        write_run(tmp_path / "study", damaged)
