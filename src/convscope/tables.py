"""Tables and paragraphs for the terminal and for Markdown. No torch."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from convscope.runs.record import RunRecord
from convscope.text import escape_control, size

Layer = Mapping[str, Any]
RESUME = "the same command resumes it"
"""Advice for a run that was stopped."""
_PIPE_WIDTH = 200
_WIDEST = 1000


@dataclass(frozen=True)
class Table:
    """A table of text cells.

    Attributes:
        columns: heads; a leading `<` left-aligns the column, the others are right-aligned.
        rows: one cell per column.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def map_column_names(columns: Sequence[str], change: Callable[[str], str]) -> tuple[str, ...]:
    """Return the columns with `change` applied to their names, with unchanged alignment."""
    return tuple("<" * name.startswith("<") + change(name.removeprefix("<")) for name in columns)


def markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown; bars are escaped, other markup is kept."""
    names = [_in_cell(column.removeprefix("<")) for column in table.columns]
    rule = [":--" if column.startswith("<") else "--:" for column in table.columns]
    lines = [names, rule, *(map(_in_cell, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")


def new_console() -> Console:
    """Return a console on standard output; 200 columns wide if that is a file or pipe."""
    return Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)


def tensorboard_command(record: RunRecord) -> str:
    """Return the command that shows a run and the others in its output folder in TensorBoard."""
    return f"tensorboard --logdir {shlex.quote(record.config['output_dir'])}"


def print_table(table: Table, console: Console) -> None:
    """Print the table at its full width, also on a narrower terminal."""
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        left = column.startswith("<")
        # Text rather than str, here and below, because Rich interprets markup in a str.
        name = Text(escape_control(column.removeprefix("<")))
        drawn.add_column(name, justify="left" if left else "right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(escape_control(cell)) for cell in row))
    # At full width, because a number folded at the terminal's edge would read as another number.
    widest = console.options.update(max_width=_WIDEST)
    drawn.width = console.measure(drawn, options=widest).maximum
    with console.capture() as captured:
        console.print(drawn, highlight=False, crop=False)
    # Rich pads each line to the table's width.
    console.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def print_paragraph(console: Console, text: str = "", first: str = "", rest: str = "") -> None:
    """Print a paragraph: wrapped on a terminal, on one line in a file or pipe.

    Args:
        console: where it is printed.
        text: the paragraph.
        first: prefix of the first line.
        rest: prefix of the wrapped lines.
    """
    first, text = escape_control(first), escape_control(text)
    if not console.is_terminal:
        print_line(console, first + text)
        return
    wrapped = textwrap.wrap(
        # A number and its per cent sign stay on one line.
        text.replace(" %", "\N{NO-BREAK SPACE}%"),
        width=console.width,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )
    for wrapped_line in wrapped or [""]:
        print_line(console, wrapped_line.replace("\N{NO-BREAK SPACE}%", " %"))


def print_line(console: Console, text: str = "") -> None:
    """Print one line literally: neither Rich nor the terminal interprets anything in it."""
    plain = Text(escape_control(text))
    console.print(plain, highlight=False, soft_wrap=True)


def print_list(console: Console, heading: str, sentences: Sequence[str]) -> None:
    """Print a heading and a list of sentences; nothing if there are none."""
    if not sentences:
        return
    print_line(console)
    print_paragraph(console, heading)
    for sentence in sentences:
        print_paragraph(console, sentence, first="- ", rest="  ")


def final_map_text(layers: Sequence[Layer]) -> str | None:
    """Return the final map's height x width, `14x14`; None for an impossible variant."""
    return size(layers[-1]["out_shape"][1:]) if layers else None
