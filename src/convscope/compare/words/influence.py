"""How much kernel size, stride and padding each matter, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pandas import DataFrame

from convscope.compare.differences import LEVEL
from convscope.compare.effects import SEEDS, Effects, effects
from convscope.compare.words.phrases import listed, share
from convscope.errors import UserError
from convscope.tables import percent

_NAMES = {"kernel_size": "kernel size", "stride": "stride", "padding_policy": "padding"}

_NOTABLE = 0.01


def influences(runs: DataFrame) -> Iterator[str]:
    """What each factor explains, and what its levels reach; why that cannot be said, where not.

    Args:
        runs: `frame`'s table, of one setting.
    """
    try:
        found = effects(runs)
    except UserError as error:
        yield f"What each factor does cannot be said: {error}."
        return
    terms = found.terms.set_index("term")
    if terms.loc[SEEDS, "df"]:
        yield from _shares(terms)
        yield from _means(found, [term for term in _NAMES if _shows(terms, term)])


def _shares(terms: DataFrame) -> Iterator[str]:
    shown = terms[terms["p_value"] < LEVEL]["share"].sort_values(ascending=False)
    if len(shown):
        first, *others = ((_of_term(str(term)), share(part)) for term, part in shown.items())
        parts = [f"{first[0]} explains {first[1]}", *(f"{name} {part}" for name, part in others)]
        # Where variants are missing, factors vary together in part.
        joint = 1 - terms["share"].sum()
        untold = f"{share(joint)} cannot be put down to one of them, " if joint > _NOTABLE else ""
        overlap = joint < -_NOTABLE
        twice = " Variants are missing, and parts of this are counted twice." if overlap else ""
        yield (
            f"Of the variance in test accuracy, {listed(parts)}; {untold}"
            f"{share(terms.loc[SEEDS, 'share'])} lies between seeds.{twice}"
        )
    factors = terms[terms.index.isin(_NAMES)]
    unseen = factors[(factors["df"] > 0) & ~(factors["p_value"] < LEVEL)]
    if len(unseen):
        yield f"No effect of {listed([_NAMES[term] for term in unseen.index])} shows."
    tied = factors[factors["df"] == 0]
    if len(tied):
        names = listed([_NAMES[term] for term in tied.index])
        yield f"The effect of {names} cannot be told from that of the others: they vary together."


def _shows(terms: DataFrame, term: str) -> bool:
    return term in terms.index and bool(terms.loc[term, "p_value"] < LEVEL)


def _of_term(term: str) -> str:
    first, *others = (_NAMES[factor] for factor in term.split(" x "))
    return f"the interaction of {first} with {' and '.join(others)}" if others else first


def _means(found: Effects, factors: Sequence[str]) -> Iterator[str]:
    parts = []
    levels = found.levels
    if factors and not levels[levels["factor"].isin(factors)]["mean"].between(0, 1).all():
        # Main effects alone lead there; means of cells never do.
        yield (
            "What a level reaches cannot be said: variants are missing, and effects do not add up."
        )
        return
    for factor in factors:
        of_it = levels[levels["factor"] == factor].sort_values("mean", ascending=False)
        means = [
            f"{percent(mean)} ({level})"
            for level, mean in zip(of_it["level"], of_it["mean"], strict=True)
        ]
        parts.append(f"by {_NAMES[factor]} {', '.join(means)}")
    if parts:
        model = " by main effects, as variants are missing" if found.main_effects_alone else ""
        yield f"Test accuracy with the other factors evened out{model}: {'; '.join(parts)}."
