"""The registry of metrics: one more entry is measured, compared, searched for and shown."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from pandas import DataFrame

from convscope.analysis.diff import compare
from convscope.analysis.groups import grouped
from convscope.analysis.pareto import front
from convscope.analysis.table import to_records
from convscope.metrics import METRICS, Metric, Network, View, describe, metrics_of, of_run
from convscope.report.comparison import variants
from convscope.sweep.search.trials import objectives_of
from convscope.training.results import summary

MakeRuns = Callable[..., DataFrame]

LAYERS = [{"name": "conv1", "out_shape": [4, 6, 5], "receptive_field": [3, 3]}]
HISTORY = [
    {"epoch": 1, "val/accuracy": 0.5, "val/loss": 0.75, "throughput/step_ms": None},
    {"epoch": 2, "val/accuracy": 0.75, "val/loss": 0.5, "throughput/step_ms": 4.0},
    {"epoch": 3, "val/accuracy": 0.625, "val/loss": 0.625, "throughput/step_ms": 2.0},
]
TESTED = {"test/accuracy": 0.625, "test/loss": 0.75}


@pytest.fixture
def lowest_loss(monkeypatch: pytest.MonkeyPatch) -> Metric:
    """One more metric: one entry of the registry."""
    metric = Metric(
        name="lowest_val_loss",
        tag="val/loss",
        definition="lowest validation loss of all epochs",
        title="validation loss",
        head="val loss",
        hparams="lowest val loss",
        of_epochs=min,
        better="smaller",
        number=lambda value: "–" if value is None else f"{value:.3f}",
        phrase="validation loss {}",
        views=frozenset(get_args(View)),
    )
    monkeypatch.setitem(METRICS, metric.name, metric)
    return metric


def test_a_run_is_measured_by_test_history_and_geometry() -> None:
    found = of_run(Network(100, 2000, LAYERS), TESTED, HISTORY)
    assert found == {
        "test_accuracy": 0.625,
        "best_val_accuracy": 0.75,
        "test_loss": 0.75,
        "step_ms": 3.0,
        "final_map": 30,
        "macs": 2000,
        "params": 100,
    }


def test_each_comes_from_one_source_and_is_shown_under_one_name() -> None:
    for name, metric in METRICS.items():
        sources = [
            *(metric.of_epochs, metric.of_test or None, metric.of_network, metric.of_calls),
            metric.is_diagnostic or None,
        ]
        assert sources.count(None) == 4, name
        assert bool(metric.hparams) == ("hparams" in metric.views), name
    for of in ("tag", "title", "head"):
        assert len({getattr(metric, of) for metric in METRICS.values()}) == len(METRICS)


def test_the_test_set_judges_nothing_that_a_search_or_a_front_chooses_by() -> None:
    for view in ("search", "pareto"):
        assert not any(metric.of_test for metric in metrics_of(view))
        assert all(metric.better for metric in metrics_of(view))


@pytest.mark.parametrize(
    ("name", "value", "text", "described"),
    [
        ("test_accuracy", 0.98751, "98.75 %", "test accuracy 98.75 %"),
        ("best_val_accuracy", None, "–", "validation –"),
        ("train_samples_per_sec", 34000.4, "34,000 samples/s", "34,000 samples/s"),
        ("train_samples_per_sec", None, "– samples/s", "– samples/s"),
        ("step_ms", 0.12345, "0.123 ms", "0.123 ms a step"),
        ("step_ms", 1234.5, "1,234.5 ms", "1,234.5 ms a step"),
        ("peak_mb", 512.2, "512 MiB", "512 MiB at its peak"),
        ("receptive_field", 23, "23 px", "23 px"),
        ("macs", 11744, "11,744 MACs", "11,744 MACs"),
    ],
)
def test_a_value_reads_with_its_unit(
    name: str, value: float | None, text: str, described: str
) -> None:
    assert METRICS[name].text(value) == text
    assert describe({} if value is None else {name: value}, name) == described


def test_another_entry_is_measured_and_written(lowest_loss: Metric) -> None:
    found = of_run(Network(100, 2000, LAYERS), TESTED, HISTORY)
    assert found[lowest_loss.name] == 0.5
    assert [metric.hparams for metric in summary()][-1] == "lowest val loss"


def test_another_entry_can_be_searched_for(lowest_loss: Metric) -> None:
    assert objectives_of(["val/accuracy", "val/loss"])[1] is lowest_loss
    assert lowest_loss.sign == -1


def test_another_entry_is_a_column_of_every_table(lowest_loss: Metric, make_runs: MakeRuns) -> None:
    runs = make_runs({(3, 1, 0): [0.98, 0.97], (5, 1, 0): [0.96, 0.95]})
    runs[lowest_loss.name] = [0.25, 0.5, 0.125, 0.25]
    means = grouped(runs)[["variant", "lowest_val_loss", "lowest_val_loss_std"]]
    assert means["lowest_val_loss"].tolist() == [0.375, 0.1875]
    assert to_records(runs)[0]["lowest_val_loss_max"] == 0.5
    assert to_records(runs, single=True)[3]["lowest_val_loss"] == 0.25

    for single, column in (
        (False, ["0.375", "0.188"]),
        (True, ["0.250", "0.500", "0.125", "0.250"]),
    ):
        shown, _ = variants(runs, single=single, width=1_000)
        assert [row[shown.columns.index("val loss")] for row in shown.rows] == column
    narrow, _ = variants(runs, single=False, width=60)
    assert "val loss" not in narrow.columns

    groups = grouped(runs)
    on_it = front(groups, "lowest_val_loss")
    assert groups["variant"][on_it].tolist() == ["k5-s1-p0", "k3-s1-p0"]
    sides = [runs[runs["variant"] == variant] for variant in ("k3-s1-p0", "k5-s1-p0")]
    assert compare(runs, *sides).pairs == 1


@pytest.mark.parametrize("view", get_args(View))
def test_another_entry_is_shown_where_it_says(view: View, lowest_loss: Metric) -> None:
    assert metrics_of(view)[-1] is lowest_loss


def test_another_entry_is_drawn_in_every_figure_of_a_metric() -> None:
    """In a process of its own: the figures' choices are made when they are imported."""
    code = (
        "import dataclasses, sys, typing\n"
        "from convscope.metrics import METRICS, View\n"
        "slowest = dataclasses.replace(METRICS['step_ms'], name='slowest_step', of_epochs=max,"
        " title='slowest step', head='slowest', views=frozenset(typing.get_args(View)))\n"
        "METRICS[slowest.name] = slowest\n"
        "from convscope import analysis, plots\n"
        "runs = analysis.load(sys.argv[1])\n"
        "runs['slowest_step'] = runs['step_ms'] * 2\n"
        "print(plots.heat(runs, value='slowest_step').to_json())\n"
        "print(plots.accuracy_against(runs, cost='slowest_step').to_json())\n"
        "print(plots.parallel(runs).to_json())\n"
    )
    study = Path(__file__).parent / "golden" / "study" / "grid"
    done = subprocess.run(
        [sys.executable, "-c", code, str(study)], capture_output=True, text=True, check=True
    )
    heat, scatter, parallel = done.stdout.splitlines()
    assert "slowest step" in heat
    assert "slowest step" in scatter
    assert "slowest" in parallel
