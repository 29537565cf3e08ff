"""Output of `compare.py` and of sweeps: comparisons and reports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from pandas import DataFrame
from rich.console import Console

from convscope import report
from convscope.analysis.citations import BETTER_RUN, EQUIVALENCE, LETTERS, SOURCES, bibtex
from convscope.analysis.diff import compare
from convscope.analysis.findings import Finding, caveats, describe_methods, summarize
from convscope.analysis.frame import Reader, row, tabulate
from convscope.analysis.lookup import OUTPUTS, find_sides, resolve_path
from convscope.analysis.select import select_runs
from convscope.analysis.table import shared, to_records
from convscope.analysis.tuned import tunings_in
from convscope.errors import UserError
from convscope.report.comparison import compared, side_by_side, sides_in_words, significance
from convscope.report.document import Block
from convscope.report.export import as_csv, as_json
from convscope.report.latex import diff_latex, variants_latex
from convscope.report.markdown import as_markdown
from convscope.report.pairs import pair_blocks, pair_records, pairs_latex
from convscope.report.terminal import show
from convscope.runs.directory import RunDirectory, UnreadableRun
from convscope.runs.pack import require_folder, write_pack
from convscope.runs.record import RunRecord
from convscope.runs.study import read_study, runs_below
from convscope.streams import print_stderr
from convscope.tables import new_console, print_line
from convscope.text import counted

log = logging.getLogger(__name__)

PAGE, TEXT = "report.html", "report.md"
_MOST_UNREADABLE = 20
"""Largest number of unreadable runs to list: a wrong folder may have thousands of entries."""


def table(
    names: Sequence[str],
    *,
    where: str | None,
    sort: str | None,
    single: bool,
    pairs: bool,
    margin: float,
    form: str,
    report_path: Path | None,
    pack_path: Path | None,
    command: str,
) -> None:
    """Print a line per variant and setting, or per run; optionally write a report, pack the runs.

    Args:
        names: studies, runs or folders; without any, all runs below `outputs`.
        where: expression that selects lines.
        sort: column to sort by.
        single: a line per run.
        pairs: a line per pair of variants instead.
        margin: largest difference in test accuracy that is called equivalent, as a share.
        form: table, markdown, csv, json or latex.
        report_path: file of the report; None writes none.
        pack_path: file for the records of the runs; None writes none.
        command: command line that the user typed.

    Raises:
        UserError: a folder or column does not exist, there are no runs or pairs, or a file cannot
            be written.
    """
    runs, unreadable = _some(names)
    runs = select_runs(runs, where, sort, single)
    if report_path is not None:
        report.write(runs, unreadable, report_path, command)
    if pack_path is not None:
        _pack(runs, pack_path)
    if form == "latex":
        tables = pairs_latex(runs, margin) if pairs else variants_latex(runs, single=single)
        print(tables, end="")
    elif form in ("csv", "json"):
        in_common = shared(runs)
        lines = pair_records(runs, margin) if pairs else to_records(runs, single=single)
        rows = [record | in_common for record in lines]
        if form == "csv":
            print(as_csv(rows), end="")
        else:
            print(
                as_json(rows, summarize(runs, margin), caveats(runs), describe_methods(runs)),
                end="",
            )
    else:
        _print_blocks(
            lambda width: (
                pair_blocks(runs, margin, width) if pairs else compared(runs, single, width, margin)
            ),
            form,
        )
    for path in (report_path, pack_path):
        if path is not None:
            print_stderr(f"wrote {path}")


def _pack(runs: DataFrame, path: Path) -> None:
    for run in runs["path"][runs["status"] == "running"]:
        raise UserError(f"{run} is being trained: pack its study when it has ended")
    trials = [
        str(trial.path)
        for tunings in tunings_in(runs).values()
        for tuning in tunings
        for trial in tuning.trials
    ]
    write_pack(path, [RunDirectory(Path(run)) for run in [*runs["path"], *trials]])


def cite(names: Sequence[str], where: str | None, *, pairs: bool) -> None:
    """Print the sources of the methods that the comparison of runs uses, as BibTeX.

    Args:
        names: as for `table`; without any, the sources of all methods are printed.
        where: as for `table`.
        pairs: as for `table`.

    Raises:
        UserError: a folder or column does not exist, or there are no runs.
    """
    if not names:
        print(bibtex(SOURCES), end="")
        return
    runs = select_runs(_some(names)[0], where, None, single=False)
    found = [*summarize(runs), *caveats(runs), *describe_methods(runs)]
    keys = [key for one in found for key in one.cites]
    if pairs:
        keys += [*EQUIVALENCE, *LETTERS, *BETTER_RUN]
    print(bibtex(keys), end="")


def finished_runs(names: Sequence[str]) -> list[RunRecord]:
    """Return the records of the finished runs that `table` shows; see there.

    Raises:
        UserError: a folder does not exist, no run is finished, or a run is packed.
    """
    runs, _ = _read(names)
    finished = runs[runs["status"] == "finished"]
    if finished.empty:
        pruned = (runs["status"] == "pruned").sum()
        hint = f": {counted(pruned, 'run')} pruned, which prune=false trains to the end"
        raise UserError(
            f"there is no finished run in {' '.join(names) or OUTPUTS}{hint if pruned else ''}"
        )
    records = list(finished["record"])
    for record in records:
        require_folder(Path(str(record.path)))
    return records


def _some(names: Sequence[str]) -> tuple[DataFrame, list[UnreadableRun]]:
    """Read runs; those that are unreadable are listed at standard error."""
    runs, unreadable = _read(names)
    for run in unreadable[:_MOST_UNREADABLE]:
        print_stderr(f"skipped, unreadable: {run.reason}")
    if len(unreadable) > _MOST_UNREADABLE:
        print_stderr(f"skipped, unreadable: {len(unreadable) - _MOST_UNREADABLE:,} more")
    if runs.empty:
        among = " ".join(names) or OUTPUTS
        raise UserError(f"there is no run to compare in {among}{_only_trials(names)}")
    return runs, unreadable


def _read(names: Sequence[str]) -> tuple[DataFrame, list[UnreadableRun]]:
    if not names and not OUTPUTS.is_dir():
        raise UserError(f"there is no folder {OUTPUTS} here: train first, or name a study's folder")
    return Reader([resolve_path(name) for name in names] or [OUTPUTS]).read()


def _only_trials(names: Sequence[str]) -> str:
    """Return that the runs are trials of tuning, which are not compared; "" if there is none."""
    paths = [resolve_path(name) for name in names] or [OUTPUTS]
    return ", only trials of tune=KEY" if any(runs_below(path)[0] for path in paths) else ""


def diff(names: Sequence[str], margin: float, form: str) -> None:
    """Print two variants or runs side by side.

    Args:
        names: two names, as for `find_sides`.
        margin: as for `table`.
        form: as for `table`.

    Raises:
        UserError: a variant or run does not exist.
    """
    comparison = compare(*find_sides(names), margin)
    differing = [asdict(row) for row in comparison.rows if row.differs]
    if form == "csv":
        print(as_csv(differing), end="")
    elif form == "json":
        sides = tuple(str(side["label"].iloc[0]) for side in (comparison.first, comparison.second))
        method = Finding("differences", sides, significance(comparison))
        print(as_json(differing, sides_in_words(comparison), methods=[method]), end="")
    elif form == "latex":
        print(diff_latex(comparison), end="")
    else:
        _print_blocks(lambda _: side_by_side(comparison), form)


def _print_blocks(blocks_of_width: Callable[[int], list[Block]], form: str) -> None:
    console = new_console()
    blocks = blocks_of_width(console.width)
    if form == "markdown":
        print(as_markdown(blocks))
    else:
        show(blocks, console)


def show_comparison(records: Sequence[RunRecord], console: Console) -> None:
    """Print the comparison of these runs, a line per variant, as `compare.py` does."""
    runs, _ = tabulate([row(record) for record in records])
    best_first = select_runs(runs, None, None, single=False)
    print_line(console)
    show(compared(best_first, single=False, width=console.width), console)


def write_reports(studies: Sequence[Path], command: str, console: Console) -> None:
    """Write the report of each study and print its path; failures are logged.

    Args:
        studies: folders of the studies.
        command: command line that the user typed.
        console: prints the paths.
    """
    for study in studies:
        try:
            page = report_study(study, command)
        except Exception as error:  # noqa: BLE001 (runs and table are done: only warn)
            reason = " ".join(str(error).split()) or repr(error)
            log.warning("%s has no new report: %s", study, reason)
        else:
            print_line(console, f"report: {page}")


def report_study(study: Path, command: str) -> Path:
    """Write the study's report as a page and as Markdown, unless both are current.

    Args:
        study: the study's folder.
        command: command line that the user typed.

    Returns:
        The page's path.

    Raises:
        UserError: a report cannot be written.
    """
    page, text = study / PAGE, study / TEXT
    if text.is_file() and report.is_current(page, *read_study(study)):
        return page
    runs, unreadable = Reader([study]).read()
    runs = select_runs(runs, None, None, single=False)
    # The page last: its mark identifies the runs of both files.
    for path in (text, page):
        report.write(runs, unreadable, path, command)
    return page
