"""Writer of tables as LaTeX, for papers.

A table needs the package booktabs. It is as wide as one column of a two-column paper, or else as
the text of a one-column paper (122 mm); columns that a paper needs least are dropped until it fits.
What is wider even so is scaled down (graphicx), and many rows are a longtable.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Sequence

from pandas import DataFrame

from convscope.analysis.citations import TESTS
from convscope.analysis.diff import Comparison
from convscope.analysis.findings import summarize
from convscope.analysis.findings.caveats import training_lengths
from convscope.analysis.findings.methods import hardware
from convscope.analysis.pairwise import GAMES_HOWELL
from convscope.errors import UserError
from convscope.metrics import METRICS
from convscope.report.comparison import (
    BEST,
    BETTER,
    CLOSE,
    legend,
    side_by_side,
    significance,
    studies_text,
    variants,
)
from convscope.report.document import Facts, Listing
from convscope.tables import Table
from convscope.text import MISSING, counted_range, escape_control, listed

_COLUMN, TEXT_WIDTH = 50, 72
"""Characters of \\small that fit in a column of 84 mm, and in a text of 122 mm."""
_GAP = 2
_MOST_ROWS = 40
"""Largest number of rows of a table that is not broken over pages."""
_UNITS = {" %": "%", " points": "points", " px": "px"}
_DAGGERS = {CLOSE: "†", BETTER: "‡"}
_NAMES = {BEST: "bold:", CLOSE: "†:", BETTER: "‡:", "it": "the variant in bold"}
_DROPPED = {metric.head: metric.spare for metric in METRICS.values()} | {
    "seconds": 4.0,
    METRICS["train_samples_per_sec"].head: 0.7,
    "95 % interval": 0.5,
}
"""Columns that may be dropped, the largest number first."""
_ANY_WIDTH = 10_000
_OF_PAIRS = ("worse", "better", "not_different")
"""Kinds of findings on tested pairs."""
_ESCAPED = {
    **{char: f"\\{char}" for char in "{}$&#_%"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    **{char: f"${char}$" for char in "<>|"},
    '"': r"\char34{}",
    "-": "-{}",
    "†": r"\textsuperscript{$\dagger$}",
    "‡": r"\textsuperscript{$\ddagger$}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "…": r"\ldots{}",
}
"""Characters that have a meaning in LaTeX, singly or doubled."""


def escape_latex(text: str) -> str:
    """Return LaTeX that shows `text` literally; a minus and a per cent sign are set as such."""
    text = re.sub(r"(?<![\w.)])-(?=[\d.])", "−", escape_control(text))
    escaped = "".join(_ESCAPED.get(char, char) for char in text)
    # A hyphen is protected only where two would become a dash.
    escaped = re.sub(r"-\{\}(?!-)", "-", escaped)
    return escaped.replace("−", "$-$").replace(r" \%", r"\,\%")


def cited(keys: Iterable[str]) -> str:
    """Return the command that cites these sources; "" without any."""
    some = list(dict.fromkeys(keys))
    return f"~\\cite{{{','.join(some)}}}" if some else ""


def latex_table(
    table: Table, caption: str, label: str, bold: Collection[tuple[int, int]] = ()
) -> str:
    """Return a table as LaTeX.

    Args:
        table: its cells are escaped; units that all cells of a column share are put in the head.
        caption: LaTeX.
        label: text of which the label is made.
        bold: row and column of each cell in bold.
    """
    table = _with_units(table)
    spec, heads = [], []
    for head, *cells in zip(table.columns, *table.rows, strict=True):
        align = "l" if head.startswith("<") else "r"
        is_split = align == "r" and any("±" in cell for cell in cells)
        spec.append(r"r@{\,}l" if is_split else align)
        stacked = r"\\".join(map(escape_latex, _lines(head, cells)))
        text = f"\\begin{{tabular}}[b]{{@{{}}{align}@{{}}}}{stacked}\\end{{tabular}}"
        text = text if r"\\" in stacked else stacked
        heads.append(f"\\multicolumn{{2}}{{c}}{{{text}}}" if is_split else text)
    rows = [
        " & ".join(
            _cell(text, (number, index) in bold, is_split="@" in spec[index])
            for index, text in enumerate(row)
        )
        for number, row in enumerate(table.rows)
    ]
    return _float(table, "".join(spec), " & ".join(heads), rows, caption, label)


def _float(
    table: Table, spec: str, head: str, rows: Sequence[str], caption: str, label: str
) -> str:
    """Return rows as a table of one or two columns' width, or over several pages."""
    width = _width(table)
    texts = f"\\caption{{{caption}}}\n\\label{{tab:{re.sub('[^A-Za-z0-9]+', '-', label)}}}"
    body = "".join(f"{row} \\\\\n" for row in rows)
    if len(rows) > _MOST_ROWS:
        return (
            "% \\usepackage{booktabs,longtable}\n"
            f"{{\\small\n\\setlength{{\\tabcolsep}}{{4pt}}\n\\begin{{longtable}}{{{spec}}}\n"
            f"{texts} \\\\\n\\toprule\n{head} \\\\\n\\midrule\n\\endfirsthead\n"
            f"\\toprule\n{head} \\\\\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n"
            f"{body}\\end{{longtable}}\n}}\n"
        )
    kind = "table" if width <= _COLUMN else "table*"
    rules = f"\\toprule\n{head} \\\\\n\\midrule\n{body}\\bottomrule\n"
    drawn = f"\\begin{{tabular}}{{{spec}}}\n{rules}\\end{{tabular}}"
    packages = "booktabs"
    if width > TEXT_WIDTH:
        packages = "booktabs,graphicx"
        drawn = f"\\resizebox{{\\textwidth}}{{!}}{{%\n{drawn}}}"
    return (
        f"% \\usepackage{{{packages}}}\n\\begin{{{kind}}}[t]\n\\centering\n\\small\n"
        f"\\setlength{{\\tabcolsep}}{{4pt}}\n{texts}\n{drawn}\n\\end{{{kind}}}\n"
    )


