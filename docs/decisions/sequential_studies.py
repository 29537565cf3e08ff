"""Simulations of `repeat=auto`: the tables of sequential-studies.md.

    python docs/decisions/sequential_studies.py errors 1000
    python docs/decisions/sequential_studies.py spending 500
    python docs/decisions/sequential_studies.py resample outputs/STUDY 20

Planted studies have answers to 10,000 test images, with what makes answers differ in a real study:
how hard an image is for all networks, for a variant, and for a run; and how good a run is in all.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.special import ndtri

from convscope.analysis import looks, pairwise, sequential
from convscope.analysis.equivalence import DIFFERENT, EQUIVALENT
from convscope.analysis.frame import Reader
from convscope.analysis.sequential import Rule

Array = NDArray[Any]

IMAGES, MOST = 10_000, 10
OF_IMAGE, OF_VARIANT, OF_RUN, SHIFT = 0.87, 0.06, 0.07, 0.021
"""Of the score that decides whether an image is answered right: shares of its variance that belong
to the image, to the image for a variant, and to a run; and the standard deviation of how good a run
is. Tetrachoric correlations and variances of MNIST's 9 possible variants have given them."""
MARGIN = 0.001


def table(accuracies: Array, settle: str, answers: Array | None = None) -> DataFrame:
    """Return a table as from `frame`, of a sequential study with these accuracies.

    Args:
        accuracies: (variants, seeds).
        settle: `best` or `ranking`.
        answers: (variants, seeds, images), whether each is right.
    """
    variants, seeds = accuracies.shape
    keys = {"repeat": "auto", "max_repeat": seeds, "settle": settle, "margin": 100 * MARGIN}
    group, seed = (one.ravel() for one in np.indices((variants, seeds)))
    names = np.array([f"{number:08d}" for number in range(variants)])[group]
    return DataFrame(
        {
            "setting": "",
            "group": names,
            "seed": seed,
            "status": "finished",
            "test_accuracy": accuracies.ravel(),
            "test_images": float(IMAGES),
            "dataset": "planted",
            "fingerprint": "planted",
            "path": [f"{number}/{one}" for number, one in zip(group, seed, strict=True)],
            "record": [SimpleNamespace(config=keys)] * len(group),
        }
    )


def study(rng: np.random.Generator, means: Array, seeds: int = MOST) -> Array:
    """Return answers (variants, seeds, images) of variants with these true accuracies."""
    hard = np.sqrt(OF_IMAGE) * rng.standard_normal(IMAGES, np.float32)
    own = np.sqrt(OF_VARIANT) * rng.standard_normal((len(means), 1, IMAGES), np.float32)
    run = np.sqrt(OF_RUN) * rng.standard_normal((len(means), seeds, IMAGES), np.float32)
    shift = SHIFT * rng.standard_normal((len(means), seeds, 1))
    bar = ndtri(means)[:, None, None] * np.sqrt(1 + SHIFT**2)
    return hard + own + run + shift < bar


@contextmanager
def answers_known(answers: Array) -> Iterator[None]:
    """Let comparisons find these answers as if they were on disk."""
    from convscope.analysis import answers as module

    def read(runs: DataFrame) -> Array:
        found = [answers[tuple(map(int, path.split("/")))] for path in runs["path"]]
        return np.array(found)

    before, module.read = module.read, read
    try:
        yield
    finally:
        module.read = before


def used(runs: DataFrame, found: list[sequential.Decision]) -> DataFrame:
    """Return the runs that a sweep trains before it has come to its last decision."""
    seeds = dict.fromkeys(runs["group"], found[0].look.seeds)
    for decision in found:
        seeds |= dict.fromkeys(decision.compared, decision.look.seeds)
    return runs[runs["seed"] < runs["group"].map(seeds)]


def errors(number: int) -> None:
    """Print the family-wise error, at any look and of the comparison in the end, and the runs.

    The comparison in the end has each pair at the last look that both variants reached: the last
    decision on it.
    """
    base = 0.99
    cases = {
        "12 equal": np.full(12, base),
        "1 better, 11 equal": np.r_[base + 0.002, np.full(11, base)],
        "6 pairs of equals": np.repeat(base - 0.002 * np.arange(6), 2),
        "12, apart by the margin": base - MARGIN * np.arange(12),
    }
    print("| variants | settle | at any look | in the end | false equivalence | runs |")
    print("| --- | --- | --: | --: | --: | --: |")
    for title, means in cases.items():
        gaps = np.abs(means[:, None] - means)
        counts = {settle: [] for settle in ("best", "ranking")}
        false = {settle: np.zeros(3) for settle in counts}
        rng = np.random.default_rng(1)
        for _ in range(number):
            answers = study(rng, means)
            with answers_known(answers):
                for settle in counts:
                    everything = table(answers.mean(-1), settle)
                    rule = Rule(settle, MARGIN, MOST, MOST)
                    found = list(sequential.decisions(everything, rule))
                    counts[settle].append(len(used(everything, found)))
                    false[settle] += false_claims(found, gaps)
        for settle, runs in counts.items():
            shares = " | ".join(f"{100 * one / number:.1f} %" for one in false[settle])
            print(f"| {title} | {settle} | {shares} | {statistics.median(runs):.0f} |", flush=True)


def false_claims(found: list[sequential.Decision], gaps: Array) -> list[bool]:
    """Return whether there is a false difference at any look, in the end; a false equivalence."""
    pairs = pd.concat([one.pairs for one in found])
    pairs["pair"] = [frozenset(pair) for pair in pairs[["first", "second"]].itertuples(index=False)]
    differing = pairs[pairs["verdict"] == DIFFERENT]
    last = pairs.drop_duplicates("pair", keep="last")
    return [
        is_any(differing, gaps < 1e-9),
        is_any(last[last["verdict"] == DIFFERENT], gaps < 1e-9),
        is_any(pairs[pairs["verdict"] == EQUIVALENT], gaps > MARGIN - 1e-9),
    ]


