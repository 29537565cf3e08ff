"""Which test images each run got right, and what that tells about differences between variants.

An accuracy varies for two reasons: another seed gives another network, and other test images give
other answers. Variants answer the same images, with seeds of their own: images are crossed with
variants and seeds. That is the design of studies with several readers and cases, in which both
count as samples (Clark 1973; Gallas 2006).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.special import chdtri

from convscope.runs.pack import on_disk
from convscope.runs.predictions import read_answers

Array = NDArray[Any]

ACCURACY = "test_accuracy"
_DATA = ["dataset", "fingerprint", "test_images"]
"""Columns in which runs must be equal to have answered the same images."""


@dataclass(frozen=True)
class ImageStatistics:
    """What the answers of groups of runs tell; variances of an accuracy from 0 to 1.

    Args:
        noise: (groups,) the part of the variance between a group's runs that the finite test set
            causes: that of the interaction of seeds and images, divided by the number of images.
        image: (groups, groups) the part of the variance of the difference of two groups' means
            that comes from the sample of images, and that more seeds do not lower: the variance
            over images of the difference of their shares of right runs, divided by the number of
            images, without noise / R of each group with R runs; at least 0.
    """

    noise: Array
    image: Array


@dataclass(frozen=True)
class SeedNoise:
    """Variance of test accuracy between seeds, on average over variants: its total, and parts.

    Jordan (2024), "On the Variance of Neural Network Training with Respect to Test Sets and
    Distributions": most of it is noise of the finite test set, and vanishes with more images. What
    is left, `total` - `noise`, is the unbiased estimate of the variance of networks' accuracies on
    all images of the kind.

    Args:
        total: pooled over variants.
        noise: the part that the finite test set causes, `ImageStatistics.noise`.
        df: degrees of freedom of `total` (Satterthwaite 1946: variances may be unequal).
        runs: number of runs.
    """

    total: float
    noise: float
    df: float
    runs: int

    @property
    def between_networks(self) -> float | None:
        """Standard deviation of the networks' own accuracies; None if the estimate is negative."""
        left = self.total - self.noise
        return math.sqrt(left) if left > 0 else None

    def share(self) -> tuple[float, float, float]:
        """Return the share of the noise in the total, and its 95 % interval; at most 1."""
        ratio = self.noise / self.total
        low, high = (chdtri(self.df, chance) / self.df for chance in (0.975, 0.025))
        return min(ratio, 1.0), min(ratio * low, 1.0), min(ratio * high, 1.0)


def seed_noise(runs: DataFrame) -> SeedNoise | None:
    """Return how much of the variance between seeds is noise of the test set.

    None where a run of a variant with several has no known answers, or accuracies do not vary.

    Args:
        runs: rows of one setting of the table from `frame`.
    """
    finished = runs[(runs["status"] == "finished") & runs[ACCURACY].notna()]
    stats = finished.groupby("group", sort=False)[ACCURACY].agg(["size", "var"])
    stats = stats[stats["size"] > 1]
    known = image_statistics(finished, list(stats.index)) if len(stats) else None
    if known is None:
        return None
    df, variance = stats["size"].to_numpy() - 1, stats["var"].to_numpy()
    total, noise = (float((df * one).sum() / df.sum()) for one in (variance, known.noise))
    if not total > 0:
        return None
    own_df = (df * variance).sum() ** 2 / (df * variance**2).sum()
    return SeedNoise(total, noise, float(own_df), int(stats["size"].sum()))


def image_statistics(runs: DataFrame, groups: Sequence[str]) -> ImageStatistics | None:
    """Return what the answers of runs tell about their groups; None where they are incomplete.

    Args:
        runs: finished rows of the table from `frame`.
        groups: ids of the groups, each of two runs or more, in the order of the result.
    """
    members = runs[runs["group"].isin(groups)]
    right = read(members)
    if right is None:
        return None
    index = members["group"].map({group: number for number, group in enumerate(groups)})
    images, number = right.shape[1], len(groups)
    n, rates, noise = np.empty(number), np.empty((number, images)), np.empty(number)
    for group, rows in members.groupby(index.to_numpy()).indices.items():
        own = right[rows]
        n[group], rates[group], noise[group] = len(own), own.mean(axis=0), noise_of_test_set(own)
    image = image_variance(rates) - np.add.outer(noise / n, noise / n)
    return ImageStatistics(noise, np.maximum(image, 0))


