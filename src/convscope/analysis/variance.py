"""Sources of the variance of test accuracy: variant, split, initialisation and order, test images.

Components of variance of a single run, estimated from variants crossed with seeds. The shares of
`anova` are another thing: they divide the sum of squares of these very runs between the factors.

With `vary=split` every seed has a split of its own, the same for all variants (Bouthillier et al.
2021, arXiv:2103.03098). The accuracy of variant v on split s is then modelled as

    mean + variant(v) + split(s) + rest(v, s),

without `vary=split` as mean + variant(v) + rest(v, s). The estimates equate the mean squares with
their expectations (Searle, Casella and McCulloch 1992): they are unbiased, and may be negative.

Each of these components has a part that comes from the finite test set. On n test images the
variance of an accuracy is mean(variance of an answer) / n + (1 - 1 / n) mean(covariance of the
answers to two images), and only the second part would be left on all images of their kind (Jordan
2023, arXiv:2304.01910). So both parts follow from the components of the answers to single images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, Series

from convscope.analysis.answers import read

VARIANT, SPLIT = "variant", "split"
REST, TEST = "initialisation and order", "test images"
REST_AND_TEST = "initialisation, order and test images"

Array = NDArray[Any]


@dataclass(frozen=True)
class Sources:
    """Components of variance of a single run's test accuracy.

    Args:
        variances: unbiased estimates by source, negative ones as they are. Without the answers of
            all runs there is no `TEST`: `REST_AND_TEST` stands for both, and the other sources
            contain their parts of it.
        most_from_test: where `TEST` is missing, its largest possible variance: that of independent
            answers, p (1 - p) / n.
        variants, seeds: how many the estimates are from.
    """

    variances: Series
    most_from_test: float | None
    variants: int
    seeds: int

    @property
    def stds(self) -> Series:
        """Square roots of the variances; 0 for negative ones."""
        return np.sqrt(self.variances.clip(lower=0))

    @property
    def shares(self) -> Series:
        """Shares of the variances, which add up to 1; negative variances count as 0."""
        positive = self.variances.clip(lower=0)
        return positive / positive.sum()


def sources(runs: DataFrame) -> Sources | None:
    """Estimate the components of variance of a setting's test accuracy.

    From the seeds that all variants with two finished runs or more have.

    Args:
        runs: table from `frame`, of one setting.

    Returns:
        None with fewer than 2 variants or 2 such seeds, if all accuracies are equal, or if neither
        the split varied nor the answers are known: then `anova` says what there is to say.
    """
    measured = runs[(runs["status"] == "finished") & runs["test_accuracy"].notna()]
    sizes = measured.groupby("group")["seed"].transform("nunique")
    cells = measured[sizes > 1].drop_duplicates(["group", "seed"])
    table = cells.pivot_table("test_accuracy", "group", "seed", sort=False).dropna(axis="columns")
    variants, seeds = table.shape
    accuracy = table.to_numpy()
    if variants < 2 or seeds < 2 or np.ptp(accuracy) == 0:
        return None
    is_crossed = bool((cells.get("vary") == "split").all())
    found = components(accuracy, is_crossed=is_crossed)
    by_cell = cells.set_index(["group", "seed"])
    chosen = by_cell.loc[[(group, seed) for group in table.index for seed in table.columns]]
    right = read(chosen)
    if right is None and not is_crossed:
        return None
    if right is None:
        found[REST_AND_TEST] = found.pop(REST)
        images = chosen["test_images"].min()
        most = float((accuracy * (1 - accuracy)).mean() / images) if images > 0 else None
        return Sources(Series(found).astype(float), most, variants, seeds)
    answers = components(right.reshape(variants, seeds, -1), is_crossed=is_crossed)
    apart = without_test_images(found, answers)
    return Sources(Series(apart).astype(float), None, variants, seeds)


def components(values: Array, *, is_crossed: bool) -> dict[str, Array]:
    """Return unbiased components of variance by source, each of shape (...).

    Args:
        values: shape (variants, seeds, ...), numbers or truth values.
        is_crossed: whether the runs of a seed have a split in common.
    """
    variants, seeds = values.shape[:2]
    of_variant, of_seed = values.mean(axis=1), values.mean(axis=0)
    mean = of_variant.mean(axis=0)
    # A truth value is its own square.
    total = mean * (1 - mean) if values.dtype == bool else ((values - mean) ** 2).mean(axis=(0, 1))
    between = ((of_variant - mean) ** 2).mean(axis=0)
    common = ((of_seed - mean) ** 2).mean(axis=0)
    runs = variants * seeds
    square_of_variant = runs * between / (variants - 1)
    if not is_crossed:
        rest = runs * (total - between) / (variants * (seeds - 1))
        return {VARIANT: (square_of_variant - rest) / seeds, REST: rest}
    rest = runs * (total - between - common) / ((variants - 1) * (seeds - 1))
    return {
        VARIANT: (square_of_variant - rest) / seeds,
        SPLIT: (runs * common / (seeds - 1) - rest) / variants,
        REST: rest,
    }


def without_test_images(found: dict[str, Array], of_images: dict[str, Array]) -> dict[str, Array]:
    """Return the components on all images of the test images' kind, and last that of these images.

    Args:
        found: components of the accuracy.
        of_images: components of each answer, shape (images,).
    """
    images = len(of_images[REST])
    noise = {key: (of_images[key].mean() - one) / (images - 1) for key, one in found.items()}
    return {key: one - noise[key] for key, one in found.items()} | {TEST: sum(noise.values())}
