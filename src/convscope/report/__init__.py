"""Report on runs as one file, with findings, tables and figures.

Plotly is imported when a report is written: a table at the terminal does without.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.errors import UserError
from convscope.files import NotRegularFile, open_regular, replace_file
from convscope.runs.directory import UnreadableRun
from convscope.runs.record import RunRecord

if TYPE_CHECKING:
    from pandas import DataFrame

_SUFFIXES = (".html", ".md")
_HEAD_BYTES = 1024
"""Length of a page's beginning, which contains the mark of its runs."""


def write(
    runs: DataFrame, unreadable: Sequence[UnreadableRun], path: Path, command: str | None
) -> None:
    """Write the report on these runs, replacing `path` at once; equal runs give equal bytes.

    Pictures of a Markdown report are in the folder `<name>_files` beside it; other files in that
    folder are kept.

    Args:
        runs: table from `frame`; groups are listed in its order.
        unreadable: runs to list as not read.
        path: file that ends in .html (a self-contained page) or in .md.
        command: command line to show in the report; None if a program writes it.

    Raises:
        UserError: another ending, no runs, or the file cannot be written.
    """
    if path.suffix not in _SUFFIXES:
        raise UserError(f"a report must end in {' or '.join(_SUFFIXES)}, got {path.name}")
    if runs.empty:
        raise UserError("a report must have a run to tell of, got none")
    from convscope.report import contents, html, markdown

    document = contents.contents(runs, unreadable, command)
    if path.suffix == ".html":
        replace_file(path, html.html_report(document, _mark(runs["record"], unreadable)))
        return
    folder = path.with_name(f"{path.stem}_files")
    text, pictures = markdown.markdown_report(document, folder.name)
    for name, picture in pictures.items():
        _make(folder)
        replace_file(folder / name, picture)
    # Last, so that its pictures always exist.
    replace_file(path, text)


def is_current(
    page: Path, records: Iterable[RunRecord], unreadable: Iterable[UnreadableRun]
) -> bool:
    """Return whether the page was written from exactly these records and unreadable runs."""
    try:
        with os.fdopen(open_regular(page), "rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, NotRegularFile):
        return False
    return _mark(records, unreadable).encode() in head


def _mark(records: Iterable[RunRecord], unreadable: Iterable[UnreadableRun]) -> str:
    runs = sorted(
        json.dumps([one.id, one.status, one.ended_at, {**one.metrics}]) for one in records
    )
    left = sorted(one.reason for one in unreadable)
    return hashlib.sha256("\n".join([*runs, *left]).encode()).hexdigest()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror or error}") from error
