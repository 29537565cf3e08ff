"""Turns in rotation, and what is told of their figures."""

from convscope.benchmark.rounds import Spread, ratio, spread, take_turns


def test_each_begins_once_before_any_begins_again() -> None:
    order: list[str] = []

    def turn(name: str) -> dict[str, float | None]:
        order.append(name)
        return {name: float(len(order))}

    rounds = take_turns({name: lambda name=name: turn(name) for name in "abc"}, 4)  # type: ignore[misc]
    assert "".join(order) == "abcbcacababc"
    assert rounds[1] == {"b": 4.0, "c": 5.0, "a": 6.0}
    assert len(rounds) == 4


def test_the_median_is_told_with_the_extremes() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)
    assert spread([4.0, 1.0]) == Spread(2.5, 1.0, 4.0)
    assert spread([None, 2.0]) == Spread(2.0, 2.0, 2.0)
    assert spread([None]) is None


def test_a_ratio_needs_both_figures() -> None:
    assert ratio(3.0, 4.0) == 0.75
    assert ratio(3.0, None) is ratio(None, 3.0) is None
