"""How much kernel size, stride and padding each matter, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pandas import DataFrame

from convscope.analysis.anova import CONFOUNDED, SEEDS, VARIANTS, Effects, effects
from convscope.analysis.pairwise import LEVEL
from convscope.errors import UserError
from convscope.geometry import FACTORS
from convscope.text import listed, percent, share

_NAMES = {factor.key: factor.title for factor in FACTORS}
_MOST_LEVELS = 8
_SHOWN_FROM = 0.005
"""Of terms without a significant effect, the share from which it is given."""


def influences(runs: DataFrame) -> Iterator[str]:
    """What part of the variance each factor accounts for, and the means of its levels.

    Args:
        runs: `frame`'s table, of one setting.
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
    yield from _without_effect(terms, significant)
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
            yield f"Significant (F tests, 5 % each): {listed(list(map(_of_term, significant)))}."
        return
    if not significant:
        return
    largest = shares[list(significant)].sort_values(ascending=False, kind="stable")
    (first, part), *others = ((_of_term(str(term)), share(part)) for term, part in largest.items())
    parts = [f"{first} accounts for {part}", *(f"{name} {part}" for name, part in others)]
    rest = shares.drop([*significant, SEEDS, CONFOUNDED], errors="ignore").sum()
    left = [
        f"{share(amount)} {what}"
        for amount, what in (
            (shares.get(CONFOUNDED, 0.0), "is shared between confounded factors"),
            (rest, "belongs to what has no significant effect"),
        )
        if amount >= _SHOWN_FROM
    ]
    left.append(f"{share(shares[SEEDS])} lies between seeds")
    yield f"Of the variance in test accuracy, {listed(parts)}; {listed(left)}."


def _without_effect(terms: DataFrame, significant: Sequence[str]) -> Iterator[str]:
    factors = terms[terms.index.isin(_NAMES)]
    none = [_NAMES[f] for f in factors.index[factors["df"] > 0] if f not in significant]
    if none:
        yield f"No significant effect (F test, 5 %): {listed(none)}."
    tied = [_NAMES[f] for f in factors.index[factors["df"] == 0]]
    if tied:
        yield f"Not estimable: {listed(tied)}, as no two variants differ in one of them only."


def _of_term(term: str) -> str:
    first, *others = (_NAMES[factor] for factor in term.split(" x "))
    return f"the interaction of {first} with {' and '.join(others)}" if others else first


def _means(found: Effects, significant: Sequence[str]) -> Iterator[str]:
    levels = found.levels[found.levels["factor"].isin(significant)]
    if levels.empty:
        return
    known = levels.dropna(subset=["mean"])
    if not known["mean"].between(0, 1).all():
        # Main effects lead there; means of cells never do.
        yield (
            "Adjusted means are not listed: variants are missing, and main effects added up lead "
            "outside 0 to 100 %."
        )
        return
    parts = []
    for factor, of_it in known.groupby("factor", sort=False):
        ordered = of_it.sort_values("mean", ascending=False, kind="stable")
        name = _NAMES[str(factor)]
        means = [
            f"{percent(one.mean)} at {name} {one.level}" for one in ordered.itertuples(index=False)
        ]
        shown = means[:_MOST_LEVELS]
        more = f" and {len(means) - len(shown)} more" if len(means) > len(shown) else ""
        parts.append(f"{', '.join(shown)}{more}")
    missed = levels[levels["mean"].isna()]
    unknown = [f"{_NAMES[one.factor]} {one.level}" for one in missed.itertuples()]
    model = " (main-effects model, as variants are missing)" if found.main_effects_alone else ""
    if parts:
        missing = f"; not estimable: {listed(unknown)}" if unknown else ""
        depends = any(" x " in term for term in significant)
        more = " They are averages: the effect of one depends on the others." if depends else ""
        yield f"Adjusted means of test accuracy{model}: {'; '.join(parts)}{missing}.{more}"
