"""Simulations of `repeat=auto`: the tables of sequential-studies.md.

    python docs/decisions/sequential_studies.py errors 1000
    python docs/decisions/sequential_studies.py spending 1000
    python docs/decisions/sequential_studies.py resample outputs/STUDY 20

For thousands of studies, the rule is repeated here in numpy, with equal variances over seeds; what
the sample of images adds to the variance of a difference is taken as known.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from convscope.analysis.frame import Reader
from convscope.analysis.looks import looks
from convscope.analysis.studentized import critical_value

Array = NDArray[Any]

MOST, MARGIN = 10, 0.001
SEEDS, IMAGES = 0.00078, 0.00047
"""Standard deviations in the runs on MNIST: between seeds, and of what the test images add to the
difference of two variants."""
PROSPECT = 0.2

Spending = Callable[[float], float]


@dataclass
class Study:
    """Seeds of each variant, and what is found: masks (variants, variants)."""

    seeds: Array
    better: Array
    better_in_the_end: Array
    equivalent: Array

    @property
    def runs(self) -> int:
        """Number of runs that were trained."""
        return int(self.seeds.sum())


@cache
def q(groups: int, df: float, level: float) -> float:
    """Return a critical value in standard errors of a difference."""
    return float(critical_value(groups, df, level)) / np.sqrt(2)


def train(x: Array, settle: str, images: float, spending: Spending) -> Study:
    """Return what `repeat=auto` finds, given the accuracies (variants, seeds) of all runs."""
    groups, most = x.shape
    plan = looks(most)
    spent = [0.05 * spending(look.seeds / most) for look in plan]
    levels = np.diff([0, *spent])
    n, going = np.zeros(groups, int), np.ones(groups, bool)
    ever, end, equivalent = np.zeros((3, groups, groups), bool)

    def bound(df: float, of_seeds: float, level: float) -> float:
        """Return the least difference that is significant; both parts of its error have a q."""
        parts = (q(groups, df, level) ** 2 * of_seeds, q(groups, 1e5, level) ** 2 * images**2)
        return float(np.sqrt(sum(parts)))

    for look, level in zip(plan, levels, strict=True):
        n[going] = look.seeds
        means = np.array([x[one, : n[one]].mean() for one in range(groups)])
        squares = sum(((x[one, : n[one]] - means[one]) ** 2).sum() for one in range(groups))
        df = int((n - 1).sum())
        of_seeds = 2 * squares / df / look.seeds
        pairs = going[:, None] & going & ~np.eye(groups, dtype=bool)
        gap = means[:, None] - means
        better = pairs & (gap > bound(df, of_seeds, level))
        # Two one-sided tests: the critical value of twice the level.
        alike = pairs & (np.abs(gap) < MARGIN - bound(df, of_seeds, 2 * level))
        alike &= ~(better | better.T)
        ever, equivalent = ever | better, equivalent | alike
        end = np.where(pairs, better, end)
        later_df = float(df * (most - 1) // (look.seeds - 1))
        change = np.sqrt(of_seeds * (1 - look.seeds / most))
        decided = better | better.T | alike
        if change > 0:
            later = of_seeds * look.seeds / most
            least = bound(later_df, later, levels[-1])
            within = max(MARGIN - bound(later_df, later, 2 * levels[-1]), 0)
            below = [stdtr(df, (one - gap) / change) for one in (-least, least, -within, within)]
            decided |= below[0] + 1 - below[1] + below[3] - below[2] < PROSPECT
        alive = going & ~better.any(0) if settle == "best" else going
        going = (pairs & ~decided & alive[:, None] & alive).any(1)
        if not going.any():
            break
    return Study(n, ever, end, equivalent)


def at_once(x: Array, images: float) -> Array:
    """Return which variants are significantly better than which with all seeds."""
    groups, most = x.shape
    of_seeds = 2 * x.var(1, ddof=1).mean() / most
    critical = q(groups, groups * (most - 1), 0.05) ** 2 * of_seeds
    critical += q(groups, 1e5, 0.05) ** 2 * images**2
    better: Array = x.mean(1)[:, None] - x.mean(1) > np.sqrt(critical)
    return better


def draw(rng: np.random.Generator, means: Array, images: float, seeds: float = SEEDS) -> Array:
    """Return accuracies (variants, seeds), with what the test images do to each variant."""
    of_images = images / np.sqrt(2) * rng.standard_normal((len(means), 1))
    return means[:, None] + of_images + seeds * rng.standard_normal((len(means), MOST))


def taken(t: float) -> float:
    """The spending function of `looks`, in units of 5 %."""
    return 0.9 * t**2


def errors(number: int) -> None:
    """Print how many studies have a false claim, and the median number of runs."""
    cases = {
        "12 equal": np.zeros(12),
        "1 better by 0.2 points, 11 equal": np.r_[0.002, np.zeros(11)],
        "6 better by 0.2 points, 6 equal": np.repeat([0.002, 0], 6),
        "6 pairs of equals, 0.2 points apart": np.repeat(-0.002 * np.arange(6), 2),
        "12, each 0.1 points apart": -0.001 * np.arange(12),
        "12, each 0.1 points apart, a tenth of the noise": -0.001 * np.arange(12),
        "2 equal": np.zeros(2),
    }
    print("| variants | noise | settle | any look | in the end | false equivalence | runs |")
    print("| --- | --- | --- | --: | --: | --: | --: |")
    for title, means in cases.items():
        gaps = np.abs(means[:, None] - means)
        scale = 0.1 if title.endswith("a tenth of the noise") else 1
        for images in (0, scale * IMAGES):
            for settle in ("best", "ranking"):
                rng = np.random.default_rng(1)
                found = [
                    train(draw(rng, means, images, scale * SEEDS), settle, images, taken)
                    for _ in range(number)
                ]
                false = [
                    sum(bool((one & mask).any()) for one in masks) / number
                    for masks, mask in (
                        ([one.better for one in found], gaps < 1e-9),
                        ([one.better_in_the_end for one in found], gaps < 1e-9),
                        ([one.equivalent for one in found], gaps > MARGIN - 1e-9),
                    )
                ]
                runs = statistics.median(one.runs for one in found)
                noise = "seeds, images" if images else "seeds"
                shares = " | ".join(f"{100 * one:.1f} %" for one in false)
                print(f"| {title} | {noise} | {settle} | {shares} | {runs:.0f} |", flush=True)


SPENDING: dict[str, Spending] = {
    "5 % at each look (not valid)": lambda t: (2, 3, 5, 7, 10).index(round(MOST * t)) + 1,
    "t": lambda t: t,
    "t²": lambda t: t**2,
    "t³": lambda t: t**3,
    "0.9 t² (taken)": taken,
    "n² / (n² + 36), for any maximum": lambda t: (MOST * t) ** 2 / ((MOST * t) ** 2 + 36),
}


def spending(number: int) -> None:
    """Compare spending functions by the runs that they need and the decisions that they reach."""
    mnist = [0.9947, 0.9932, 0.9926, 0.9925, 0.9912, 0.9903, 0.9900, 0.9887, 0.9885]
    cases = {
        "MNIST's means": np.array(mnist),
        "9 in steps of 0.04 points": -0.0004 * np.arange(9),
        "1 of 9 better by 0.15 points": np.r_[0.0015, np.zeros(8)],
        "9 equal": np.zeros(9),
    }
    print("| spending | variants | runs | same set as repeat=10 | false difference |")
    print("| --- | --- | --: | --: | --: |")
    for title, function in SPENDING.items():
        for case, means in cases.items():
            rng = np.random.default_rng(2)
            is_equal = np.abs(means[:, None] - means) < 1e-9
            counts, same, false = [], 0, 0
            for _ in range(number):
                x = draw(rng, means, 0)
                found = train(x, "best", 0, function)
                counts.append(found.runs)
                same += bool((found.better.any(0) == at_once(x, 0).any(0)).all())
                false += bool((found.better & is_equal).any())
            print(
                f"| {title} | {case} | {statistics.median(counts):.0f} |"
                f" {100 * same / number:.0f} % | {100 * false / number:.1f} % |",
                flush=True,
            )


def resample(study: str, number: int) -> None:
    """Compare the decision of `repeat=auto` with that of ten seeds, in studies like a real one.

    Test and validation accuracies are drawn around the means of its variants, with their standard
    deviation over seeds.
    """
    runs, _ = Reader([Path(study)]).read()
    is_grid = runs["kernel_size"].ge(3) & runs["stride"].le(2) & runs["model.pool_after"].eq("1")
    runs = runs[(runs["status"] == "finished") & is_grid]
    names = ["test_accuracy", "best_val_accuracy"]
    found = runs.groupby("variant")[names].agg(["mean", "var", "size"])
    n = found["test_accuracy", "size"]
    means = found.xs("mean", axis="columns", level=1)
    stds = np.sqrt(
        found.xs("var", axis="columns", level=1).mul(n - 1, axis=0).sum() / (n - 1).sum()
    )
    print(f"{len(means)} variants of {n.min()} to {n.max()} seeds")
    print(means.assign(std=stds["test_accuracy"]).sort_values("test_accuracy"))
    print(
        "| compared | settle | runs, median (range) | same set | same winner |"
        " variants in the set |"
    )
    print("| --- | --- | --: | --: | --: | --: |")
    for images in (0, IMAGES):
        for settle in ("best", "ranking"):
            rng = np.random.default_rng(1)
            counts, sizes, same, winner = [], [], 0, 0
            for _ in range(number):
                tested, validated = (
                    means[name].to_numpy()[:, None]
                    + stds[name] * rng.standard_normal((len(means), MOST))
                    for name in names
                )
                auto = train(tested, settle, images, taken)
                worse = auto.better_in_the_end.any(0)
                counts.append(auto.runs)
                sizes.append(int((~worse).sum()))
                same += bool((worse == at_once(tested, images).any(0)).all())
                chosen = [one[:own].mean() for one, own in zip(validated, auto.seeds, strict=True)]
                winner += bool(np.argmax(chosen) == np.argmax(validated.mean(1)))
            how = "by image" if images else "over seeds"
            print(
                f"| {how} | {settle} | {statistics.median(counts):.0f} ({min(counts)} to"
                f" {max(counts)}) | {same} of {number} | {winner} of {number} |"
                f" {statistics.median(sizes):.0f} |"
            )


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "resample":
        resample(arguments[0], int(arguments[1]))
    else:
        {"errors": errors, "spending": spending}[command](int(arguments[0]))
