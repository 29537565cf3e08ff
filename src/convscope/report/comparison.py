"""Comparisons as blocks: many runs as one table, and two runs side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pandas import DataFrame, Series

from convscope.analysis.answers import ACCURACY
from convscope.analysis.choice import top_groups
from convscope.analysis.citations import BETTER_RUN, EQUIVALENCE, MCNEMAR, TESTS
from convscope.analysis.diff import Comparison, DiffRow, Plain
from convscope.analysis.equivalence import DIFFERENT, EQUIVALENT, MARGIN, margin_text
from convscope.analysis.findings import Finding, caveats, latency_machines, sentences, summarize
from convscope.analysis.findings.sources import estimated_from
from convscope.analysis.frame import short
from convscope.analysis.mcnemar import McNemar
from convscope.analysis.pairwise import LEVEL
from convscope.analysis.table import (
    shared,
    spread_text,
    terminal_table,
    to_records,
    value_text,
    varied,
    with_std,
)
from convscope.analysis.tuned import OWN_IS_BEST, tunings_in
from convscope.analysis.variance import sources
from convscope.config.schema import as_typed, format_value
from convscope.metrics import METRICS, latencies
from convscope.report.document import Block, Bullets, Facts, Listing, Paragraph
from convscope.runs.identity import is_as_before
from convscope.runs.tuning import Tuning, Value
from convscope.tables import Table
from convscope.text import (
    MISSING,
    count,
    counted,
    counted_range,
    listed,
    p_text,
    percent,
    percentage_points,
    share,
)

BEST, CLOSE, BETTER, OWN = "*", "~", "+", "°"
_NAMES = {BEST: BEST, CLOSE: CLOSE, BETTER: BETTER, "it": BEST}
_MARK_COLUMN = "<"
MOST_STUDIES = 3
"""Largest number of studies that are listed by name."""
_LONG = 40
_PARTS = {"dataset": "data", "test_images": "data", "compile": "trainer"} | {
    "match": "model",
    "family": "setting",
    "vary": "data",
}
"""Part of the config under which a top-level key is listed."""
_MACHINE = ("device", "threads", "torch")
_UNTOLD = ("study", "fingerprint", "model.fingerprint")
"""What a reader of a report learns nothing from."""


def compared(runs: DataFrame, single: bool, width: int, margin: float = MARGIN) -> list[Block]:
    """Return a comparison of runs: facts, table, findings and caveats.

    Args:
        runs: table from `frame`; lines keep its order.
        single: a line per run instead of one per group.
        width: of the terminal, in characters.
        margin: largest difference in test accuracy that is called equivalent, as a share.
    """
    table, legend = variants(runs, single, width)
    # Other runs are told of without a result.
    chosen = runs[runs["status"].isin(["finished", "pruned"])]
    return [
        Paragraph(summary(runs)),
        shared_facts(runs),
        Listing(table),
        Paragraph(legend),
        *captioned(tuning(runs)),
        Bullets(tuple(without_result(runs)), "Without a result:"),
        Bullets(tuple(sentences(summarize(runs, margin))), "In words:"),
        *captioned(variance_table(runs)),
        Bullets(tuple(sentences(caveats(chosen))), "What limits that:"),
    ]


def variance_table(runs: DataFrame) -> list[tuple[Table, str]]:
    """Return the sources of the variance of test accuracy as a table, with its caption.

    Of runs of a single setting; empty where the sources cannot be estimated.
    """
    found = sources(runs) if runs["setting"].nunique() == 1 else None
    if found is None:
        return []
    table = zip(found.variances.index, found.stds, found.shares, strict=True)
    rows = tuple((str(name), f"{100 * std:.2f}", share(part)) for name, std, part in table)
    caption = (
        f"Variance of a single run's test accuracy by source, from {estimated_from(found)}:"
        " standard deviations in percentage points, and shares of the variance, estimated from"
        " expected mean squares for other runs of this kind. The shares of kernel size, stride and"
        " padding are another thing: they divide the sum of squares of these very runs."
    )
    return [(Table(("<source", "std", "share"), rows), caption)]


def captioned(tables: Iterable[tuple[Table, str]]) -> list[Block]:
    """Return tables as blocks, each with its legend below it."""
    return [block for table, text in tables for block in (Listing(table), Paragraph(text))]


def variants(runs: DataFrame, single: bool, width: int) -> tuple[Table, str]:
    """Return the table of `compared`, and the legend of its columns and marks."""
    headings = _headings(runs)
    marks = {} if single else _marks(runs[runs["status"] == "finished"])
    records = to_records(runs, single=single)
    lines = [one for one in records if (one["status"] == "finished" if single else one["runs"])]
    table = terminal_table(lines, single=single, headings=headings, marks=marks, width=width)
    return table, legend(table, runs)


def tuning(runs: DataFrame) -> list[tuple[Table, str]]:
    """Return what the trials of each tuned key found, a line per variant, and a legend."""
    found = []
    for key, tunings in tunings_in(runs).items():
        last = key.rpartition(".")[2]
        values = sorted({value for one in tunings for value in one.values}, key=lambda v: v or 0)
        names = [one.variant for one in tunings]
        labels = dict(zip((one.subject for one in tunings), names, strict=True))
        if len(set(names)) < len(names):
            labels = _labels_of_subjects(runs)
        rows = tuple(
            (labels[one.subject], *(_trial_text(one, value) for value in values)) for one in tunings
        )
        seeds = sorted({one.seed for one in tunings})
        legend = (
            f"Tuning of {key}: best validation accuracy of one run per variant and value, seed"
            f" {listed(list(map(str, seeds)))}. {BEST} chosen, {OWN} the config's own value."
        )
        columns = ("<variant", *(f"{last} {as_typed(value)}" for value in values))
        found.append((Table(columns, rows), legend))
    return found


def _labels_of_subjects(runs: DataFrame) -> dict[str, str]:
    """Return a label per tuned variant where several settings have the same variants."""
    plain = runs[runs["family"].isna() | (runs["family"] == OWN_IS_BEST)]
    rows = zip(plain["tuning"], plain["label"], strict=True)
    return {tuning.subject: label for own, label in reversed([*rows]) for tuning in own}


def _trial_text(tuning: Tuning, value: Value) -> str:
    """Return the cell of a value: its accuracy, or how its run ended, and the marks."""
    found = next((one for one in tuning.trials if one.value == value), None)
    marks = BEST * (value == tuning.chosen) + OWN * (value == tuning.own)
    if found is None:
        return f"{MISSING} {marks}".rstrip()
    known = found.status == "finished" and found.accuracy is not None
    return f"{percent(found.accuracy) if known else found.status} {marks}".rstrip()


def _headings(runs: DataFrame) -> dict[str, str]:
    """Return the heading of each varying key, which has its own column."""
    keys = varied(runs)
    studies = ["study"] if runs["study"].nunique() > 1 else []
    return {key: short(key, keys) for key in [*studies, *keys]}


def summary(runs: DataFrame) -> str:
    """Return the studies, and how many runs and variants they have."""
    statuses = runs["status"].value_counts()
    counts = ", ".join(f"{number} {status}" for status, number in statuses.items())
    variants = counted(runs["variant"].nunique(), "variant")
    return f"{studies_text(runs)}: {counted(len(runs), 'run')} of {variants} ({counts})"


def studies_text(runs: DataFrame) -> str:
    """Return the names of the studies, or how many there are."""
    studies = sorted(runs["study"].unique())
    return ", ".join(studies) if len(studies) <= MOST_STUDIES else f"{len(studies)} studies"


def shared_facts(runs: DataFrame) -> Facts:
    """Return the values that all runs share, by part of the config.

    Null, false and empty lists are left out, and so are keys that older runs lack at their default.
    """
    values = shared(runs)
    lines: dict[str, list[str]] = {}
    for key, value in values.items():
        # An empty list reads `none`, and so does a value of model.pool.
        is_unset = value in (None, False) or (value == format_value([]) and key != "model.pool")
        if key not in (*_UNTOLD, *_MACHINE) and not is_unset:
            if is_as_before(key, value):
                continue
            group, _, last = key.rpartition(".")
            lines.setdefault(group or _PARTS[key], []).append(f"{last} {value_text(value)}")
    machine = [f"{key} {value_text(values[key])}" for key in _MACHINE if key in values]
    lines["machine"] = machine
    return Facts(tuple((name, ", ".join(texts)) for name, texts in lines.items()))


def _marks(runs: DataFrame) -> dict[str, str]:
    top = top_groups(runs)
    marks = {BETTER: top.better, CLOSE: top.not_different, BEST: top.best}
    return {group: mark for mark, groups in marks.items() for group in groups}


def legend(table: Table, runs: DataFrame, names: Mapping[str, str] = _NAMES) -> str:
    """Return what the columns and marks of the table of variants mean.

    Args:
        table: from `variants`, some columns of which may be missing.
        runs: those of the table.
        names: what the marks, and `it`, the best variant, are called.
    """
    if not table.rows:
        return ""
    among = " of those compared with it" if runs["setting"].nunique() > 1 else ""
    shown = {row[0] for row in table.rows} if table.columns[0] == _MARK_COLUMN else set()
    its = f"that of {names['it']} (95 %)"
    meanings = [
        (BEST in shown, f"{names[BEST]} highest validation accuracy{among}"),
        (CLOSE in shown, f"{names[CLOSE]} test accuracy not significantly different from {its}"),
        (BETTER in shown, f"{names[BETTER]} test accuracy significantly higher than {its}"),
        (
            bool(shown)
            and "also_in" in runs
            and bool(runs["also_in"].str.contains("match macs").any()),
            "a variant that needed no scaling is compared at equal MACs too, and marked among"
            " match null",
        ),
        (any("±" in cell for row in table.rows for cell in row), "±: standard deviation"),
        (
            "<family" in table.columns,
            "family: with one value for all (–), with the value that the variant was tuned to, or"
            " both where these are equal",
        ),
        ("95 % interval" in table.columns, "95 % interval: of each mean by itself"),
        ("map" in table.columns, "map: last feature map"),
        ("RF" in table.columns, "RF: receptive field of one of its units, pixels"),
        (
            METRICS["erf_side"].head in table.columns,
            "ERF: side of the square with half of the effective receptive field, pixels",
        ),
        (
            METRICS["shift_change"].head in table.columns,
            "1 px changes: answers that change when the image moves by one pixel, mean of four"
            f" directions{_of_images(runs)}",
        ),
        (METRICS["ece"].head in table.columns, "ECE: expected calibration error"),
    ]
    shown_meanings = [meaning for is_shown, meaning in meanings if is_shown]
    return "; ".join(filter(None, [*shown_meanings, _latency_legend(table.columns, runs)]))


def _of_images(runs: DataFrame) -> str:
    """Return the number of images that diagnostics were measured on: `, 500 test images`."""
    images = runs["diagnostic_images"].dropna()
    return "" if images.empty else f", {counted_range(images, 'test image')}"


def _latency_legend(columns: Sequence[str], runs: DataFrame) -> str:
    """Return what the columns of the latencies mean; "" without such a column."""
    timed = [METRICS[name].of_calls for name in latencies() if METRICS[name].head in columns]
    calls = [one for one in timed if one is not None]
    if not calls:
        return ""
    batches, percentiles = (sorted(set(some)) for some in zip(*calls, strict=True))
    names, images = ([f"{mark}{one}" for one in batches] for mark in ("b", ""))
    of_calls = listed(["median (p50)" if one == 50 else f"p{one}" for one in percentiles])
    return (
        f"{', '.join(names)}: milliseconds of a forward pass of {listed(images)}"
        f" {'image' if images == ['1'] else 'images'}, {of_calls} of its calls on"
        f" {'; '.join(latency_machines(runs))}"
    )


def without_result(runs: DataFrame) -> list[str]:
    """Return a line per variant, status and reason of the runs that did not finish."""
    lines = []
    for (label, status, reason), some in runs[runs["status"] != "finished"].groupby(
        ["label", "status", "reason"], sort=False, dropna=False
    ):
        seeds = ", ".join(map(str, sorted(some["seed"])))
        why = f": {reason}" if isinstance(reason, str) else ""
        lines.append(f"{label} {status}, {'seed' if len(some) == 1 else 'seeds'} {seeds}{why}")
    return lines


def side_by_side(comparison: Comparison) -> list[Block]:
    """Return two variants or runs: a table of different values, with long texts below it."""
    rows = comparison.rows
    differing = [row for row in rows if row.differs]
    columns: tuple[str, ...] = ("<", "<", "first", "second", "change")
    if comparison.pairs:
        columns = ("<", "<", "first", "second", "difference", "95 % interval", "p")
    drawn, long, before = [], [], ""
    for row in differing:
        texts = diff_texts(row, comparison)
        if max(map(len, texts)) > _LONG:
            long.append(Bullets(texts, f"{row.key}, first and second:"))
        else:
            cells = (row.part if row.part != before else "", row.key, *texts, *change_texts(row))
            drawn.append(cells[: len(columns)])
            before = row.part
    equal = f"{len(rows) - len(differing)} other values are equal."
    return [
        Facts((("first", _side(comparison.first)), ("second", _side(comparison.second)))),
        Bullets(tuple(sentences(sides_in_words(comparison))), "In words:"),
        *_answers_table(comparison.answers),
        Listing(Table(columns, tuple(drawn))),
        Paragraph(f"{equal} {significance(comparison)}"),
        *long,
    ]


def sides_in_words(comparison: Comparison) -> list[Finding]:
    """Return what two variants' test accuracies show, or two runs' answers to the same images."""
    judged = comparison.judged
    if judged is None:
        return list(_of_answers(comparison))
    sides = tuple(side["label"].iloc[0] for side in (comparison.second, comparison.first))
    shared: dict[str, Any] = {"subjects": sides, "metric": ACCURACY}
    (row,) = (one for one in comparison.rows if one.key == ACCURACY)
    first, second = diff_texts(row, comparison)
    difference, interval, _ = change_texts(row)
    is_different = judged["verdict"] == DIFFERENT
    adjusted = f" (both adjusted for {comparison.pairs} pairs)" if comparison.pairs > 1 else ""
    tested = Finding(
        kind="different" if is_different else "not_different",
        sentence=f"Test accuracy: first {first}, second {second}. Difference {difference}, 95 %"
        f" interval {interval}, {_p_is(row.p_value)}{adjusted}:"
        f" {'significant' if is_different else 'not significant'}.",
        **shared,
        estimate=row.difference,
        low=row.low,
        high=row.high,
        p_value=row.p_value,
        statistic="difference",
        cites=TESTS[judged["method"]],
    )
    chance, (one, other) = judged["better"], ("second", "first")
    if chance < 0.5:
        chance, one, other = 1 - chance, other, one
    better = Finding(
        kind="better_run",
        sentence=f"A run of the {one} is more accurate than one of the {other} in {share(chance)}"
        " of the pairs of runs, ties counted one half (Bouthillier et al. 2021 call 75 % and more"
        " meaningful if it is significant too).",
        **shared,
        estimate=judged["better"],
        statistic="probability",
        cites=BETTER_RUN,
    )
    return [tested, better] if is_different else [tested, *_equivalence(judged, shared), better]


def _equivalence(judged: Series, shared: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether two variants are equivalent, and which difference could have been shown."""
    margin = margin_text(judged["margin"])
    is_equivalent = judged["verdict"] == EQUIVALENT
    shown = "Equivalent" if is_equivalent else "Not shown to be equivalent"
    rest = "" if is_equivalent else "; whether they differ by more is undecided"
    yield Finding(
        kind=judged["verdict"],
        sentence=f"{shown} within {margin}: two one-sided tests, {_p_is(judged['p_equivalent'])}"
        f"{rest}.",
        **shared,
        estimate=judged["difference"],
        p_value=judged["p_equivalent"],
        statistic="difference",
        cites=EQUIVALENCE,
    )
    seeds = judged["seeds"]
    needs = f"a difference of {margin} needs {counted(seeds, 'seed')} of each variant"
    if not math.isfinite(seeds):
        needs = (
            f"for a difference of {margin} no number of seeds would do, since the test images"
            f" cannot show less than {percentage_points(judged['limit'])}"
        )
    yield Finding(
        kind="detectable",
        sentence="At the spread seen here, this comparison had an 80 % chance to show a true"
        f" difference of {percentage_points(judged['detectable'])}; {needs}.",
        **shared,
        estimate=judged["detectable"],
    )
    yield Finding("seeds_needed", shared["subjects"], "", seeds, statistic="seeds")


