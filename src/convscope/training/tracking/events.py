"""TensorBoard's event files: written for one run, cut back to a checkpoint on resume."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from tensorboard.plugins.text.summary_v2 import text_pb
from torch.utils.tensorboard import SummaryWriter

from convscope.files import open_regular
from convscope.plain_pictures import plain_text
from convscope.runs.directory import EVENT_FILES


def event_sizes(folder: Path) -> dict[str, int]:
    """Bytes in each of a run's event files, by name. Flush the writer before."""
    return {path.name: path.lstat().st_size for path in sorted(folder.glob(EVENT_FILES))}


def cut_back(folder: Path, sizes: Mapping[str, int]) -> None:
    """Give the event files the sizes that they once had; those without one are removed.

    Raises:
        UserError: one of them is no regular file.
    """
    for path in folder.glob(EVENT_FILES):
        if path.name in sizes:
            with os.fdopen(open_regular(path, os.O_RDWR), "r+b") as file:
                file.truncate(sizes[path.name])
        elif path.is_symlink() or not path.is_dir():
            path.unlink()


def write_text(writer: SummaryWriter, tag: str, markdown: str) -> None:
    """Markdown under this tag; `SummaryWriter.add_text` would append `/text_summary` to it."""
    writer._get_file_writer().add_summary(text_pb(tag, markdown))  # type: ignore[no-untyped-call]


def add_figure(writer: SummaryWriter, tag: str, figure: Figure, step: int | None = None) -> None:
    """Draw a figure of Matplotlib as an image under this tag; its text is no markup."""
    with plain_text():
        writer.add_figure(tag, figure, step)
