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
"""What to tell of a run that was stopped."""
_PIPE_WIDTH = 200
_WIDEST = 1000


@dataclass(frozen=True)
class Table:
    """Cells as text; a column whose name begins with `<` is left-aligned, the others right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def in_each(columns: Sequence[str], change: Callable[[str], str]) -> tuple[str, ...]:
    """Return the columns with their names changed, and aligned as before."""
    return tuple("<" * name.startswith("<") + change(name.removeprefix("<")) for name in columns)


def markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown; only bars in the cells are escaped."""
    names = [_in_cell(column.removeprefix("<")) for column in table.columns]
    rule = [":--" if column.startswith("<") else "--:" for column in table.columns]
    lines = [names, rule, *(map(_in_cell, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")


def new_console() -> Console:
    """Return a console on standard output; into a file or pipe, so wide that no cell is folded."""
    return Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)


def tensorboard_command(record: RunRecord) -> str:
    """Return the command that shows a run, and those beside it, in TensorBoard."""
    return f"tensorboard --logdir {shlex.quote(record.config['output_dir'])}"


def print_table(table: Table, console: Console) -> None:
    """Print the table as wide as it needs, on a narrower terminal too."""
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        left = column.startswith("<")
        # Text, here and below: Rich reads markup in what is plain.
        name = Text(escape_control(column.removeprefix("<")))
        drawn.add_column(name, justify="left" if left else "right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(escape_control(cell)) for cell in row))
    # As wide as it needs: a number folded at the terminal's edge would read as another.
    widest = console.options.update(max_width=_WIDEST)
    drawn.width = console.measure(drawn, options=widest).maximum
    with console.capture() as captured:
        console.print(drawn, highlight=False, crop=False)
    # Rich fills each line up to the table's width.
    console.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def say(console: Console, text: str = "", first: str = "", rest: str = "") -> None:
    """Print one paragraph, its first line and the others indented by `first` and `rest`.

    Wrapped where a person reads, one line in a pipe.
    """
    first, text = escape_control(first), escape_control(text)
    if not console.is_terminal:
        line(console, first + text)
        return
    wrapped = textwrap.wrap(
        # A number and its sign stay in one line.
        text.replace(" %", "\N{NO-BREAK SPACE}%"),
        width=console.width,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )
    for one in wrapped or [""]:
        line(console, one.replace("\N{NO-BREAK SPACE}%", " %"))


def line(console: Console, text: str = "") -> None:
    """Print one line literally: neither Rich nor the terminal interprets anything in it."""
    plain = Text(escape_control(text))
    console.print(plain, highlight=False, soft_wrap=True)


def print_list(console: Console, heading: str, sentences: Sequence[str]) -> None:
    """Print a list below a heading; nothing where there is nothing to list."""
    if not sentences:
        return
    line(console)
    say(console, heading)
    for sentence in sentences:
        say(console, sentence, first="- ", rest="  ")


def map_text(layers: Sequence[Layer]) -> str | None:
    """Return the last feature map, height x width: `14x14`; None where a variant has none."""
    return size(layers[-1]["out_shape"][1:]) if layers else None
