"""Where a larger stride wins with the same window: what its units see."""

from __future__ import annotations

from collections.abc import Iterator

from pandas import DataFrame, Series

from convscope.compare.effects import levels_of
from convscope.compare.words.phrases import points


def larger_strides(pairs: DataFrame, runs: DataFrame) -> Iterator[str]:
    """The clearest of the pairs in which a larger stride alone makes a variant better.

    Args:
        pairs: as `differences` gives them, of these runs.
        runs: `frame`'s table, of one setting.
    """
    groups = runs.join(levels_of(runs).add_suffix("_level"))
    groups = groups.drop_duplicates("group").set_index("group")
    won = pairs[pairs["differs"] & _larger_stride_alone(pairs, groups)]
    if won.empty:
        return
    clearest = won.loc[won["difference"].idxmax()]
    winner, loser = groups.loc[clearest["first"]], groups.loc[clearest["second"]]
    others = f" (the clearest of {len(won)} such pairs)" if len(won) > 1 else ""
    yield (
        f"A larger stride alone makes {winner['variant']} better than {loser['variant']}, by "
        f"{points(clearest['difference'])}{others}: a unit of its last feature map sees "
        f"{_view(winner)}, against {_view(loser)}."
    )


def _larger_stride_alone(pairs: DataFrame, groups: DataFrame) -> Series:
    """Of each pair, whether the first sees more with the second's kernel size and padding."""
    first, second = (
        groups.loc[pairs[side], ["kernel_size_level", "padding_policy_level", "receptive_field"]]
        .reset_index(drop=True)
        .set_index(pairs.index)
        for side in ("first", "second")
    )
    same = (first.iloc[:, :2] == second.iloc[:, :2]).all(axis=1)
    return same & (first["receptive_field"] > second["receptive_field"])


def _view(group: Series) -> str:
    _, height, _ = group["record"].dataset["input_shape"]
    seen = group["receptive_field"]
    return f"all {height} rows of the image" if seen >= height else f"{seen:.0f} of {height} rows"
