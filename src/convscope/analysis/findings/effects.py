"""Sentences on the effects of kernel size, stride and padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pandas import DataFrame, Series

from convscope.analysis.anova import CONFOUNDED, SEEDS, VARIANTS, Effects, effects
from convscope.analysis.citations import TYPE_II
from convscope.analysis.findings.finding import Finding
from convscope.analysis.pairwise import LEVEL
from convscope.errors import UserError
from convscope.geometry import FACTORS
from convscope.text import listed, percent, share

_NAMES = {factor.key: factor.title for factor in FACTORS}
_MOST_LEVELS = 8
_SHOWN_FROM = 0.005
"""Smallest share of variance that is reported for terms without a significant effect."""


def summarize_effects(runs: DataFrame) -> Iterator[Finding]:
    """Yield the share of variance of each significant term, and the adjusted means of its levels.

    Args:
        runs: table from `frame`, of one setting.
    """
    try:
        found = effects(runs)
    except UserError as error:
        sentence = f"Effects of kernel size, stride and padding are not estimated: {error}."
        yield Finding("effects_unknown", (), sentence)
        return
    terms = found.terms.set_index("term")
    if not terms.loc[SEEDS, "df"]:
        return
    significant = [str(term) for term in terms.index[terms["p_value"] < LEVEL]]
    yield from _shares(found, significant)
    factors = terms[terms.index.isin(_NAMES)]
    none = [str(f) for f in factors.index[factors["df"] > 0] if f not in significant]
    if none:
        sentence = f"No significant effect (F test, 5 %): {listed([_NAMES[f] for f in none])}."
        yield from _of_terms("no_effect", sentence, found, none)
    confounded = [str(f) for f in factors.index[factors["df"] == 0]]
    if confounded:
        names = listed([_NAMES[f] for f in confounded])
        what = "one of them" if len(confounded) > 1 else "it"
        sentence = f"Not estimable: {names}, as no two variants differ in {what} only."
        yield Finding("not_estimable", tuple(confounded), sentence, metric="test_accuracy")
    yield from _means(found, significant)


def _of_terms(kind: str, sentence: str, found: Effects, terms: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding per term, the first with the sentence: share of the variance, and p-value.

    The share is None where the variance cannot be split between the terms.
    """
    p_values = found.terms.set_index("term")["p_value"]
    for term in terms:
        yield Finding(
            *(kind, (term,), sentence, found.shares.get(term)),
            p_value=p_values[term],
            metric="test_accuracy",
            statistic="share",
            cites=TYPE_II,
        )
        sentence = ""


def _shares(found: Effects, significant: Sequence[str]) -> Iterator[Finding]:
    shares = found.shares
    if VARIANTS in shares:
        sentence = (
            f"Of the variance in test accuracy, {share(shares[VARIANTS])} lies between variants "
            f"and {share(shares[SEEDS])} between seeds. It is not split between factors: variants "
            "or runs are missing, and the factors' parts overlap."
        )
        yield _of_shares(sentence, shares, VARIANTS)
        yield _of_shares("", shares, SEEDS)
        if significant:
            names = listed(list(map(_term_name, significant)))
            sentence = f"Significant (F tests, 5 % each): {names}."
            yield from _of_terms("effect", sentence, found, significant)
    elif significant:
        parts = _accounts(shares, significant)
        rest = shares.drop([*significant, SEEDS, CONFOUNDED], errors="ignore").sum()
        remainders = {
            "is shared between confounded factors": shares.get(CONFOUNDED, 0.0),
            "belongs to terms without a significant effect": rest,
        }
        others = [
            f"{share(part)} {what}" for what, part in remainders.items() if part >= _SHOWN_FROM
        ]
        others.append(f"{share(shares[SEEDS])} lies between seeds")
        sentence = f"Of the variance in test accuracy, {listed(parts)}; {listed(others)}."
        yield from _of_terms("effect", sentence, found, significant)
        yield _of_shares("", shares, SEEDS)


def _of_shares(sentence: str, shares: Series, part: str) -> Finding:
    return Finding(
        *("variance", (part,), sentence, shares[part]),
        metric="test_accuracy",
        statistic="share",
        cites=TYPE_II,
    )


def _accounts(shares: Series, terms: Sequence[str]) -> list[str]:
    """Return `stride accounts for 51 %`, `kernel size 12 %` of terms, the largest share first."""
    largest = shares[list(terms)].sort_values(ascending=False, kind="stable")
    names = [_term_name(str(term)) for term in largest.index]
    names[0] += " accounts for"
    return [f"{name} {share(part)}" for name, part in zip(names, largest, strict=True)]


def significant_shares(runs: DataFrame, metric: str) -> str:
    """Return `stride accounts for 51 % and kernel size 12 %` of a metric's variance.

    Of the significant terms; "" where there are none, or where the variance cannot be split. The F
    tests of all terms have an error of 5 % together (Bonferroni).

    Args:
        runs: table from `frame`, of one setting.
        metric: name of the metric.
    """
    try:
        found = effects(runs, metric)
    except UserError:
        return ""
    terms = found.terms.set_index("term")["p_value"].dropna()
    significant = list(map(str, terms.index[terms < LEVEL / len(terms)])) if len(terms) else []
    is_split = VARIANTS not in found.shares
    return listed(_accounts(found.shares, significant)) if significant and is_split else ""


def _term_name(term: str) -> str:
    first, *others = (_NAMES[factor] for factor in term.split(" x "))
    return f"the interaction of {first} with {' and '.join(others)}" if others else first


def _means(found: Effects, significant: Sequence[str]) -> Iterator[Finding]:
    levels = found.levels[found.levels["factor"].isin(significant)]
    known = levels.dropna(subset=["mean"])
    if known.empty:
        return
    if not known["mean"].between(0, 1).all():
        # Only the main-effects model can do so; means of cells cannot.
        sentence = (
            "Adjusted means are not listed: variants are missing, and the main-effects model leads "
            "outside 0 to 100 %."
        )
        yield Finding("effects_unknown", tuple(known["factor"].unique()), sentence)
        return
    parts = []
    for factor, members in known.groupby("factor", sort=False):
        ordered = members.sort_values("mean", ascending=False, kind="stable")
        pairs = zip(ordered["mean"], ordered["level"], strict=True)
        means = [f"{percent(mean)} at {_NAMES[str(factor)]} {level}" for mean, level in pairs]
        more = len(means) - _MOST_LEVELS
        shown = ", ".join(means[:_MOST_LEVELS])
        parts.append(f"{shown} and {more} more" if more > 0 else shown)
    missing = levels[levels["mean"].isna()]
    names = [f"{_NAMES[one.factor]} {one.level}" for one in missing.itertuples()]
    inestimable = f"; not estimable: {listed(names)}" if names else ""
    model = " (main-effects model, as variants are missing)" if found.main_effects_only else ""
    depends = any(" x " in term for term in significant)
    caution = " They are averages: the effect of one depends on the others." if depends else ""
    sentence = f"Adjusted means of test accuracy{model}: {'; '.join(parts)}{inestimable}.{caution}"
    for one in known.itertuples(index=False):
        yield Finding(
            *("adjusted_mean", (one.factor, one.level), sentence, one.mean, one.low, one.high),
            metric="test_accuracy",
            statistic="mean",
        )
        sentence = ""
