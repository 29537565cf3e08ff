"""Small pieces of English: counts, lists, shares."""

from collections.abc import Mapping, Sequence


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def share(part: float) -> str:
    """A share from 0 to 1 in whole percent; never `0 %` or `100 %` where something is left."""
    if 0 < part < 0.01:
        return "under 1 %"
    if 0.99 < part < 1:
        return "over 99 %"
    return f"{part:.0%}".replace("%", " %")


def size(pair: Sequence[int]) -> str:
    """Height x width, both always: `3x3`."""
    return "x".join(map(str, pair))


def per_layer(facts: Mapping[str, str], one: str, several: str) -> str:
    """One clause per distinct fact: `conv1 and conv3 <several> …; conv2 <one> …`.

    Args:
        facts: layer name to what is said of it, the verb left out.
        one: verb for a single layer.
        several: verb for more of them.
    """
    layers: dict[str, list[str]] = {}
    for name, fact in facts.items():
        layers.setdefault(fact, []).append(name)
    return "; ".join(
        f"{listed(names)} {one if len(names) == 1 else several} {fact}"
        for fact, names in layers.items()
    )
