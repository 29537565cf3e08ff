"""The lesson on kernel size, stride and padding: what a geometry does, in words and in pictures.

Starts without torch; only `sample`, which shows `torch.nn.Conv2d`'s own values, imports it.
"""

from convscope.geometry import NetworkGeometry
from convscope.lesson.rules import findings


def words(geometry: NetworkGeometry) -> list[str]:
    """What stands out in a network's geometry, one sentence per rule of `explain.rules`."""
    return list(findings(geometry).values())


__all__ = ["words"]
