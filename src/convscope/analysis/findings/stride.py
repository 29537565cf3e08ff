"""How variants differ in accuracy that differ in stride only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from pandas import DataFrame, Series

from convscope.analysis.anova import levels_of
from convscope.analysis.pairwise import differences
from convscope.geometry import FACTORS
from convscope.geometry.factors import KERNEL_SIZE, PADDING, STRIDE
from convscope.tables import map_text
from convscope.text import count, listed, percentage_points

_OTHERS = [factor for factor in FACTORS if factor is not STRIDE]


def larger_strides(runs: DataFrame) -> Iterator[str]:
    """How often a larger stride is better at the same kernel size and padding, and where most.

    Nothing where it never is. What else differs in that pair is listed, not called the cause.

    Args:
        runs: `frame`'s table, of one setting.
    """
    groups = runs.drop_duplicates("group").set_index("group")
    levels = levels_of(groups)
    alike = [
        pair
        for _, of_it in levels.groupby([factor.key for factor in _OTHERS], sort=False)
        for pair in combinations(of_it.index, 2)
    ]
    pairs = differences(runs, only=alike)
    if pairs.empty:
        return
    jumps = {group: _jump(one) for group, one in groups.iterrows()}
    first, second = ([jumps[group] for group in pairs[side]] for side in ("first", "second"))
    larger = np.array([_is_larger(*of) for of in zip(first, second, strict=True)])
    smaller = np.array([_is_larger(*of) for of in zip(second, first, strict=True)])
    won, lost = pairs[pairs["differs"] & larger], pairs[pairs["differs"] & smaller]
    if won.empty:
        return
    most = won.loc[won["difference"].idxmax()]
    winner, loser = groups.loc[most["first"]], groups.loc[most["second"]]
    by = (
        f"by {percentage_points(most['difference'])} (95 % interval {100 * most['low']:.2f} to "
        f"{100 * most['high']:.2f})"
    )
    number = int((larger | smaller).sum())
    always = (KERNEL_SIZE, PADDING)
    same = listed([f.title for f in _OTHERS if f in always or levels[f.key].nunique() > 1])
    if number == 1:
        yield (
            f"At the same {same}, {winner['variant']} is significantly better "
            f"than {loser['variant']}, {by}."
        )
    else:
        yield (
            f"Of the {number} pairs of variants with the same {same}, the larger "
            f"stride is significantly better in {len(won)} and the smaller in {len(lost)}. The "
            f"largest difference of the first kind: {winner['variant']} is better than "
            f"{loser['variant']} {by}."
        )
    yield f"These two differ in more than stride: {_besides(winner, loser)}."


def _jump(group: Series) -> tuple[int, int] | None:
    """Image pixels between two units of the last map: all strides multiplied, by axis.

    None where the record does not tell.
    """
    layers = group["record"].geometry
    jump = layers[-1].get("jump") if layers else None
    return tuple(jump) if jump else None


def _is_larger(one: tuple[int, int] | None, other: tuple[int, int] | None) -> bool:
    if one is None or other is None or one == other:
        return False
    return one[0] >= other[0] and one[1] >= other[1]


def _besides(one: Series, other: Series) -> str:
    return (
        f"receptive field {one['receptive_field']:.0f} against {other['receptive_field']:.0f} "
        f"pixels, last map {map_text(one['record'].geometry)} against "
        f"{map_text(other['record'].geometry)}, MACs {count(one['macs'])} against "
        f"{count(other['macs'])}"
    )
