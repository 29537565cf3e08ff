"""Plan of a sweep: its distinct runs, their progress on disk, and the order of training."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from convscope.config.schema import TrainConfig, dotted, format_value
from convscope.errors import UserError
from convscope.geometry import levels
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.runs.identity import EXCLUDED, without_seed
from convscope.runs.record import RunRecord, current_record
from convscope.training.record import is_final
from convscope.training.request import RunRequest

State = Literal["to do", "impossible", "finished", "interrupted", "failed", "pruned", "running"]


@dataclass(frozen=True)
class PlannedRun:
    """A run of a sweep and its progress on disk.

    Attributes:
        request: the run.
        state: status of the record on disk; `to do` without a usable record.
        epochs_done: epochs that need not be trained again.
        record: the record on disk.
    """

    request: RunRequest
    state: State
    epochs_done: int
    record: RunRecord | None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train."""
        return self.state == "impossible" or (
            self.record is not None and is_final(self.record, self.request.config)
        )

    @property
    def steps_left(self) -> int:
        """Optimizer steps that are left to train."""
        if self.is_done:
            return 0
        steps = self.request.steps
        return max(0, steps.total - self.epochs_done * steps.per_epoch)

    @property
    def epochs_left(self) -> int:
        """Epochs that are left to train; a partial epoch counts as one."""
        return self.request.steps.epochs - self.epochs_done if self.steps_left else 0


def plan_runs(requests: Sequence[RunRequest]) -> list[PlannedRun]:
    """Return each distinct run once, as it was first requested and in that order."""
    first: dict[str, RunRequest] = {}
    for request in requests:
        first.setdefault(request.id, request)
    return [_planned(request) for request in first.values()]


def _planned(request: RunRequest) -> PlannedRun:
    record = _readable_record(request)
    if record is not None and record.status in ("finished", "running"):
        return PlannedRun(request, record.status, request.steps.epochs, record)
    if request.variant.impossible is not None:
        skipped = record if record is not None and record.status == "skipped" else None
        return PlannedRun(request, "impossible", 0, skipped)
    if record is None or record.status == "skipped":
        return PlannedRun(request, "to do", 0, None)
    return PlannedRun(request, record.status, epochs_done(request.directory), record)


def epochs_done(directory: RunDirectory) -> int:
    """Return the number of finished epochs; training the run reports a damaged history."""
    if directory.last.exists():
        with contextlib.suppress(UserError):
            return len(History(directory.history).read())
    return 0


def _readable_record(request: RunRequest) -> RunRecord | None:
    """Return the record on disk unless it is to be replaced; training reports a damaged one."""
    if request.config.rerun or not request.directory.record.exists():
        return None
    with contextlib.suppress(UserError):
        return current_record(request.directory.path)
    return None


def run_labels(runs: Sequence[PlannedRun]) -> dict[str, str]:
    """Return each run's variant by identity, with what else differs: `k3-s1-p1 (pool blur)`.

    Not with the seed, which the lines about a run show anyway.
    """
    configs = {run.request.id: _settings(run.request.config) for run in runs}
    keys = list(dict.fromkeys(key for config in configs.values() for key in config))
    differing = [key for key in keys if len({one.get(key) for one in configs.values()}) > 1]
    labels = {}
    for run in runs:
        config = configs[run.request.id]
        others = [f"{key.rpartition('.')[2]} {config[key]}" for key in differing if key in config]
        setting = f" ({', '.join(others)})" if others else ""
        labels[run.request.id] = f"{run.request.variant.label}{setting}"
    return labels


def _settings(config: TrainConfig) -> dict[str, str]:
    """Return the config keys besides `conv` and `seed` that can change a result, as text."""
    return {
        key: "null" if value is None else format_value(value)
        for key, value in dotted(without_seed(asdict(config))).items()
        if not key.startswith(("conv.", "model.matched_from", *EXCLUDED))
    }


def studies_of(runs: Sequence[PlannedRun]) -> list[Path]:
    """Return the folder of each study that has a record of one of these runs."""
    directories = (run.request.directory for run in runs)
    recorded = (one.path.parent for one in directories if one.record.exists())
    return list(dict.fromkeys(recorded))


def done_and_left(
    runs: Sequence[PlannedRun],
) -> tuple[dict[str, RunRecord], list[PlannedRun]]:
    """Return the records of completed runs by identity, and the runs that are left."""
    done = {run.request.id: run.record for run in runs if run.record is not None and run.is_done}
    return done, [run for run in runs if run.request.id not in done]


def cheap_first(runs: Sequence[PlannedRun], max_concurrent: int = 1) -> list[PlannedRun]:
    """Order runs such that a sweep that is stopped early still has variants to compare.

    Seed by seed. Within a seed, first the cheapest runs that add a level of one of
    `geometry.FACTORS`, until each level has a run; then the others. Both parts are ordered by MACs.

    Args:
        runs: runs of all seeds.
        max_concurrent: number of runs that are trained side by side. Above 1, the second part of
            the last seed is in descending order, so that the sweep does not end with one long run.
    """
    seeds = list(dict.fromkeys(run.request.config.seed for run in runs))
    return [
        run
        for seed in seeds
        for run in _of_one_seed(
            [run for run in runs if run.request.config.seed == seed],
            long_first=max_concurrent > 1 and seed == seeds[-1],
        )
    ]


def _of_one_seed(runs: Sequence[PlannedRun], long_first: bool) -> list[PlannedRun]:
    by_cost = sorted(runs, key=_macs)
    covered: set[tuple[str, str]] = set()
    first = []
    for run in by_cost:
        if not _levels(run) <= covered:
            first.append(run)
            covered |= _levels(run)
    rest = [run for run in by_cost if run not in first]
    return first + (rest[::-1] if long_first else rest)


def _levels(run: PlannedRun) -> set[tuple[str, str]]:
    convs = run.request.variant.convs
    return set() if convs is None else set(levels(convs, "other").items())


def _macs(run: PlannedRun) -> int:
    geometry = run.request.variant.geometry
    return 0 if geometry is None else geometry.macs
