"""A run's record before it is trained, its config.yaml, and what the terminal shows at its end."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console

from convscope.files import replace_file
from convscope.layer_table import RUN_LEGEND, layer_table
from convscope.metrics import describe
from convscope.runs.environment import git_state, source_fingerprint, source_versions
from convscope.runs.record import RunRecord, record_errors, utc_now
from convscope.runs.usage import planned_usage
from convscope.streams import print_stderr
from convscope.tables import RESUME, print_line, print_paragraph, print_table, tensorboard_command
from convscope.training.request import RunRequest, resolved

_SHOWN = ("test_accuracy", "best_val_accuracy", "train_samples_per_sec", "params", "macs")


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
        environment=environment(request),
        started_at=utc_now(),
    )


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


def show_run(record: RunRecord, console: Console) -> None:
    """Print geometry, accuracy, speed and folder of a run that has ended, or why it has none."""
    if record.status == "failed":
        print_stderr(f"error: {record.name} failed: {record.reason}")
        return
    if record.status == "interrupted":
        print_stderr(f"{record.name} was stopped ({record.reason}); {RESUME}")
        return
    print_line(console)
    print_table(layer_table(record.geometry), console)
    print_paragraph(console, RUN_LEGEND)
    known = {**record.metrics, "params": record.params, "macs": record.macs}
    print_line(console)
    print_line(
        console,
        f"{record.dataset['name']} {record.variant}: {describe(known, *_SHOWN)}",
    )
    with record_errors(record):
        folder = os.path.join(record.config["output_dir"], record.study, record.name)
    # Not Path.is_dir, which raises for a name longer than a path can be.
    if os.path.isdir(folder):
        print_line(console, folder)
        print_line(console, tensorboard_command(record))
