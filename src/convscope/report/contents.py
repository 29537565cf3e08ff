"""Contents of a report: its sections, from the table of runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter

from pandas import DataFrame

from convscope.analysis import findings
from convscope.analysis.findings import sentences
from convscope.analysis.frame import by_setting
from convscope.plots import FIGURES
from convscope.report.comparison import (
    BEST,
    captioned,
    shared_facts,
    studies_text,
    summary,
    tuning,
    variance_table,
    variants,
    without_result,
)
from convscope.report.document import (
    Block,
    Bullets,
    Code,
    Document,
    Drawing,
    Listing,
    Paragraph,
    Section,
)
from convscope.runs.directory import UnreadableRun
from convscope.tables import Table
from convscope.text import counted

MOST_SETTINGS = 6
"""Largest number of settings with figures, so that a page stays below 20 MB."""
MOST_COMMANDS = 20
_ANY_WIDTH = 10_000
_SEED = re.compile(r" seed=(\d+)(?= |$)")
_ANY_SEED = " seed=*"


def contents(runs: DataFrame, unreadable: Sequence[UnreadableRun], command: str | None) -> Document:
    """Return the report on runs.

    Args:
        runs: table from `frame` with at least one row; groups keep its order.
        unreadable: runs to list as not read.
        command: command line that writes the report; None if a program does.
    """
    # By setting; the first sentence names the best variant.
    settings = dict(sorted(by_setting(runs), key=itemgetter(0)))
    summaries = {name: sentences(findings.summarize(part)) for name, part in settings.items()}
    measured = [
        *sentences(findings.describe_methods(runs)),
        *(f"All runs share {name}: {text}." for name, text in shared_facts(runs).pairs),
    ]
    sections = [
        Section("In short", _in_short(runs, summaries)),
        Section("Variants", _listing(runs)),
        Section("Tuning", tuple(captioned(tuning(runs)))),
        Section("Without a result", _bullets(without_result(runs))),
        Section("Not read", _bullets(one.reason for one in unreadable)),
        Section("Where the variance comes from", tuple(captioned(variance_table(runs)))),
        *_figures(runs, settings, summaries),
        Section("How it was measured", _bullets(measured)),
        Section("What to keep in mind", _bullets(sentences(findings.caveats(runs)))),
        *_commands(runs, command),
    ]
    title = f"Kernel size, stride and padding compared: {studies_text(runs)}"
    return Document(title, summary(runs), tuple(one for one in sections if one.blocks))


def _listing(runs: DataFrame) -> tuple[Block, ...]:
    """Return the table of variants, with marks behind the names, whose column stays in view."""
    table, legend = variants(runs, single=False, width=_ANY_WIDTH)
    if not table.rows:
        return ()
    _, *columns = table.columns
    rows = tuple((f"{name} {mark}".rstrip(), *row) for mark, name, *row in table.rows)
    best = frozenset(n for n, (mark, *_) in enumerate(table.rows) if mark == BEST)
    return Listing(Table(tuple(columns), rows), best), Paragraph(legend)


def _bullets(lines: Iterable[str]) -> tuple[Bullets, ...]:
    """Return the lines as one list; nothing without lines."""
    return tuple(Bullets(some) for some in [tuple(lines)] if some)


def _in_short(runs: DataFrame, summaries: Mapping[str, Sequence[str]]) -> tuple[Block, ...]:
    if len(summaries) > 1:
        return _bullets(sentences(findings.headlines(runs)))
    ((first, *others),) = summaries.values()
    return Paragraph(first, is_answer=True), *_bullets(others)


def _figures(
    runs: DataFrame, settings: Mapping[str, DataFrame], summaries: Mapping[str, Sequence[str]]
) -> Iterator[Section]:
    """Yield a section per setting with several variants, or one section for a single setting."""
    counts = {setting: part["group"].nunique() for setting, part in settings.items()}
    several = sorted((one for one in counts if counts[one] > 1), key=lambda one: -counts[one])
    if not several or len(counts) == 1:
        yield Section("Figures", drawings(runs, ""))
        return
    for number, setting in enumerate(several[:MOST_SETTINGS], start=1):
        drawn = drawings(settings[setting], f"-{number}")
        variances = captioned(variance_table(settings[setting]))
        yield Section(f"With {setting}", (*_bullets(summaries[setting]), *variances, *drawn))
    others = len(counts) - min(len(several), MOST_SETTINGS)
    if others:
        left = f"{counted(others, 'more setting')}, of fewer variants: see the table."
        yield Section("With other settings", (Paragraph(left),))


def drawings(runs: DataFrame, suffix: str) -> tuple[Drawing, ...]:
    """Return the figures of runs of one setting.

    Args:
        runs: rows of the table from `frame`.
        suffix: suffix of the drawings' keys, unique to the setting.
    """
    return tuple(
        Drawing(
            f"{shown.key}{suffix}",
            shown.title,
            shown.caption,
            partial(figure.draw, runs, **shown.arguments),
        )
        for figure in FIGURES.values()
        for shown in figure.reports
        if shown.needs is None or runs[shown.needs].notna().any()
    )


def _commands(runs: DataFrame, command: str | None) -> Iterator[Section]:
    if command is not None:
        yield Section("What wrote this report", (Code((command,)),))
    trained = by_seed(runs["command"])
    blocks: tuple[Code | Paragraph, ...] = (Code(tuple(trained[:MOST_COMMANDS])),)
    more = len(trained) - MOST_COMMANDS
    if more > 0:
        blocks += (Paragraph(f"{more} more are not shown: each run's own is in its run.json."),)
    yield Section("What trained its runs", blocks)


def by_seed(commands: Iterable[str]) -> list[str]:
    """Return distinct commands; those that differ only in their seed become one sweep."""
    seeds: dict[str, list[str]] = {}
    for command in dict.fromkeys(commands):
        seeds.setdefault(_SEED.sub(_ANY_SEED, command), []).append(command)
    return [group[0] if len(group) == 1 else _sweep(group) for group in seeds.values()]


def _sweep(commands: Sequence[str]) -> str:
    seeds = sorted(int(found[1]) for command in commands if (found := _SEED.search(command)))
    swept = _SEED.sub(f" seed={','.join(map(str, seeds))}", commands[0])
    return swept.replace("train.py", "train.py -m", 1)