def _of_answers(comparison: Comparison) -> Iterator[Finding]:
    """Yield what two networks' answers to the same images show; nothing without them."""
    found = comparison.answers
    if found is None:
        return
    runs = tuple(side["run"].iloc[0] for side in (comparison.second, comparison.first))
    tested = "significant" if found.p_value < LEVEL else "not significant"
    sentence = (
        f"Of {count(found.images)} test images, only the first is right on {count(found.first)} and"
        f" only the second on {count(found.second)}. Difference"
        f" {100 * found.difference:+.2f} points, standard error {100 * found.error:.2f},"
        f" {_p_is(found.p_value)} (McNemar's exact test): {tested}. This compares these two trained"
        " networks; it says nothing about their variants, whose other seeds give other networks."
    )
    yield Finding(
        *("mcnemar", runs, sentence),
        estimate=found.difference,
        p_value=found.p_value,
        metric=ACCURACY,
        statistic="difference",
        cites=MCNEMAR,
    )
    for run, images in zip(runs, (found.second, found.first), strict=True):
        yield Finding("only_right", (run,), "", images, statistic="images")


def _answers_table(found: McNemar | None) -> Iterator[Listing]:
    """Yield McNemar's table."""
    if found is not None:
        rows = (
            ("first right", count(found.both), count(found.first)),
            ("first wrong", count(found.second), count(found.neither)),
        )
        yield Listing(Table(("<test images", "second right", "second wrong"), rows))


