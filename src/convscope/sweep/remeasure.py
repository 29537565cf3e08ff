"""Exclusive re-measurement of the throughput of runs that shared their machine."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from convscope.metrics import speeds
from convscope.runs.directory import RunDirectory
from convscope.runs.lock import RunLocked
from convscope.runs.record import RunRecord, with_metrics
from convscope.sweep.isolated import train_isolated
from convscope.training.distributed.processes import WorkerProcesses
from convscope.training.record import amend_record
from convscope.training.request import RunRequest
from convscope.training.schedule import StepPlan

STEPS = {"cpu": 300, "mps": 300, "cuda": 3000}
"""Optimizer steps of a measurement including warm-up; they take at least 0.1 s."""


def remeasure_throughput(
    request: RunRequest, processes: WorkerProcesses | None = None
) -> RunRecord | None:
    """Train some steps of a finished run in a temporary folder, and record their throughput.

    `environment.alone` of the record gets the number of threads and the values that were measured
    during training. TensorBoard's summary, if there is one, gets the new values too.

    Args:
        request: a finished run.
        processes: as for `train`.

    Returns:
        The run's record; None if another process has locked the run. A record that is not
        `finished` has the reason why nothing was measured, and is not written.

    Raises:
        UserError: a file cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        ended = train_isolated(_shortened(request, Path(folder) / "run"), processes)
    if ended is None or ended.status != "finished":
        return ended
    measured = {name: ended.metrics[name] for name in speeds()}
    path = request.directory.path
    if not request.directory.record.exists():
        # The lock would create the folder again.
        return replace(ended, status="failed", reason=f"{path} was deleted or moved meanwhile")
    try:
        return amend_record(
            request.directory, lambda record: _with_speed(record, measured, request)
        )
    except RunLocked:
        return None


def _shortened(request: RunRequest, path: Path) -> RunRequest:
    steps = STEPS[request.hardware.accelerator]
    # The loggers of the run must not get these metrics; its checkpoint is not the best one.
    config = replace(request.config, logger={}, diagnostics="off")
    return replace(
        request,
        variant=replace(request.variant, config=config),
        steps=StepPlan(steps, steps),
        val_batches=1,
        test_batches=1,
        directory=RunDirectory(path),
    )


def _with_speed(
    record: RunRecord, measured: dict[str, float | int | None], request: RunRequest
) -> RunRecord:
    before = {name: record.metrics.get(name) for name in speeds()}
    remeasured = {"threads": request.hardware.threads, "while_training": before}
    return with_metrics(record, speeds(), measured, {"alone": remeasured})
