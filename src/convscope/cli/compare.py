"""`python scripts/compare.py`: reads the runs asked for, prints or writes, sets the exit code.

Exit codes: 0 done, 2 bad input, 1 nobody reads on, 128 + n ended by signal n.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from convscope.cli.compare_arguments import HELP, Asked, parse
from convscope.errors import UserError
from convscope.report.export import FORMATS as EXPORTS
from convscope.report.page import Page, as_markdown, show
from convscope.streams import run_command, tell

if TYPE_CHECKING:
    from pandas import DataFrame

    from convscope.runs.directory import UnreadableRun

_MOST_UNREADABLE = 20
"""Told one by one; a folder that holds no studies may hold thousands of other things."""


def main() -> int:
    """Run the command that `sys.argv` asks for."""
    return run_command(_command)


def _command() -> None:
    asked = parse(sys.argv[1:])
    _COMMANDS[asked.command](asked)


def _help(asked: Asked) -> None:
    print(HELP, end="")


def _table(asked: Asked) -> None:
    runs, unreadable = _read(asked.words)
    for left in unreadable[:_MOST_UNREADABLE]:
        tell(f"skipped, unreadable: {left.reason}")
    if len(unreadable) > _MOST_UNREADABLE:
        tell(f"skipped, unreadable: {len(unreadable) - _MOST_UNREADABLE:,} more")
    if runs.empty:
        raise UserError(f"there is no run to compare in {' '.join(asked.words) or 'outputs'}")
    from convscope.analysis.choose import chosen

    runs = chosen(runs, asked.where, asked.sort, asked.runs)
    if asked.report is not None:
        from convscope import report

        report.write(runs, unreadable, asked.report, _typed())
    if asked.format in EXPORTS:
        from convscope.analysis.rows import group_rows, run_rows, shared

        in_common = shared(runs)
        rows = run_rows(runs) if asked.runs else group_rows(runs)
        _print(EXPORTS[asked.format]([row | in_common for row in rows]))
    else:
        from convscope.report.views import compared

        _print_page(lambda width: compared(runs, asked.runs, width), asked.format)
    if asked.report is not None:
        tell(f"wrote {asked.report}")


def _read(words: Sequence[str]) -> tuple[DataFrame, list[UnreadableRun]]:
    from convscope.analysis.frame import Reader
    from convscope.analysis.places import OUTPUTS, place

    if not words and not OUTPUTS.is_dir():
        raise UserError(f"there is no folder {OUTPUTS} here: train first, or name a study's folder")
    return Reader([place(word) for word in words] or [OUTPUTS]).read()


def _diff(asked: Asked) -> None:
    from convscope.analysis.diff import compare
    from convscope.analysis.places import OUTPUTS
    from convscope.analysis.sides import sides
    from convscope.report.views import side_by_side

    comparison = compare(*sides(asked.words, OUTPUTS))
    if asked.format in EXPORTS:
        differing = [asdict(row) for row in comparison.rows if row.differs]
        _print(EXPORTS[asked.format](differing))
    else:
        _print_page(lambda _: side_by_side(comparison), asked.format)


_COMMANDS: dict[str, Callable[[Asked], None]] = {"help": _help, "table": _table, "diff": _diff}


def _print_page(page_of_width: Callable[[int], Page], form: str) -> None:
    from convscope.tables import new_console

    console = new_console()
    page = page_of_width(console.width)
    if form == "markdown":
        _print(as_markdown(page) + "\n")
    else:
        show(page, console)


def _print(text: str) -> None:
    print(text, end="")


def _typed() -> str:
    return shlex.join(["python", "scripts/compare.py", *sys.argv[1:]])
