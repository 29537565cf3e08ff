"""What the terminal shows of a run that has ended."""

from __future__ import annotations

import os

from rich.console import Console

from convscope.layer_table import RUN_LEGEND, layer_table
from convscope.metrics import describe
from convscope.runs.record import RunRecord, reading
from convscope.streams import tell
from convscope.tables import RESUME, line, print_table, say, tensorboard_command

_SHOWN = ("test_accuracy", "best_val_accuracy", "train_samples_per_sec", "params", "macs")


def show_run(record: RunRecord, console: Console) -> None:
    """Print geometry, accuracy, speed and folder of a run that has ended, or why it has none."""
    if record.status == "failed":
        tell(f"error: {record.name} failed: {record.reason}")
        return
    if record.status == "interrupted":
        tell(f"{record.name} was stopped ({record.reason}); {RESUME}")
        return
    line(console)
    print_table(layer_table(record.geometry), console)
    say(console, RUN_LEGEND)
    known = {**record.metrics, "params": record.params, "macs": record.macs}
    line(console)
    line(
        console,
        f"{record.dataset['name']} {record.variant}: {describe(known, *_SHOWN)}",
    )
    with reading(record):
        folder = os.path.join(record.config["output_dir"], record.study, record.name)
    # Not Path.is_dir, which raises for a name longer than a path can be.
    if os.path.isdir(folder):
        line(console, folder)
        line(console, tensorboard_command(record))
