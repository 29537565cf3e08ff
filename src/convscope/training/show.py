"""What the terminal shows of a run that has ended, without what a record takes to make."""

from __future__ import annotations

import os

from rich.console import Console

from convscope.layer_table import RUN_EXPLAINED, layer_table, legend
from convscope.metrics import describe, latencies
from convscope.runs.record import RunRecord, record_errors
from convscope.streams import print_stderr
from convscope.tables import RESUME, print_line, print_paragraph, print_table, tensorboard_command

_SHOWN = ("test_accuracy", "best_val_accuracy", "train_samples_per_sec", "params", "macs")
_ANSWERS = ("shift_change", "erf_side", "ece")


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
    print_paragraph(console, legend(RUN_EXPLAINED, record.geometry))
    known = {**record.metrics, "params": record.params, "macs": record.macs}
    print_line(console)
    print_line(
        console,
        f"{record.dataset['name']} {record.variant}: {describe(known, *_SHOWN)}",
    )
    with record_errors(record):
        folder = os.path.join(record.config["output_dir"], record.study, record.name)
    answers = [name for name in _ANSWERS if name in record.metrics]
    if answers:
        print_line(console, describe(record.metrics, *answers))
    timed = [name for name in latencies() if name in record.metrics]
    if timed:
        print_line(console, f"latency: {describe(record.metrics, *timed)}")
    # Not Path.is_dir, which raises for a name longer than a path can be.
    if os.path.isdir(folder):
        print_line(console, folder)
        print_line(console, tensorboard_command(record))
