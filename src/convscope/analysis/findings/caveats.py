"""What a reader must know before believing a comparison."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from pandas import DataFrame, Series
from scipy.special import bdtrc

from convscope.analysis.findings.speed import obstacles, unsteady
from convscope.analysis.pairwise import LEVEL
from convscope.text import count, counted, counted_range, listed, percentage_points

_FEW_SEEDS = 3
_RISE = 0.005
"""Gain of validation accuracy in the last epoch from which training had not come to its end."""


def caveats(runs: DataFrame) -> list[str]:
    """Sentences on what limits the comparison of these runs.

    Args:
        runs: `frame`'s table.
    """
    finished = runs[runs["status"] == "finished"]
    return [
        *_without_result(runs),
        *_untrained(finished),
        *_still_improving(finished),
        *_seeds(finished),
        *_data(finished),
        *_one_recipe(finished),
        *_speed(finished),
    ]


def _without_result(runs: DataFrame) -> Iterator[str]:
    skipped = runs[runs["status"] == "skipped"]
    if len(skipped):
        names = listed(list(skipped["label"].unique()))
        yield f"{counted(len(skipped), 'run')} skipped because the variant is impossible: {names}."
    running = runs[runs["status"] == "running"]
    if len(running):
        names = listed(list(running["label"].unique()))
        yield f"{counted(len(running), 'run')} still running: {names}."
    ended = runs[runs["status"].isin(["interrupted", "failed"])]
    for (status, reason), alike in ended.groupby(["status", "reason"], sort=False):
        names = listed(list(alike["label"].unique()))
        yield f"{counted(len(alike), 'run')} {status} ({names}): {reason}."


def _untrained(finished: DataFrame) -> Iterator[str]:
    """Runs that do no better than a network that knows nothing of the image."""
    known = finished.dropna(subset=["test_accuracy", "test_images", "most_frequent"])
    right = (known["test_accuracy"] * known["test_images"]).round()
    images = known["test_images"].astype(int)
    chance = bdtrc(right - 1, images, known["most_frequent"] / images)
    untrained = known[~(chance < LEVEL)]
    if len(untrained):
        names = listed(list(untrained["label"].unique()))
        yield (
            f"No sign of learning in {counted(len(untrained), 'run')} ({names}): test accuracy is "
            "not significantly above that of naming the most frequent class for every image "
            "(binomial test, 5 %). Differences from such runs say little about the variants."
        )


def _still_improving(finished: DataFrame) -> Iterator[str]:
    """Variants whose last epoch was by far their best (defined in `method`)."""
    groups = finished.groupby("label", sort=False)
    rise, fall = groups["val_accuracy_rise"].mean(), groups["val_loss_fall"].mean()
    rising = rise[(rise >= _RISE) & (fall > 0)].sort_values(ascending=False, kind="stable")
    if len(rising):
        names = [f"{label} (by {percentage_points(gain)})" for label, gain in rising.items()]
        yield (
            f"Still improving in the last epoch: the validation accuracy of {listed(names)}. "
            "With more epochs the order of the variants may change."
        )
    steps, images = finished["train_steps"], finished["train_images"]
    short = finished[steps * finished["data.batch_size"] <= images]
    if len(short):
        which = "All runs were" if len(short) == len(finished) else f"{len(short)} runs were"
        yield (
            f"{which} trained for one epoch at most "
            f"({counted_range(steps[short.index], 'step')}): whether accuracy was still rising is "
            "not known."
        )


def _seeds(finished: DataFrame) -> Iterator[str]:
    seeds = finished.groupby("group", sort=False)["seed"].agg(lambda of: tuple(sorted(of)))
    if seeds.empty:
        return
    few = int(seeds.map(len).min())
    if few < _FEW_SEEDS:
        names = finished.drop_duplicates("group").set_index("group")["label"]
        which = [names[group] for group in seeds.index[seeds.map(len) == few]]
        whose = "every variant" if len(which) == len(seeds) else listed(which)
        yield f"Only {counted(few, 'seed')} of {whose}: with more, smaller differences show."
    elif seeds.nunique() > 1:
        yield "Not every variant was trained with the same seeds."


def _data(finished: DataFrame) -> Iterator[str]:
    for dataset, of_it in finished.groupby("dataset", sort=False):
        tested = sorted(of_it["test_images"].dropna().unique())
        if len(tested) > 1:
            numbers = listed([count(number) for number in tested])
            yield (
                f"Runs on {dataset} were tested on different numbers of images ({numbers}): "
                "accuracies on different images are not compared."
            )
    steps = finished.groupby("setting", sort=False)["train_steps"]
    uneven = finished[(steps.transform("min") < steps.transform("max"))]
    if len(uneven):
        yield (
            f"Runs of one setting took {counted_range(uneven['train_steps'], 'optimizer step')}, "
            "as trainer.max_time ended some early: slower variants were trained less."
        )
    unknown = int(finished["train_steps"].isna().sum())
    if unknown:
        yield f"How long {counted(unknown, 'run')} trained is not on record."


def _one_recipe(finished: DataFrame) -> Iterator[str]:
    if finished["variant"].nunique() > 1:
        yield (
            f"The training was not tuned per variant: all share {_recipe(finished)}. With others, "
            "another variant may be better."
        )
    if finished["setting"].nunique() > 1:
        yield (
            "Variants are compared within one setting, and settings within one variant on the "
            "same images; nothing else is compared."
        )


def _recipe(finished: DataFrame) -> str:
    rates, lengths = finished["optim.lr"].unique(), lengths_of(finished)
    if len(rates) > 1 or len(lengths) > 1:
        return "one learning rate, schedule and number of epochs within a setting"
    return f"one learning rate ({rates[0]:g}), schedule and length ({lengths[0]})"


def lengths_of(finished: DataFrame) -> list[str]:
    """How long runs were to train, each once: `5 epochs`, `40 steps` where no epochs were set."""
    epochs = sorted(finished["trainer.max_epochs"].dropna().unique())
    told = [counted(int(number), "epoch") for number in epochs]
    if finished["trainer.max_epochs"].isna().any():
        most = _column(finished, "trainer.max_steps")
        told += [counted(int(number), "step") for number in sorted(most.dropna().unique())]
    return told or ["an unknown number of epochs"]


def _column(table: DataFrame, name: str) -> Series:
    return table[name] if name in table else Series(pd.NA, table.index)


def _speed(finished: DataFrame) -> Iterator[str]:
    found = obstacles(finished)
    yield from found or unsteady(finished)