def _p_is(p_value: float | None) -> str:
    text = p_text(p_value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _side(runs: DataFrame) -> str:
    """Return a side's name: `STUDY/mnist-k3-s1-p1-seed0-6438b661`, `k3-s1-p1, 3 runs of STUDY`."""
    first = runs.iloc[0]
    if len(runs) == 1:
        return f"{first['study']}/{first['run']}"
    return f"{first['label']}, {len(runs)} runs of {', '.join(runs['study'].unique())}"


def significance(comparison: Comparison) -> str:
    """Return the definition of the differences, and for how many pairs their intervals hold."""
    if not comparison.pairs:
        return (
            "Between single runs a result may differ by chance: their studies' tables say what"
            " holds over seeds."
        )
    which = (
        "for this pair"
        if comparison.pairs == 1
        else f"for all {comparison.pairs:,} pairs of variants of this setting at once"
    )
    return (
        "Results are means over the seeds ± their standard deviation. Differences are the second"
        f" minus the first; interval and p-value hold {which} (5 %), for each result by itself."
    )


def diff_texts(row: DiffRow, comparison: Comparison) -> tuple[str, str]:
    """Return both values of a row as text."""
    return (
        _diff_text(row.key, row.first, row.first_std, comparison.first),
        _diff_text(row.key, row.second, row.second_std, comparison.second),
    )


def _diff_text(key: str, value: Plain, std: float | None, side: DataFrame) -> str:
    if _is_share(key) and isinstance(value, float):
        return spread_text(value, std, _images_behind(key, side))
    if isinstance(value, float) and std is not None:
        return with_std(value, std)
    return _plain_text(value)


def _is_share(key: str) -> bool:
    """Return whether a row's values are shares; those of another version's metrics by name."""
    return METRICS[key].is_share if key in METRICS else key.endswith("_accuracy")


def _images_behind(metric: str, side: DataFrame) -> int | None:
    images = METRICS[metric].images if metric in METRICS else None
    if images is None:
        return None
    known = side[images].dropna()
    return None if known.empty else int(known.iloc[0])


def _plain_text(value: Plain) -> str:
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{40,64}", value):
        return value[:8]
    if isinstance(value, int) and not isinstance(value, bool):
        return count(value)
    return f"{value:,.5g}" if isinstance(value, float) else value_text(value)


def change_texts(row: DiffRow) -> tuple[str, str, str]:
    """Return a row's difference, interval and p-value as text; "" where unknown."""
    if row.difference is None or row.low is None or row.high is None or row.p_value is None:
        return _step(row), "", ""
    unit = " points" if _is_share(row.key) else ""
    difference, low, high = (_signed(row.key, one) for one in (row.difference, row.low, row.high))
    return f"{difference}{unit}", f"{low} to {high}{unit}", p_text(row.p_value)


def _signed(key: str, value: float) -> str:
    if _is_share(key):
        return f"{100 * value:+.2f}"
    return f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.3g}"


def _step(row: DiffRow) -> str:
    """Return the change from first to second: points of a share, else a factor above 0."""
    if row.part not in ("geometry", "result"):
        return ""
    match row.first, row.second:
        case float() as first, float() as second if _is_share(row.key):
            return f"{100 * (second - first):+.2f} points"
        case int() | float() as first, int() | float() as second if first > 0 and second >= 0:
            return f"x{second / first:.3g}"
    return ""