def is_any(pairs: DataFrame, where: Array) -> bool:
    """Return whether any of the pairs is one of those in a (variants, variants) mask."""
    first, second = (pairs[side].astype(int).to_numpy() for side in ("first", "second"))
    return bool(where[first, second].any())


def best_set(pairs: DataFrame, groups: set[str]) -> frozenset[str]:
    """Return the groups that are significantly worse than no other."""
    return frozenset(groups - set(pairs["second"][pairs["differs"].astype(bool)]))


def fixed(runs: DataFrame) -> DataFrame:
    """Return the differences of all runs, as of a study that is not sequential."""
    return pairwise.differences(runs.assign(record=[SimpleNamespace(config={})] * len(runs)))


def resample(study_path: str, number: int) -> None:
    """Compare the decision of `repeat=auto` with that of all seeds, in orders of the seeds."""
    runs, _ = Reader([Path(study_path)]).read()
    is_grid = runs["kernel_size"].ge(3) & runs["stride"].le(2) & runs["model.pool_after"].eq("1")
    runs = runs[(runs["status"] == "finished") & is_grid].assign(setting="")
    runs["seed"] = runs.groupby("group").cumcount()
    most = int(runs.groupby("group").size().min())
    runs = runs[runs["seed"] < most]
    groups = set(runs["group"])
    labels = runs.drop_duplicates("group").set_index("group")["variant"]
    decision = best_set(fixed(runs), groups)
    validation = runs.groupby("group")["best_val_accuracy"].mean()
    print(f"{len(groups)} variants, {most} seeds: {len(runs)} runs; not worse than any other:")
    print(
        sorted(labels[list(decision)]), "highest validation accuracy:", labels[validation.idxmax()]
    )
    print("| settle | runs, median (range) | same set | same winner | winner in the set |")
    print("| --- | --: | --: | --: | --: |")
    for settle in ("best", "ranking"):
        rng = np.random.default_rng(1)
        config = {"repeat": "auto", "max_repeat": most, "settle": settle, "margin": 0.1}
        rule = Rule(settle, MARGIN, most, most)
        counts, same, winner, inside = [], 0, 0, 0
        for _ in range(number):
            order = {group: rng.permutation(most) for group in sorted(groups)}
            shuffled = runs.assign(
                seed=[order[one.group][one.seed] for one in runs.itertuples()],
                record=[SimpleNamespace(config=config)] * len(runs),
            )
            trained = used(shuffled, list(sequential.decisions(shuffled, rule)))
            counts.append(len(trained))
            found = best_set(pairwise.differences(trained), groups)
            chosen = trained.groupby("group")["best_val_accuracy"].mean().idxmax()
            same += found == decision
            winner += chosen == validation.idxmax()
            inside += chosen in decision
        print(
            f"| {settle} | {statistics.median(counts):.0f} ({min(counts)} to {max(counts)}) |"
            f" {same} of {number} | {winner} of {number} | {inside} of {number} |"
        )


SPENDING: dict[str, Callable[[float, float], float]] = {
    "t": lambda n, most: n / most,
    "t²": lambda n, most: (n / most) ** 2,
    "t³": lambda n, most: (n / most) ** 3,
    "0.8 t² (taken)": lambda n, most: 0.8 * (n / most) ** 2,
    "n² / (n² + 36), no maximum": lambda n, _: n**2 / (n**2 + 36),
}


def spending(number: int) -> None:
    """Compare spending functions by the runs that they need and the decisions that they reach."""
    mnist = [0.9947, 0.9932, 0.9926, 0.9925, 0.9912, 0.9903, 0.9900, 0.9887, 0.9885]
    cases = {
        "MNIST's means": np.array(mnist),
        "steps of 0.03 points": 0.99 - 0.0003 * np.arange(9),
        "1 better": np.r_[0.9912, np.full(8, 0.99)],
        "9 equal": np.full(9, 0.99),
    }
    print("| spending | studies | runs | same set as repeat=10 | false difference |")
    print("| --- | --- | --: | --: | --: |")
    before = looks._spent
    for title, function in SPENDING.items():
        looks._spent = function
        for case, means in cases.items():
            rng = np.random.default_rng(2)
            gaps = np.abs(means[:, None] - means)
            counts, same, false = [], 0, 0
            for _ in range(number):
                noise = 0.0006 * rng.standard_normal((len(means), MOST))
                runs = table(np.round(means[:, None] + noise, 4), "best")
                found = list(sequential.decisions(runs, Rule("best", MARGIN, MOST, MOST)))
                trained = used(runs, found)
                counts.append(len(trained))
                groups = set(runs["group"])
                pairs = pd.concat([one.pairs for one in found])
                pairs = pairs.assign(differs=pairs["verdict"] == DIFFERENT)
                same += best_set(pairs, groups) == best_set(fixed(runs), groups)
                false += is_any(pairs[pairs["differs"]], gaps < 1e-9)
            print(
                f"| {title} | {case} | {statistics.median(counts):.0f} |"
                f" {100 * same / number:.0f} % | {100 * false / number:.1f} % |",
                flush=True,
            )
    looks._spent = before


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "resample":
        resample(arguments[0], int(arguments[1]))
    else:
        {"errors": errors, "spending": spending}[command](int(arguments[0]))