def _with_units(table: Table) -> Table:
    """Move units that all cells of a column share to its head."""
    columns = []
    for head, *cells in zip(table.columns, *table.rows, strict=True):
        known = [cell for cell in cells if cell not in ("", MISSING)]
        for ending, unit in _UNITS.items():
            if known and head and all(cell.endswith(ending) for cell in known):
                head, cells = f"{head} ({unit})", [cell.removesuffix(ending) for cell in cells]
        columns.append((head, *cells))
    heads, *rows = zip(*columns, strict=True)
    return Table(heads, tuple(rows))


def _lines(head: str, cells: Sequence[str]) -> list[str]:
    """Return a head in lines that are about as wide as the cells."""
    text = head.removeprefix("<")
    widest = max(map(len, [*text.split(), *cells]), default=1)
    return textwrap.wrap(text, widest, break_on_hyphens=False) or [""]


def _width(table: Table) -> int:
    widths = [
        max(map(len, [*_lines(head, cells), *cells]))
        for head, *cells in zip(table.columns, *table.rows, strict=True)
    ]
    return sum(widths) + _GAP * (len(widths) - 1)


def _cell(text: str, is_bold: bool, *, is_split: bool) -> str:
    parts = [text]
    if is_split:
        mean, sign, std = text.partition(" ± ")
        parts = [mean, f"± {std}" if sign else ""]
    shown = [escape_latex(part).replace("$ ", r"$\,") for part in parts]
    return " & ".join(f"\\textbf{{{one}}}" if is_bold and one else one for one in shown)


