"""Findings on whether a ranking holds where the comparison is made fair in another way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from pandas import DataFrame

from convscope.analysis.choice import VALIDATION, Family, Ranking, rank, variant_families
from convscope.analysis.findings.finding import Finding, within
from convscope.analysis.pairwise import differences
from convscope.text import count, counted, listed, percent

_AT = {"match null": "at equal channels", "match macs": "at equal MACs"}
"""How variants are compared, by the part of a setting's name that says so."""


def summarize_matched(runs: DataFrame) -> Iterator[Finding]:
    """Yield the verdicts at equal channels and at equal MACs, and whether the ranking holds.

    Of the variants that have results in both.

    Args:
        runs: table from `frame`.
    """
    families = {family.title: family for family in variant_families(runs)}
    for title, matched in families.items():
        parts = title.split(", ")
        if "match macs" not in parts:
            continue
        own = families.get(title.replace("match macs", "match null"))
        others = [part for part in parts if part not in _AT]
        if own is not None:
            yield from within(", ".join(others), _both(own, matched))


def _both(own: Family, matched: Family) -> Iterator[Finding]:
    names = {*own.runs["name"]} & {*matched.runs["name"]}
    sides = [family.runs[family.runs["name"].isin(names)] for family in (own, matched)]
    rankings = [rank(side) for side in sides]
    shared = {*rankings[0].groups["name"]} & {*rankings[1].groups["name"]}
    sides = [side[side["name"].isin(shared)] for side in sides]
    if len(shared) < 2:
        return
    rankings = [rank(side) for side in sides]
    macs = rankings[1].groups["macs"]
    scaled = f"{count(macs.min())} to {count(macs.max())} an image; channels scaled"
    yield _verdict("equal_channels", "At equal channels", rankings[0])
    yield _verdict("equal_macs", f"At equal MACs ({scaled})", rankings[1])
    yield from changed_places(rankings[0], rankings[1], "at equal MACs")
    if all(ranking.repeated for ranking in rankings):
        yield pairs_agree(signs(sides[0]), signs(sides[1]), "at equal channels", "at equal MACs")


def _verdict(kind: str, how: str, ranking: Ranking) -> Finding:
    """Return which variant is chosen, and which others differ significantly from it."""
    best = ranking.best
    by = "validation" if ranking.by == VALIDATION else "test"
    relations = {
        "significantly better than that of": ranking.worse,
        "significantly worse than that of": ranking.better,
        "not significantly different from that of": ranking.not_different,
    }
    tested = [
        f"{how_much} {listed(list(groups['name']))}"
        for how_much, groups in relations.items()
        if len(groups)
    ]
    which = f" is {listed(tested)}" if tested else " is of a single run, and not tested"
    sentence = (
        f"{how}, {best['name']} has the highest {by} accuracy of {len(ranking.groups)} variants;"
        f" its test accuracy, {percent(best['test_accuracy'])},{which}."
    )
    return Finding(
        *(kind, (str(best["label"]),), sentence, float(best["test_accuracy"])),
        metric="test_accuracy",
        statistic="mean",
    )


def changed_places(first: Ranking, second: Ranking, where: str) -> Iterator[Finding]:
    """Yield whether the order by mean validation accuracy is the same, and who moved.

    Args:
        first: of variants in one setting.
        second: of the same variants in another.
        where: how variants are compared in the second.
    """
    before, after = (list(ranking.groups["name"]) for ranking in (first, second))
    moved = [name for name in before if before.index(name) != after.index(name)]
    by = "validation" if first.by == second.by == VALIDATION else "test"
    order = f"order of the {len(before)} variants by mean {by} accuracy"
    if not moved:
        yield Finding("ranking_holds", tuple(before), f"The {order} is the same in both.")
        return
    texts = [f"{one} from {before.index(one) + 1} to {after.index(one) + 1}" for one in moved]
    sentence = f"The {order} is another {where}: {listed(texts)}."
    for name in moved:
        places = float(before.index(name) - after.index(name))
        yield Finding("changed_place", (name,), sentence, places, statistic="places risen")
        sentence = ""


def signs(runs: DataFrame) -> dict[tuple[str, str], int]:
    """Return for each pair of variants whether the first is significantly better, 1, or worse."""
    names = runs.drop_duplicates("group").set_index("group")["name"]
    signs = dict.fromkeys(combinations(sorted(names), 2), 0)
    for pair in differences(runs).itertuples():
        if pair.differs:
            first, second = names[pair.first], names[pair.second]
            signs[min(first, second), max(first, second)] = 1 if first < second else -1
    return signs


def pairs_agree(
    own: Mapping[tuple[str, str], int],
    other: Mapping[tuple[str, str], int],
    here: str,
    there: str,
) -> Finding:
    """Return in how many pairs the same variant is significantly better both ways.

    Args:
        own: `signs` of one setting.
        other: those of another, of the same variants.
        here: how variants are compared in the first.
        there: how they are in the other.
    """
    both = [(own[pair], other[pair]) for pair in own]
    same = sum(one == other != 0 for one, other in both)
    numbers = {
        "in opposite directions": sum(one * other < 0 for one, other in both),
        f"{here} only": sum(bool(one) and not other for one, other in both),
        f"{there} only": sum(bool(other) and not one for one, other in both),
        "in neither": sum(not one and not other for one, other in both),
    }
    others = [f"{number} {where}" for where, number in numbers.items() if number]
    is_different = f"{'is' if same == 1 else 'are'} significantly different in test accuracy"
    texts = [f"{same} {is_different} in the same direction in both", *others]
    sentence = (
        f"Of their {counted(len(both), 'pair')}, {listed(texts)} (family-wise 5 % in each"
        " comparison)."
    )
    if numbers["in neither"]:
        sentence += " Variants that do not differ significantly may change places by chance."
    turned = [pair for pair in own if own[pair] * other[pair] < 0]
    subjects = tuple(dict.fromkeys(name for pair in turned for name in pair))
    return Finding("pairs_agree", subjects, sentence, same / len(both), statistic="share of pairs")
