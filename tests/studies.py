"""Studies made by hand: real records with a true geometry and planted results."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame

from convscope.analysis.frame import row, tabulate
from convscope.geometry import (
    ImpossibleVariant,
    convs_to_config,
)
from convscope.runs.directory import RunDirectory, run_name
from convscope.runs.history import History
from convscope.runs.identity import identity
from convscope.runs.record import RunRecord, write_record

from .convs import parse_conv, stack_geometry

Results = Callable[[str, int], Mapping[str, float]]
"""Of a variant's label and a seed, the metrics that its run is to have."""

CONFIG: dict[str, Any] = {
    "data": {"name": "mnist", "root": "data", "batch_size": 256, "fingerprint": "f00d" * 16},
    "model": {"channels": [16, 32, 64], "pool_after": [1]},
    "optim": {"lr": 0.02, "weight_decay": 0.01, "warmup": 0.3},
    "trainer": {"max_epochs": 5, "accelerator": "cpu", "devices": 1, "precision": "bf16-mixed"},
    "compile": False,
}


def results(variant: str, seed: int) -> dict[str, float]:
    """Metrics that depend on nothing: the default."""
    return {
        "test_accuracy": 0.98,
        "best_val_accuracy": 0.97,
        "test_loss": 0.05,
        "train_samples_per_sec": 20_000.0,
        "step_ms": 12.8,
    }


def make_record(
    study: Path,
    conv: tuple[object, object, object],
    seed: int,
    metrics: Results = results,
    *,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    **fields: Any,
) -> RunRecord:
    """The record of one run of `conv` (kernel size, stride, padding as typed) on 28x28, unwritten.

    Args:
        config: what differs from `CONFIG`, by group.
        fields: of the record: status, reason, environment, …
    """
    given = {
        key: dict(value) if isinstance(value, dict) else value for key, value in CONFIG.items()
    }
    for group, values in (config or {}).items():
        given[group] |= values
    channels, pool_after = given["model"]["channels"], given["model"]["pool_after"]
    convs = parse_conv(*conv, len(channels))
    given |= {"conv": convs_to_config(convs), "seed": seed, "study": study.name}
    given |= {"output_dir": str(study.parent)}
    status, reason = "finished", None
    try:
        geometry = stack_geometry((1, 28, 28), convs, channels, pool_after, 10)
        variant, layers = geometry.variant, geometry.as_records()
        params, macs = geometry.params, geometry.macs
        map_height, map_width = geometry.final_map
        known = {"params": params, "macs": macs, "final_map": map_height * map_width}
    except ImpossibleVariant as error:
        status, reason = "skipped", str(error)
        variant, layers, params, macs, known = error.variant, [], None, None, {}
    key = identity(given)
    record = RunRecord(
        id=key,
        study=study.name,
        name=run_name("mnist", variant, [], seed, key),
        status=status,  # type: ignore[arg-type]
        reason=reason,
        variant=variant,
        command="python scripts/train.py",
        config=given,
        dataset={
            "name": given["data"]["name"],
            "train": 54_000,
            "val": 6_000,
            "test": 10_000,
            "input_shape": [1, 28, 28],
            "fingerprint": given["data"]["fingerprint"],
        },
        geometry=layers,
        params=params,
        macs=macs,
        metrics={**metrics(variant, seed), **known} if status == "finished" else {},
        environment={
            "git": {"commit": "0" * 40, "dirty": False},
            "versions": {"python": "3.11.7", "torch": "2.14.1", "pytorch-lightning": "2.6.6"},
            "device": "AMD EPYC",
            "accelerator": "cpu",
            "devices": 1,
            "threads": 2,
            "precision": "bf16-mixed",
        },
        started_at="2026-01-31T12:00:00Z",
        ended_at="2026-01-31T12:00:30Z",
        duration_s=30.0,
    )
    return dataclasses.replace(record, **fields)


DIAGNOSED = {
    "level": "standard",
    "images": 500,
    "seconds": 1.5,
    "device": "AMD EPYC",
    "torch": "2.14.1",
    "measured_at": "2026-02-01T12:00:00Z",
}


def diagnosed(record: RunRecord, values: Mapping[str, float], **how: Any) -> RunRecord:
    """The record with these diagnostics, measured as `DIAGNOSED` but for `how`."""
    return dataclasses.replace(
        record,
        metrics={**record.metrics, **values},
        environment=record.environment | {"diagnostics": DIAGNOSED | how},
    )


def write_run(study: Path, record: RunRecord, history: Iterable[Mapping[str, float]] = ()) -> Path:
    """Put a record where its run would lie below the study's folder; gives the run's folder."""
    run = RunDirectory(study / record.name)
    run.path.mkdir(parents=True)
    write_record(run.record, record)
    for epoch in history:
        History(run.history).append(epoch)
    return run.path


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Path]:
    """`make_study(folder, kernel_sizes, strides, paddings, seeds, metrics)` writes a grid."""

    def make(
        folder: Path,
        kernel_sizes: Iterable[object] = (3, 5, 7),
        strides: Iterable[object] = (1, 2),
        paddings: Iterable[object] = (0, "half"),
        seeds: Iterable[int] = (0, 1, 2),
        metrics: Results = results,
        **options: Any,
    ) -> Path:
        for *conv, seed in itertools.product(kernel_sizes, strides, paddings, seeds):
            write_run(folder, make_record(folder, tuple(conv), seed, metrics, **options))
        return folder

    return make


@pytest.fixture
def make_runs() -> Callable[..., DataFrame]:
    """`make_runs({(3, 1, "half"): [0.98, 0.97]})`: the table of runs with these accuracies, in
    validation and in the test.

    A list's places are the seeds; None is a run that failed. Further options as `make_record`.
    """

    def make(
        accuracies: Mapping[tuple[object, object, object], Iterable[float | None]], **options: Any
    ) -> DataFrame:
        return tabulate([row(one) for one in records(accuracies, **options)])[0]

    return make


def both(accuracy: float) -> dict[str, float]:
    return {"test_accuracy": accuracy, "best_val_accuracy": accuracy}


def records(
    accuracies: Mapping[tuple[object, object, object], Iterable[float | None]], **options: Any
) -> Iterable[RunRecord]:
    """The records behind `make_runs`."""
    study = options.pop("study", Path("outputs/study"))
    for conv, of_seeds in accuracies.items():
        for seed, accuracy in enumerate(of_seeds):
            measured = {} if accuracy is None else {**results("", seed), **both(accuracy)}
            failed = {"status": "failed", "reason": "out of memory"} if accuracy is None else {}
            yield make_record(
                study, conv, seed, lambda *_, found=measured: found, **failed, **options
            )
