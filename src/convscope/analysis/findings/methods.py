"""How it was measured, so that somebody else can measure it again."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from pandas import DataFrame

from convscope.analysis.findings.caveats import training_lengths
from convscope.text import count, counted, counted_range, listed

_VERSIONS = {"python": "Python", "torch": "torch", "pytorch-lightning": "Lightning"}
_IMAGES = ["dataset", "train_images", "val_images", "test_images", "data.batch_size"]

_STATISTICS = (
    "Test accuracy is that of the epoch with the best validation accuracy, measured once on the"
    " test set. Samples/s are training samples over the time of the training steps alone.",
    "Variants are chosen, ordered and put on the Pareto front by the mean of their best validation"
    " accuracy; what is reported of them is the test accuracy.",
    "Intervals are 95 % intervals of the mean over seeds (Student's t), never narrower than"
    " rounding to whole images allows; that of the chosen variant in the text rests on the spread"
    " of all of them, and is adjusted for their number (Bonferroni). Differences are tested for all"
    " pairs of a setting at once, at 5 %: by Tukey's HSD, and by Games-Howell too where variances"
    " seem to differ; those of samples/s as ratios, and only where all ran alike.",
    "Shares of variance are sums of squares of type II, what a factor adds to the others. Each F"
    " test is at 5 % by itself, not adjusted for the number of factors.",
    "Still improving is a variant whose last epoch had the lowest validation loss and raised"
    " validation accuracy by half a point or more, on average over seeds.",
)


def describe_methods(runs: DataFrame) -> list[str]:
    """Return sentences on seeds, epochs, data, statistics, hardware, versions and command.

    Args:
        runs: `frame`'s table.
    """
    finished = runs[runs["status"] == "finished"]
    if finished.empty:
        return []
    versions = [record.environment["versions"] for record in finished["record"]]
    made_with = dict.fromkeys(
        f"{name} {of[key]}" for of in versions for key, name in _VERSIONS.items() if key in of
    )
    commands = finished["command"].unique()
    several = f" of the first of {len(commands)}" if len(commands) > 1 else ""
    return [
        _runs(finished),
        *_data(finished),
        *_STATISTICS,
        *_hardware(finished),
        f"Made with {listed(list(made_with))}.",
        f"Command{several}: {commands[0]}",
    ]


def _runs(finished: DataFrame) -> str:
    seeds = sorted(int(seed) for seed in finished["seed"].unique())
    settings = finished["setting"].nunique()
    among = f" in {settings} settings" if settings > 1 else ""
    return (
        f"{counted(len(finished), 'finished run')} of "
        f"{counted(finished['variant'].nunique(), 'variant')}{among}: "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {listed(list(map(str, seeds)))}, "
        f"{listed(training_lengths(finished))}."
    )


def _data(finished: DataFrame) -> Iterator[str]:
    """What was used of each data set, and of how much."""
    for _, of_it in finished.groupby(_IMAGES, sort=False, dropna=False):
        first = of_it.iloc[0]
        dataset = first["record"].dataset
        channels, height, width = dataset["input_shape"]
        steps = ""
        if of_it["train_steps"].notna().all():
            each = counted(first["data.batch_size"], "image")
            steps = f"; {counted_range(of_it['train_steps'], 'optimizer step')} of {each}"
        train, val, test = (
            _part(first[f"{part}_images"], dataset[part]) for part in ("train", "val", "test")
        )
        yield (
            f"Data: {first['dataset']}, {train} images in an epoch of training, {val} to validate, "
            f"{test} to test, {channels}x{height}x{width} values each{steps}."
        )


def _part(used: float, available: int) -> str:
    """`10,000`, or `2,048 of 10,000` where not all were used."""
    if pd.isna(used):
        return f"at most {count(available)}"
    return count(available) if used == available else f"{count(used)} of {count(available)}"


def _hardware(finished: DataFrame) -> Iterator[str]:
    columns = ["device", "threads", "trainer.precision"]
    for device, threads, precision in finished[columns].drop_duplicates().itertuples(index=False):
        yield f"Hardware: {device}, {counted(threads, 'thread')}, {precision}."
