"""Compact letter display against its definition, by brute force."""

from itertools import combinations

import numpy as np
import pytest

from convscope.analysis.letters import letters

Pair = tuple[str, str]


def is_display(found: dict[str, set[str]], different: set[frozenset[str]]) -> bool:
    """Whether each pair shares a letter iff it is not different, and each group has a letter."""
    return all(found.values()) and all(
        bool(found[one] & found[other]) != (frozenset((one, other)) in different)
        for one, other in combinations(found, 2)
    )


def check(groups: list[str], different: list[Pair]) -> dict[str, str]:
    found = letters(groups, different)
    split = {group: set(text.split() if " " in text else text) for group, text in found.items()}
    apart = {frozenset(pair) for pair in different}
    assert list(found) == groups
    assert is_display(split, apart)
    for group, own in split.items():
        for letter in own:
            assert not is_display(split | {group: own - {letter}}, apart), f"{letter} is redundant"
    return found


def test_none_all_and_one_group() -> None:
    groups = ["first", "second", "third"]
    assert check(groups, []) == dict.fromkeys(groups, "a")
    assert check(groups, list(combinations(groups, 2))) == dict(zip(groups, "abc", strict=True))
    assert check(["only"], []) == {"only": "a"}
    assert letters([], []) == {}


def test_a_chain_has_overlapping_letters_highest_first() -> None:
    """Neighbours are not different, all others are."""
    groups = ["1", "2", "3", "4"]
    assert check(groups, [("1", "3"), ("4", "1"), ("2", "4")]) == {
        "1": "a",
        "2": "ab",
        "3": "bc",
        "4": "c",
    }


def test_a_letter_that_others_make_redundant_is_left_out() -> None:
    """Of a cycle of six, each pair of neighbours needs a letter of its own, and no more."""
    groups = list("123456")
    neighbours = {frozenset(pair) for pair in zip(groups, [*groups[1:], "1"], strict=True)}
    different = [pair for pair in combinations(groups, 2) if frozenset(pair) not in neighbours]
    assert all(len(text) == 2 for text in check(groups, different).values())


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 0.95])
@pytest.mark.parametrize("number", [2, 7, 12])
def test_any_differences_are_shown(number: int, share: float) -> None:
    """Also those that no means could have: a test's errors and degrees of freedom vary."""
    groups = [f"g{one}" for one in range(number)]
    for seed in range(40):
        rng = np.random.default_rng(seed)
        check(groups, [pair for pair in combinations(groups, 2) if rng.random() < share])


@pytest.mark.parametrize("width", [0.5, 3.0, 60.0])
def test_thirty_and_two_hundred_variants(width: float) -> None:
    """Means on a line with unequal errors; the 200 variants need more than 52 letters."""
    for number in (30, 200):
        rng = np.random.default_rng(number)
        means = np.sort(rng.normal(0, width, number))[::-1]
        errors = rng.uniform(0.2, 0.6, number)
        groups = [f"g{one}" for one in range(number)]
        different = [
            (groups[i], groups[j])
            for i, j in combinations(range(number), 2)
            if means[i] - means[j] > 2 * np.hypot(errors[i], errors[j])
        ]
        found = letters(groups, different) if number == 200 else check(groups, different)
        assert found["g0"].startswith("a")