def variants_latex(runs: DataFrame, *, single: bool) -> str:
    """Return the table of variants, or of runs if `single`, with a caption that explains it.

    Args:
        runs: table from `frame`.
        single: a line per run.

    Raises:
        UserError: no run has finished.
    """
    table, _ = variants(runs, single, _ANY_WIDTH)
    if not table.rows:
        raise UserError("a LaTeX table needs a finished run, got none")
    finished = runs[runs["status"] == "finished"]
    if single:
        # A run's name is as wide as a page.
        names = zip(finished["variant"], finished["seed"], table.rows, strict=True)
        rows = [(variant, str(seed), *others) for variant, seed, (_, *others) in names]
        table = Table(("<variant", "seed", *table.columns[1:]), tuple(rows))
    table = _narrowed(table)
    explained = legend(table, runs, _NAMES)
    bold: list[tuple[int, int]] = []
    if not single:
        accuracies = [METRICS[name].head for name in ("best_val_accuracy", "test_accuracy")]
        columns = [0, *(table.columns.index(head) - 1 for head in accuracies)]
        best = [number for number, (mark, *_) in enumerate(table.rows) if mark == BEST]
        bold = [(row, column) for row in best for column in columns]
        rows = [(name + _DAGGERS.get(mark, ""), *others) for mark, name, *others in table.rows]
        table = Table(table.columns[1:], tuple(rows))
    texts = [_subject(runs, single), f"Hardware: {'; '.join(hardware(finished))}."]
    if explained:
        texts.append(f"{explained[0].upper()}{explained[1:]}.")
    caption = " ".join(map(escape_latex, texts))
    tested = [key for one in summarize(runs) if one.kind in _OF_PAIRS for key in one.cites]
    if tested and not single:
        of = " of a setting" if runs["setting"].nunique() > 1 else ""
        test = f"All pairs of variants{of} are tested at once, with a family-wise error of 5 %"
        caption += f" {escape_latex(test)}{cited(tested)}."
    return latex_table(table, caption, f"convscope-{studies_text(runs)}", bold)


def _narrowed(table: Table) -> Table:
    """Drop columns until the table fits the text's width, and what needs no column."""
    columns = [*zip(table.columns, *table.rows, strict=True)]
    # An equal number of seeds is in the caption.
    columns = [one for one in columns if one[0] != "seeds" or len({*one[1:]}) > 1]
    while True:
        heads, *rows = zip(*columns, strict=True)
        narrowed = Table(heads, tuple(rows))
        least = max(columns, key=lambda one: _DROPPED.get(one[0], 0))
        if _width(_with_units(narrowed)) <= TEXT_WIDTH or not _DROPPED.get(least[0]):
            return narrowed
        columns.remove(least)


def _subject(runs: DataFrame, single: bool) -> str:
    """Return what the table is of: seeds, data, length of training and test images."""
    finished = runs[runs["status"] == "finished"]
    datasets = listed(list(finished["dataset"].unique()))
    images = finished["test_images"].dropna()
    tested = f"; test accuracy on {counted_range(images, 'image')}" if len(images) else ""
    seeds = counted_range(finished.groupby("group").size(), "seed")
    what = "Single runs" if single else f"Means over {seeds}"
    return f"{what} on {datasets}, {listed(training_lengths(finished))}{tested}."


def diff_latex(comparison: Comparison) -> str:
    """Return the table of two variants or runs, without single layers and the environment."""
    blocks = side_by_side(comparison)
    # Before it may be a table of two runs' answers.
    *_, table = (block.table for block in blocks if isinstance(block, Listing))
    (facts,) = (block for block in blocks if isinstance(block, Facts))
    parts = [row[0] for row in table.rows]
    end = parts.index("environment") if "environment" in parts else len(parts)
    rows = [row for row in table.rows[:end] if " " not in row[1]]
    sides = "; ".join(f"{text} ({side})" for side, text in facts.pairs)
    caption = escape_latex(f"{sides}. {significance(comparison)}")
    if comparison.pairs:
        caption = caption.removesuffix(".") + f"{cited(TESTS[GAMES_HOWELL])}."
    label = "-".join(side["label"].iloc[0] for side in (comparison.first, comparison.second))
    return latex_table(Table(table.columns, tuple(rows)), caption, f"convscope-{label}")
