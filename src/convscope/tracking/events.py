"""TensorBoard's event files: written for one run, cut back to a checkpoint on resume."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tensorboard.plugins.text.summary_v2 import text_pb
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

PATTERN = "events.out.tfevents.*"


def event_sizes(folder: Path) -> dict[str, int]:
    """Bytes in each of a run's event files, by name. Flush the writer before."""
    return {path.name: path.stat().st_size for path in sorted(folder.glob(PATTERN))}


def cut_back(folder: Path, sizes: Mapping[str, int]) -> None:
    """Give the event files the sizes that they once had; those without one are removed."""
    for path in folder.glob(PATTERN):
        if path.name in sizes:
            os.truncate(path, sizes[path.name])
        else:
            path.unlink()


def write_text(writer: SummaryWriter, tag: str, markdown: str) -> None:
    """Markdown under this tag; `SummaryWriter.add_text` would append `/text_summary` to it."""
    writer._get_file_writer().add_summary(text_pb(tag, markdown))  # type: ignore[no-untyped-call]


def write_hparams(
    writer: SummaryWriter, values: Mapping[str, str | float], metrics: Mapping[str, float]
) -> None:
    """One row for this run in TensorBoard's HPARAMS tab, in the run's own directory.

    `SummaryWriter.add_hparams` would make a child run for it.

    Args:
        values: the columns; one type per column over all runs.
        metrics: tag to value; written as scalars too, where the tab looks them up.
    """
    for summary in hparams(dict(values), dict(metrics)):  # type: ignore[no-untyped-call]
        writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]
    for tag, value in metrics.items():
        writer.add_scalar(tag, value, new_style=True)
