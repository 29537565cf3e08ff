"""Sentences on the effects of kernel size, stride and padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pandas import DataFrame, Series

from convscope.analysis.anova import CONFOUNDED, SEEDS, VARIANTS, Effects, effects
from convscope.analysis.pairwise import LEVEL
from convscope.errors import UserError
from convscope.geometry import FACTORS
from convscope.text import listed, percent, share

_NAMES = {factor.key: factor.title for factor in FACTORS}
_MOST_LEVELS = 8
_SHOWN_FROM = 0.005
"""Smallest share of variance that is reported for terms without a significant effect."""


def summarize_effects(runs: DataFrame) -> Iterator[str]:
    """Yield the share of variance of each significant term, and the adjusted means of its levels.

    Args:
        runs: table from `frame`, of one setting.
    """
    try:
        found = effects(runs)
    except UserError as error:
        yield f"Effects of kernel size, stride and padding are not estimated: {error}."
        return
    terms = found.terms.set_index("term")
    if not terms.loc[SEEDS, "df"]:
        return
    significant = [str(term) for term in terms.index[terms["p_value"] < LEVEL]]
    yield from _shares(found, significant)
    factors = terms[terms.index.isin(_NAMES)]
    none = [_NAMES[f] for f in factors.index[factors["df"] > 0] if f not in significant]
    if none:
        yield f"No significant effect (F test, 5 %): {listed(none)}."
    confounded = [_NAMES[f] for f in factors.index[factors["df"] == 0]]
    if confounded:
        yield f"Not estimable: {listed(confounded)}, as no two variants differ in one of them only."
    yield from _means(found, significant)


def _shares(found: Effects, significant: Sequence[str]) -> Iterator[str]:
    shares = found.shares
    if VARIANTS in shares:
        yield (
            f"Of the variance in test accuracy, {share(shares[VARIANTS])} lies between variants "
            f"and {share(shares[SEEDS])} between seeds. It is not split between factors: variants "
            "or runs are missing, and the factors' parts overlap."
        )
        if significant:
            yield f"Significant (F tests, 5 % each): {listed(list(map(_term_name, significant)))}."
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
        yield f"Of the variance in test accuracy, {listed(parts)}; {listed(others)}."


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


def _means(found: Effects, significant: Sequence[str]) -> Iterator[str]:
    levels = found.levels[found.levels["factor"].isin(significant)]
    known = levels.dropna(subset=["mean"])
    if known.empty:
        return
    if not known["mean"].between(0, 1).all():
        # Only the main-effects model can do so; means of cells cannot.
        yield (
            "Adjusted means are not listed: variants are missing, and the main-effects model leads "
            "outside 0 to 100 %."
        )
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
    yield f"Adjusted means of test accuracy{model}: {'; '.join(parts)}{inestimable}.{caution}"
