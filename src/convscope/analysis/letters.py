"""Compact letter display: all pairwise tests as a few letters behind each group.

Groups that share a letter are not significantly different; groups without a common letter are.
The insert-and-absorb algorithm of Piepho (2004), with his sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_letters


def letters(groups: Sequence[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the letters of each group; every group has at least one.

    No letter of a group can be left out: two groups that are not different would have none in
    common, or the group none.

    Args:
        groups: ids in the order in which they get letters; the first one has `a`.
        different: pairs of groups that are significantly different, in either order.

    Returns:
        Letters by group, such as `ab`. A 53rd set of groups is `a2`; letters are then separated by
        spaces.
    """
    sets = _sweep(_insert_and_absorb(groups, different), groups)
    order = {group: number for number, group in enumerate(groups)}
    sets.sort(key=lambda one: sorted(order[group] for group in one))
    names = [_name(number) for number in range(len(sets))]
    gap = "" if len(sets) <= len(ascii_letters) else " "
    return {
        group: gap.join(name for name, one in zip(names, sets, strict=True) if group in one)
        for group in groups
    }


def _name(number: int) -> str:
    turn, letter = divmod(number, len(ascii_letters))
    return ascii_letters[letter] + (str(turn + 1) if turn else "")


def _insert_and_absorb(
    groups: Sequence[str], different: Iterable[tuple[str, str]]
) -> list[set[str]]:
    """Return the largest sets of groups of which no two are different."""
    sets = [frozenset(groups)] if groups else []
    for one, other in different:
        both = [some for some in sets if one in some and other in some]
        kept = [some for some in sets if not (one in some and other in some)]
        for part in [some - {left} for some in both for left in (one, other)]:
            if not any(part <= some for some in kept):
                kept = [some for some in kept if not some <= part]
                kept.append(part)
        sets = kept
    return [set(some) for some in sets]


def _sweep(sets: list[set[str]], groups: Sequence[str]) -> list[set[str]]:
    """Take groups out of sets where other sets have all the pairs that this breaks."""
    for one in sets:
        for group in [group for group in groups if group in one]:
            elsewhere = [other for other in sets if other is not one and group in other]
            if elsewhere and one - {group} <= set().union(*elsewhere):
                one.discard(group)
    return [one for one in sets if one]
