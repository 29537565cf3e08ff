"""A finding: a sentence, and what it states as values for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pandas import DataFrame, Series

from convscope.analysis.citations import TESTS

BEST = "best"
"""Kind of the finding that begins a comparison."""


@dataclass(frozen=True)
class Finding:
    """One sentence of a comparison, with the estimate that it states.

    A sentence on several pairs is that of the first; the findings of the other pairs follow with an
    empty sentence, so that a program reads all of them as one table.

    Args:
        kind: short name that stays the same over versions: `best`, `worse`, `not_different` …
        subjects: labels of the variants, as in the column `label`, or names of factors and seeds.
            Of a pair, `kind` tells about the first: the first is `worse` than the second.
        sentence: for people; "" where the sentence of an earlier finding covers it.
        estimate: value of `statistic`, in the unit of the metric: an accuracy is from 0 to 1.
        low, high: the estimate's confidence interval.
        p_value: of the test that the sentence is based on.
        metric: name of the metric that the estimate is of; a column of the rows.
        statistic: what the estimate is: `mean`, `difference` (first subject minus second), `ratio`
            (first over second), `share` of the variance …
        cites: keys of the methods' sources in `citations.SOURCES`.
        scope: the setting whose variants are compared, or the variant whose settings are; "" if the
            runs have one setting.
    """

    kind: str
    subjects: tuple[str, ...]
    sentence: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    metric: str = ""
    statistic: str = ""
    cites: tuple[str, ...] = ()
    scope: str = ""


def pair_findings(
    kind: str, sentence: str, pairs: DataFrame, labels: Series, reference: str, metric: str
) -> Iterator[Finding]:
    """Yield a finding per tested pair, the first with the sentence.

    Args:
        kind: what each group is, compared with the reference group.
        sentence: names all pairs.
        pairs: from `pairwise.differences_from`, indexed by group.
        labels: of the groups and the reference group, by group.
        reference: id of the reference group.
        metric: name of the metric that was compared.
    """
    for group, row in pairs.iterrows():
        yield difference_finding(kind, (labels[group], labels[reference]), sentence, row, metric)
        sentence = ""


def difference_finding(
    kind: str, subjects: tuple[str, str], sentence: str, pair: Series, metric: str
) -> Finding:
    """Return a finding on the difference of two groups: a row of `pairwise.differences`."""
    difference, low, high, p_value = (
        float(pair[name]) for name in ("difference", "low", "high", "p_value")
    )
    return Finding(
        *(kind, subjects, sentence, difference, low, high, p_value),
        metric=metric,
        statistic="difference",
        cites=TESTS[pair["method"]],
    )


def within(scope: str, found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings of one comparison among several."""
    return (replace(one, scope=scope) for one in found)


def sentences(found: Iterable[Finding]) -> list[str]:
    """Return the text of findings: a sentence each, or a paragraph per comparison with a scope."""
    texts: list[str] = []
    scope = ""
    for one in found:
        if not one.sentence:
            continue
        if one.scope and one.scope == scope and one.kind != BEST:
            texts[-1] += f" {one.sentence}"
        else:
            texts.append(f"{one.scope}: {one.sentence}" if one.scope else one.sentence)
        scope = one.scope
    return texts
