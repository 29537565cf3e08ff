"""What a report says of runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pandas import DataFrame

from convscope.analysis import findings as words
from convscope.report.document import (
    Answer,
    Block,
    Bullets,
    Code,
    Document,
    Listing,
    Paragraph,
    Section,
)
from convscope.report.drawings import drawings
from convscope.report.page import Page
from convscope.report.views import BEST, IN_WORDS, WITHOUT_RESULT, compared
from convscope.runs.directory import UnreadableRun
from convscope.tables import Table
from convscope.text import counted

MOST_SETTINGS = 6
"""Settings that get figures, those with the most variants first: a page stays below 20 MB."""

MOST_COMMANDS = 20
_ANY_WIDTH = 10_000
_MOST_NAMES = 3
_SEED = re.compile(r" seed=(\d+)(?= |$)")
_ANY_SEED = " seed=*"


def contents(runs: DataFrame, unreadable: Sequence[UnreadableRun], command: str | None) -> Document:
    """The report on `frame`'s table, which has at least one row; groups come in its order.

    Args:
        unreadable: what could not be read.
        command: what writes the report; None where a program does.
    """
    page = compared(runs, single=False, width=_ANY_WIDTH)
    said = _said(runs, page)
    sections = [
        Section("In short", _in_short(runs, said)),
        Section("Variants", _listing(page)),
        Section("Without a result", _bullets(page.lists[WITHOUT_RESULT])),
        Section("Not read", _bullets(one.reason for one in unreadable)),
        *_figures(runs, said),
        Section("How it was measured", _bullets([*words.describe_methods(runs), *_shared(page)])),
        Section("What to keep in mind", _bullets(words.caveats(runs))),
        *_commands(runs, command),
    ]
    filled = tuple(section for section in sections if section.blocks)
    return Document(_title(runs), page.heading or "", filled)


def _listing(page: Page) -> tuple[Listing | Paragraph, ...]:
    """The marks in front of the variants stand behind them: on a page the names stay in sight."""
    if not page.table.rows:
        return ()
    _, *columns = page.table.columns
    rows = tuple((f"{name} {mark}".rstrip(), *row) for mark, name, *row in page.table.rows)
    best = frozenset(n for n, (mark, *_) in enumerate(page.table.rows) if mark == BEST)
    return Listing(Table(tuple(columns), rows), best), Paragraph(page.legend)


def _bullets(lines: Iterable[str]) -> tuple[Bullets, ...]:
    """Nothing where there is no line."""
    return tuple(Bullets(some) for some in [tuple(lines)] if some)


def _shared(page: Page) -> list[str]:
    return [f"All runs share {name}: {text}." for name, text in page.facts]


def _title(runs: DataFrame) -> str:
    studies = sorted(runs["study"].unique())
    named = ", ".join(studies) if len(studies) <= _MOST_NAMES else f"{len(studies)} studies"
    return f"Kernel size, stride and padding compared: {named}"


def _said(runs: DataFrame, page: Page) -> dict[str, Sequence[str]]:
    """What the numbers say, by setting; the first sentence says what wins."""
    settings = list(runs.groupby("setting"))
    if len(settings) == 1:
        return {str(settings[0][0]): page.lists[IN_WORDS]}
    return {str(setting): words.summarize(alone) for setting, alone in settings}


def _in_short(runs: DataFrame, said: Mapping[str, Sequence[str]]) -> tuple[Block, ...]:
    if len(said) > 1:
        return _bullets(words.headlines(runs))
    ((first, *others),) = said.values()
    return Answer(first), *_bullets(others)


def _figures(runs: DataFrame, said: Mapping[str, Sequence[str]]) -> Iterator[Section]:
    """A section per setting; of settings with a single variant each, one for all."""
    counts = runs.groupby("setting")["group"].nunique()
    several = counts[counts > 1].sort_values(ascending=False, kind="stable").index
    if len(several) == 0 or len(counts) == 1:
        yield Section("Figures", tuple(drawings(runs, "")))
        return
    for number, setting in enumerate(several[:MOST_SETTINGS], start=1):
        alone = runs[runs["setting"] == setting]
        yield Section(f"With {setting}", (*_bullets(said[setting]), *drawings(alone, f"-{number}")))
    others = len(counts) - min(len(several), MOST_SETTINGS)
    if others:
        left = f"{counted(others, 'more setting')}, of fewer variants: see the table."
        yield Section("With other settings", (Paragraph(left),))


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
    """Each command once; those that differ in their seed alone as one sweep over it."""
    seeds: dict[str, list[str]] = {}
    for command in dict.fromkeys(commands):
        seeds.setdefault(_SEED.sub(_ANY_SEED, command), []).append(command)
    return [alike[0] if len(alike) == 1 else _sweep(alike) for alike in seeds.values()]


def _sweep(commands: Sequence[str]) -> str:
    seeds = sorted(int(found[1]) for command in commands if (found := _SEED.search(command)))
    swept = _SEED.sub(f" seed={','.join(map(str, seeds))}", commands[0])
    return swept.replace("train.py", "train.py -m", 1)
