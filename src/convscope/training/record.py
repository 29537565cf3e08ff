"""A run's record before it is trained and after it was measured again, and its config.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from omegaconf import OmegaConf

from convscope.config.schema import TrainConfig
from convscope.files import replace_file
from convscope.metrics import METRICS, diagnostics
from convscope.runs.directory import EVENT_FILES, RunDirectory
from convscope.runs.environment import git_state, source_fingerprint, source_versions
from convscope.runs.lock import RunLock
from convscope.runs.predictions import write_arrays
from convscope.runs.record import RunRecord, read_record, utc_now, write_record
from convscope.runs.usage import planned_usage
from convscope.training.request import RunRequest, resolved

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def first_record(request: RunRequest) -> RunRecord:
    """Return the record of a run that begins now: `running`, without metrics."""
    geometry = request.variant.geometry
    images = request.images
    config = resolved(request.variant, images, request.hardware)
    parts = {
        "train": len(request.train_indices),
        "val": len(request.val_indices),
        "test": len(images.test_labels),
    }
    used = planned_usage(config, parts)
    tested = images.test_labels[: used["test"]]
    return RunRecord(
        id=request.id,
        study=request.config.study,
        name=request.directory.name,
        status="running",
        variant=request.variant.label,
        command=request.variant.command,
        config=config,
        dataset={
            "name": images.name,
            **parts,
            "used": used | {"most_frequent": max(Counter(tested.tolist()).values())},
            "input_shape": list(images.input_shape),
            "classes": list(images.classes),
            "mean": list(images.mean),
            "std": list(images.std),
            "fingerprint": images.fingerprint,
        },
        geometry=[] if geometry is None else geometry.as_records(),
        params=None if geometry is None else geometry.params,
        macs=None if geometry is None else geometry.macs,
        environment={**environment(request), **request.notes},
        started_at=utc_now(),
    )


def is_final(record: RunRecord, config: TrainConfig) -> bool:
    """Return whether a run is trained no further: with `prune=false`, a pruned one is."""
    return record.status in ("finished", "skipped") or (record.status == "pruned" and config.prune)


def environment(request: RunRequest) -> dict[str, Any]:
    """Return what a run is computed with: commit, versions and hardware."""
    hardware = request.hardware
    return {
        "git": _git(),
        "versions": source_versions() | {"source": source_fingerprint()},
        "device": hardware.device,
        "accelerator": hardware.accelerator,
        "devices": hardware.devices,
        "threads": hardware.threads,
        "precision": hardware.precision,
        "shared": hardware.shared,
    }


@cache
def _git() -> dict[str, str | bool] | None:
    return git_state()


def write_config(request: RunRequest) -> None:
    """Write the resolved config; `convscope.load` builds the network from it.

    Raises:
        UserError: the disk is full or not writable.
    """
    config = resolved(request.variant, request.images, request.hardware)
    replace_file(request.directory.config, OmegaConf.to_yaml(OmegaConf.create(config)).encode())


def amend_record(
    directory: RunDirectory,
    change: Callable[[RunRecord], RunRecord],
    arrays: Mapping[str, NDArray[Any]] | None = None,
    figures: Mapping[str, Figure] | None = None,
) -> RunRecord:
    """Replace a finished run's record by one with other metrics, and return it.

    TensorBoard's event files, if there are any, get the metrics that have changed, under `summary/`
    and, for diagnostics, under their own tag.

    Args:
        directory: the run's directory.
        change: returns the new record.
        arrays: new content of `diagnostics.npz`, by name.
        figures: pictures for TensorBoard, by tag.

    Raises:
        RunLocked: another process uses the run.
        UserError: a file cannot be read or written.
    """
    with RunLock(directory.path):
        before = read_record(directory.record)
        record = change(before)
        if arrays is not None:
            write_arrays(directory.diagnostics, dict(arrays))
        write_record(directory.record, record)
        changed = {
            name: value
            for name, value in record.metrics.items()
            if value is not None and before.metrics.get(name) != value
        }
        if (changed or figures) and any(directory.path.glob(EVENT_FILES)):
            _write_events(directory, record, changed, figures or {})
    return record


def _write_events(
    directory: RunDirectory,
    record: RunRecord,
    changed: Mapping[str, float],
    figures: Mapping[str, Figure],
) -> None:
    # Imports PyTorch, which whoever only makes a record does without.
    from torch.utils.tensorboard import SummaryWriter

    from convscope.plain_pictures import plain_text

    step = record.dataset.get("used", {}).get("steps")
    with SummaryWriter(str(directory.path)) as writer, plain_text():
        for name, value in changed.items():
            writer.add_scalar(f"summary/{name}", value, new_style=True)
            if name in diagnostics():
                writer.add_scalar(METRICS[name].tag, value, step, new_style=True)
        for tag, figure in figures.items():
            writer.add_figure(tag, figure, step)
