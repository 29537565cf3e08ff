"""Studies with planted answers: images crossed with variants and seeds, and known true accuracies.

A network is right where a sum of independent normal values, of variance 1, is below a threshold:
the image's difficulty, what the image is to the variant, the network's own quality, and the rest.
So the accuracy of a variant on all images, over all seeds, is exactly as planted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.stats import norm

from convscope.analysis import answers, pairwise
from convscope.analysis.groups import rounding_std
from convscope.analysis.pairwise import differences

DIFFICULTY, VARIANT_BY_IMAGE = 0.880, 0.036
"""Shares of variance in 18 variants of docs/claims.md with accuracies from 96.8 % to 99 %."""


@dataclass(frozen=True)
class Plan:
    """What a study is drawn from.

    Args:
        accuracy: (variants,) the true ones.
        seeds: per variant.
        images: in the test set.
        interaction: share of variance of variant x image.
        quality: (variants,) or one, standard deviation between networks. 0: they are equally good.
    """

    accuracy: NDArray[np.float64]
    seeds: int
    images: int = 10_000
    interaction: float = VARIANT_BY_IMAGE
    quality: NDArray[np.float64] | float = 0.0

    def draw(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Answers of one study, (variants, seeds, images)."""
        shape = len(self.accuracy), self.seeds, self.images

        def normal(*size: int) -> NDArray[np.float32]:
            return rng.standard_normal(size, np.float32)

        quality = np.broadcast_to(self.quality, shape[:1])[:, None, None].astype(np.float32)
        rest = np.sqrt(1 - DIFFICULTY - VARIANT_BY_IMAGE - quality**2)
        score = rest * normal(*shape)
        score += quality * normal(*shape[:2], 1)
        score += np.float32(self.interaction**0.5) * normal(shape[0], 1, shape[2])
        difficulty = DIFFICULTY + VARIANT_BY_IMAGE - self.interaction
        score += np.float32(difficulty**0.5) * normal(shape[2])
        threshold = norm.ppf(self.accuracy).astype(np.float32)[:, None, None]
        right: NDArray[np.bool_] = score < threshold
        return right


def table(right: NDArray[np.bool_]) -> DataFrame:
    """The runs of one study as a table; `row` says whose answers they are."""
    variants, seeds, images = right.shape
    variant, seed = np.divmod(np.arange(variants * seeds), seeds)
    return DataFrame(
        {
            "setting": "",
            "group": variant.astype(str),
            "seed": seed,
            "status": "finished",
            "test_images": images,
            "test_accuracy": right.mean(axis=2).ravel(),
            "row": variant * seeds + seed,
        }
    )


def studies(plan: Plan, number: int, seed: int = 0) -> Iterator[tuple[DataFrame, DataFrame]]:
    """Yield the pairs of each study, compared by image, and as without answers."""
    rng = np.random.default_rng(seed)
    read = answers.read
    for _ in range(number):
        right = plan.draw(rng)
        runs, flat = table(right), right.reshape(-1, plan.images)
        without = differences(runs)
        try:
            answers.read = lambda rows, flat=flat: flat[rows["row"].to_numpy()]
            yield differences(runs), without
        finally:
            answers.read = read


def quick(right: NDArray[np.bool_], *, by_image: bool) -> DataFrame:
    """The pairs of one study as `differences` gives them, without its table of runs."""
    accuracies = right.mean(axis=2)
    order = np.argsort(-accuracies.mean(axis=1), kind="stable")
    right, accuracies = right[order], accuracies[order]
    variants, seeds, images = right.shape
    rounding = rounding_std(images) ** 2
    n = np.full(variants, float(seeds))
    noise, image = np.ones(variants), None
    if by_image:
        noise = np.array([answers.noise_of_test_set(own) for own in right])
        spread = answers.image_variance(right.mean(axis=1)) - np.add.outer(noise / n, noise / n)
        noise, image = np.maximum(noise, rounding), np.maximum(spread, 0)
    variance = np.maximum(accuracies.var(axis=1, ddof=1), rounding)
    samples = pairwise._Samples(
        order.astype(str), n, accuracies.mean(axis=1), variance, noise, image
    )
    return pairwise._compare(samples, *np.triu_indices(variants, 1), pairwise.LEVEL)


def error_and_power(plan: Plan, number: int, seed: int = 0) -> DataFrame:
    """Share of studies with a false difference, and share of the true ones that are found.

    A row `by image`, and one `without answers`.
    """
    rng = np.random.default_rng(seed)
    found = {"by image": [], "without answers": []}
    for _ in range(number):
        right = plan.draw(rng)
        for by_image, results in zip((True, False), found.values(), strict=True):
            one = quick(right, by_image=by_image)
            first, second = (plan.accuracy[one[side].astype(int)] for side in ("first", "second"))
            same, differs = first == second, one["differs"].to_numpy(bool)
            results.append((differs[same].any(), differs[~same].mean() if (~same).any() else 0))
    columns = ["false", "power"]
    return pd.DataFrame(
        {name: np.mean(results, axis=0) for name, results in found.items()}, columns
    ).T


ACCURACIES = np.array(
    [0.989, 0.986, 0.984, 0.982, 0.980, 0.979, 0.977, 0.975, 0.974, 0.970, 0.964, 0.957]
)
"""Of 12 variants of docs/claims.md, trained for two short epochs."""


def qualities(variants: int, kind: str) -> NDArray[np.float64]:
    """Standard deviations between networks.

    The variance between seeds is then `equal`: 1.2 times that of the test set alone; `noisy`: 5
    times; `mixed`: 20 times for every sixth variant; `pair`: 50 times for two.
    """
    found = np.full(variants, {"noisy": 0.035}.get(kind, 0.008))
    if kind == "mixed":
        found[1::6] = 0.0765
    elif kind == "pair":
        found[-2:] = 0.122
    return found