def noise_of_test_set(right: NDArray[np.bool_]) -> float:
    """Return the variance between runs of one variant that the finite test set causes.

    It is the mean square of seeds x images in an analysis of variance, divided by the number of
    images: from the variance over seeds of the answers to an image, of which the mean over images
    is R / (R - 1) p (1 - p), the variance of the runs' accuracies is subtracted.

    Args:
        right: (runs, images), at least 2 of each.
    """
    runs, images = right.shape
    rate = right.mean(axis=0)
    within = (rate * (1 - rate)).mean() * runs / (runs - 1)
    return float((within - right.mean(axis=1).var(ddof=1)) / (images - 1))


def image_variance(rates: Array) -> Array:
    """Return the variance of the difference of two mean rates over the population of images.

    For one run each that is the square of McNemar's standard error, (b + c - (b - c)² / n) / n², up
    to the factor n / (n - 1): b images that only the one gets right, c that only the other does.

    Args:
        rates: (groups, images).
    """
    covariance = np.atleast_2d(np.cov(rates))
    own = np.diag(covariance)
    variance: Array = (np.add.outer(own, own) - 2 * covariance) / rates.shape[1]
    return variance


def read(runs: DataFrame) -> NDArray[np.bool_] | None:
    """Return the answers of runs, (runs, images): whether each is right.

    None where a run has none, or where they are of different images.

    Args:
        runs: finished rows of the table from `frame`.
    """
    rows = _read_packed(runs)
    if rows is None:
        return None
    images = int(runs["test_images"].iloc[0])
    return np.unpackbits(np.array(rows), axis=1, count=images).astype(bool)


def _read_packed(runs: DataFrame) -> list[NDArray[np.uint8]] | None:
    """Return the answers of each run, eight to a byte; None as `read`."""
    if "path" not in runs or runs.empty or (runs[_DATA].nunique(dropna=False) > 1).any():
        return None
    if not runs["test_images"].iloc[0] > 0:
        return None
    images, rows = int(runs["test_images"].iloc[0]), []
    for path, accuracy in runs[["path", ACCURACY]].itertuples(index=False):
        bits = _bits(Path(path), accuracy, images)
        if bits is None:
            return None
        rows.append(bits)
    return rows


def settings_by_pairing(finished: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Return the runs of the settings that are compared by image, and those of the others.

    Only runs of variants with two runs or more, of settings with two such variants.

    Args:
        finished: finished rows of the table from `frame`.
    """
    repeated = finished[finished.groupby("group")["group"].transform("size") > 1]
    tested = repeated[repeated.groupby("setting")["group"].transform("nunique") > 1]
    settings = tested.groupby("setting", sort=False)
    paired = [name for name, runs in settings if _read_packed(runs) is not None]
    is_paired = tested["setting"].isin(paired)
    return tested[is_paired], tested[~is_paired]


def without_answers(runs: DataFrame) -> DataFrame:
    """Return the rows of the finished runs whose answers are not known."""
    columns = (runs[name] for name in ("path", ACCURACY, "test_images"))
    known = [
        images > 0 and _bits(Path(path), accuracy, int(images)) is not None
        for path, accuracy, images in zip(*columns, strict=True)
    ]
    return runs[~np.array(known, bool)]


def _bits(run: Path, accuracy: float, images: int) -> NDArray[np.uint8] | None:
    """Return a run's answers, eight to a byte; they are read again when their file has changed."""
    try:
        found = os.stat(on_disk(run / "predictions.npz"))
    except OSError:
        return None
    return _read_bits(run, accuracy, images, found.st_ino, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8192)
def _read_bits(run: Path, accuracy: float, images: int, *_stamp: int) -> NDArray[np.uint8] | None:
    right = read_answers(run, accuracy)
    return None if right is None or len(right) != images else np.packbits(right)
