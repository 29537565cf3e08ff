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
    won = [
        pair
        for _, pair in pairs[pairs["differs"]].iterrows()
        if _larger_stride_alone(groups.loc[pair["first"]], groups.loc[pair["second"]])
    ]
    if not won:
        return
    clearest = max(won, key=lambda pair: float(pair["difference"]))
    winner, loser = groups.loc[clearest["first"]], groups.loc[clearest["second"]]
    others = f" (the clearest of {len(won)} such pairs)" if len(won) > 1 else ""
    yield (
        f"A larger stride alone makes {winner['variant']} better than {loser['variant']}, by "
        f"{points(clearest['difference'])}{others}: a unit of its last feature map sees "
        f"{_view(winner)}, against {_view(loser)}."
    )


def _larger_stride_alone(winner: Series, loser: Series) -> bool:
    same = all(
        winner[level] == loser[level] for level in ("kernel_size_level", "padding_policy_level")
    )
    return same and bool(winner["receptive_field"] > loser["receptive_field"])


def _view(group: Series) -> str:
    _, height, _ = group["record"].dataset["input_shape"]
    seen = group["receptive_field"]
    return f"all {height} rows of the image" if seen >= height else f"{seen:.0f} of {height} rows"
