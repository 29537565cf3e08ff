"""Two trained networks by their answers to the same test images (McNemar 1947)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from pandas import DataFrame
from scipy.special import bdtr

from convscope.analysis.answers import read


@dataclass(frozen=True)
class McNemar:
    """How many images two runs answer right.

    Args:
        both: images that both get right.
        first: images that only the first gets right (b).
        second: images that only the second gets right (c).
        neither: images that both get wrong.
    """

    both: int
    first: int
    second: int
    neither: int

    @property
    def images(self) -> int:
        """Number of test images (n)."""
        return self.both + self.first + self.second + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the second minus that of the first."""
        return (self.second - self.first) / self.images

    @property
    def error(self) -> float:
        """Standard error of the difference: sqrt(b + c - (b - c)² / n) / n."""
        spread = self.first + self.second - (self.first - self.second) ** 2 / self.images
        return math.sqrt(spread) / self.images

    @property
    def p_value(self) -> float:
        """Of the exact test: of b + c images, as unequal a split as this, each half by chance."""
        differing = self.first + self.second
        return min(1.0, 2 * float(bdtr(min(self.first, self.second), differing, 0.5)))


def mcnemar(first: DataFrame, second: DataFrame) -> McNemar | None:
    """Compare the answers of two single runs; None where they are not of the same images.

    Args:
        first: one row of the table from `frame`.
        second: another one.
    """
    runs = pd.concat([first, second])
    if len(runs) != 2 or not runs["id"].is_unique or (runs["status"] != "finished").any():
        return None
    right = read(runs)
    if right is None:
        return None
    one, other = right
    return McNemar(
        *(int(of.sum()) for of in (one & other, one & ~other, ~one & other, ~one & ~other))
    )
