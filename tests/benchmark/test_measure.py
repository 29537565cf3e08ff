"""Contenders take turns in rotation."""

from convscope.benchmark.measure import interleave


def test_each_begins_once_before_any_begins_again() -> None:
    order: list[str] = []

    def turn(name: str) -> dict[str, float | None]:
        order.append(name)
        return {name: float(len(order))}

    rounds = interleave([lambda name=name: turn(name) for name in "abc"], 4)  # type: ignore[misc]
    assert "".join(order) == "abcbcacababc"
    assert rounds[1] == {"b": 4.0, "c": 5.0, "a": 6.0}
    assert len(rounds) == 4
