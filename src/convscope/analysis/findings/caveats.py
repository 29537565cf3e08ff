"""Caveats: findings on what limits a comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from pandas import DataFrame, Series
from scipy.special import bdtrc

from convscope.analysis.answers import settings_by_pairing, without_answers
from convscope.analysis.citations import HALVING
from convscope.analysis.findings.finding import Finding
from convscope.analysis.findings.sequential import is_sequential, sequential_caveat
from convscope.analysis.findings.tuning import tuning_caveats
from convscope.analysis.pairwise import LEVEL
from convscope.metrics import LATENCY_BATCHES, latency_name
from convscope.text import count, counted, counted_range, listed, percentage_points, times

_FEW_SEEDS = 3
_RISE = 0.005
"""Gain of validation accuracy in the last epoch from which a variant is still improving."""
_UNSTEADY = 1.2
"""Ratio of a variant's fastest to its slowest run from which speeds are called unsteady."""
_UNSTEADY_CALLS = 3
"""Ratio of the 95th percentile of a latency to its median from which calls are called unsteady."""


def caveats(runs: DataFrame) -> list[Finding]:
    """Return what limits the comparison of these runs.

    Args:
        runs: table from `frame`.
    """
    finished = runs[runs["status"] == "finished"]
    by_design = is_sequential(finished)
    return [
        *_without_result(runs),
        *_pruned(runs),
        *_untrained(finished),
        *_still_improving(finished),
        *sequential_caveat(finished[by_design]),
        *_seeds(finished[~by_design]),
        *_data(finished),
        *_not_paired(finished),
        *_one_recipe(finished),
        *tuning_caveats(finished),
        *(speed_caveats(finished) or _unsteady(finished)),
        *_latency_caveats(finished),
        *_diagnostic_caveats(finished),
    ]


def speed_caveats(finished: DataFrame) -> list[Finding]:
    """Return why the speeds of these finished runs are not comparable; empty if they are."""
    return list(_speed_caveats(finished))


def latency_machines(runs: DataFrame) -> list[str]:
    """Return on what the latencies of these runs were measured: `AMD EPYC, 2 threads, 32-true`."""
    return list(
        dict.fromkeys(
            f"{one['device']}, {counted(one['threads'], 'thread')}, {one['precision']}"
            for one in _latency_environments(runs)
        )
    )


def _latency_environments(runs: DataFrame) -> list[dict[str, Any]]:
    found = (record.environment.get("latency") for record in runs["record"])
    return [one for one in found if one is not None]


def training_lengths(finished: DataFrame) -> list[str]:
    """Return the distinct configured lengths of training: `5 epochs`, `40 steps`."""
    epochs, none = finished["trainer.max_epochs"], Series(pd.NA, finished.index)
    steps = finished.get("trainer.max_steps", none)[epochs.isna()]
    lengths = [
        counted(int(number), noun)
        for numbers, noun in ((epochs, "epoch"), (steps, "step"))
        for number in sorted(numbers.dropna().unique())
    ]
    return lengths or ["an unknown number of epochs"]


def _caveat(
    kind: str, sentence: str, runs: DataFrame | None = None, cites: tuple[str, ...] = ()
) -> Finding:
    """Return a caveat about the variants of these runs; by default, about the whole comparison."""
    subjects = () if runs is None else tuple(runs["label"].unique())
    return Finding(kind, subjects, sentence, cites=cites)


def _labels(runs: DataFrame) -> str:
    return listed(list(runs["label"].unique()))


def _without_result(runs: DataFrame) -> Iterator[Finding]:
    for status, what in (
        ("skipped", "skipped because the variant is impossible"),
        ("running", "still running"),
    ):
        affected = runs[runs["status"] == status]
        if len(affected):
            sentence = f"{counted(len(affected), 'run')} {what}: {_labels(affected)}."
            yield _caveat(status, sentence, affected)
    ended = runs[runs["status"].isin(["interrupted", "failed"])]
    for (status, reason), affected in ended.groupby(["status", "reason"], sort=False):
        sentence = f"{counted(len(affected), 'run')} {status} ({_labels(affected)}): {reason}."
        yield _caveat(str(status), sentence, affected)


def _pruned(runs: DataFrame) -> Iterator[Finding]:
    """Report variants that are not compared because validation has ended all their runs early."""
    finished = runs[runs["status"] == "finished"]
    pruned = runs[(runs["status"] == "pruned") & ~runs["group"].isin(finished["group"])]
    if len(pruned) and len(finished):
        number, compared = pruned["group"].nunique(), finished["group"].nunique()
        yield _caveat(
            "pruned",
            f"{number} of {counted(number + compared, 'variant')} were ended early by validation"
            f" accuracy (prune=true) and have no result: {_labels(pruned)}. The comparison is of"
            " the others, chosen by validation; whether an ended one would have overtaken them is"
            " not known.",
            pruned,
            HALVING,
        )


def _untrained(finished: DataFrame) -> Iterator[Finding]:
    """Report runs that are not significantly better than always naming the most frequent class."""
    known = finished.dropna(subset=["test_accuracy", "test_images", "most_frequent"])
    correct = (known["test_accuracy"] * known["test_images"]).round()
    images = known["test_images"].astype(int)
    p_value = bdtrc(correct - 1, images, known["most_frequent"] / images)
    # Not `>=`: a NaN counts as untrained.
    untrained = known[~(p_value < LEVEL)]
    if len(untrained):
        sentence = (
            f"No sign of learning in {counted(len(untrained), 'run')} ({_labels(untrained)}): test "
            "accuracy is not significantly above that of naming the most frequent class for every "
            "image (binomial test, 5 %). Differences from such runs say little about the variants."
        )
        yield _caveat("untrained", sentence, untrained)


def _still_improving(finished: DataFrame) -> Iterator[Finding]:
    """Report variants whose last epoch improved clearly, and training of one epoch at most."""
    last = finished.groupby("label", sort=False)[["val_accuracy_rise", "val_loss_fall"]].mean()
    rising = last[(last["val_accuracy_rise"] >= _RISE) & (last["val_loss_fall"] > 0)]
    if len(rising):
        gains = rising["val_accuracy_rise"].sort_values(ascending=False, kind="stable")
        names = [f"{label} (by {percentage_points(gain)})" for label, gain in gains.items()]
        sentence = (
            f"Still improving in the last epoch: the validation accuracy of {listed(names)}. "
            "With more epochs the order of the variants may change."
        )
        yield Finding("still_improving", tuple(gains.index), sentence)
    steps = finished["train_steps"]
    short = steps[steps * finished["data.batch_size"] <= finished["train_images"]]
    if len(short):
        which = "All runs were" if len(short) == len(finished) else f"{len(short)} runs were"
        sentence = (
            f"{which} trained for one epoch at most ({counted_range(short, 'step')}): whether "
            "accuracy was still rising is not known."
        )
        yield _caveat("one_epoch", sentence, finished.loc[short.index])


def _seeds(finished: DataFrame) -> Iterator[Finding]:
    seeds = finished.groupby("group", sort=False)["seed"].agg(lambda own: tuple(sorted(own)))
    if seeds.empty:
        return
    numbers = seeds.map(len)
    few = int(numbers.min())
    if few < _FEW_SEEDS:
        names = finished.drop_duplicates("group").set_index("group")["label"]
        which = list(names[numbers.index[numbers == few]])
        whose = "every variant" if len(which) == len(seeds) else listed(which)
        sentence = (
            f"Only {counted(few, 'seed')} of {whose}: with more seeds, smaller differences become "
            "significant."
        )
        yield Finding("few_seeds", tuple(which), sentence)
    elif seeds.nunique() > 1:
        yield _caveat("different_seeds", "Not every variant was trained with the same seeds.")


def _data(finished: DataFrame) -> Iterator[Finding]:
    for dataset, tested in finished.groupby("dataset", sort=False)["test_images"]:
        if tested.nunique() > 1:
            numbers = listed([count(number) for number in sorted(tested.dropna().unique())])
            sentence = (
                f"Runs on {dataset} were tested on different numbers of images ({numbers}): "
                "accuracies on different images are not compared."
            )
            yield _caveat("different_test_images", sentence)
    # With tuned batches, variants of one setting differ in their steps, not in their epochs.
    same = ["setting", "data.batch_size"]
    steps = finished.groupby(same, sort=False, dropna=False)["train_steps"]
    uneven = finished["train_steps"][steps.transform("min") < steps.transform("max")]
    if len(uneven):
        sentence = (
            f"Runs of one setting took {counted_range(uneven, 'optimizer step')}, as "
            "trainer.max_time ended some early: slower variants were trained less."
        )
        yield _caveat("unequal_steps", sentence, finished.loc[uneven.index])
    unknown = int(finished["train_steps"].isna().sum())
    if unknown:
        sentence = f"The number of optimizer steps of {counted(unknown, 'run')} is not recorded."
        yield _caveat("unknown_steps", sentence, finished[finished["train_steps"].isna()])


def _not_paired(finished: DataFrame) -> Iterator[Finding]:
    """Report settings whose test accuracies cannot be compared by image."""
    paired, others = settings_by_pairing(finished)
    if others.empty:
        return
    lacking = without_answers(others)
    studies = " ".join(others["study"].unique())
    why = (
        f"{len(lacking)} of {counted(len(others), 'run')} have no known answers to single test"
        f" images (compare.py {studies} --diagnose adds them where checkpoints are kept)"
        if len(lacking)
        else "runs answered different test images"
    )
    sentence = (
        f"Test accuracies{' of the other settings' if len(paired) else ''} are compared on these"
        f" test images only, not paired by image: {why}."
    )
    yield _caveat("not_paired", sentence, lacking if len(lacking) else others)


def _one_recipe(finished: DataFrame) -> Iterator[Finding]:
    untuned = finished[~finished["tuning"].map(bool)] if "tuning" in finished else finished
    if 0 < len(untuned) < len(finished):
        sentence = (
            f"The training of {_labels(untuned)} was not tuned per variant: with other values,"
            " these may be better."
        )
        yield _caveat("not_tuned", sentence)
    elif len(untuned) and finished["variant"].nunique() > 1:
        rates, lengths = finished["optim.lr"].unique(), training_lengths(finished)
        recipe = (
            f"one learning rate ({rates[0]:g}), schedule and length ({lengths[0]})"
            if len(rates) == len(lengths) == 1
            else "one learning rate, schedule and number of epochs within a setting"
        )
        sentence = (
            f"The training was not tuned per variant: all share {recipe}. With others, another "
            "variant may be better."
        )
        yield _caveat("not_tuned", sentence)
    if finished["setting"].nunique() > 1:
        sentence = (
            "Variants are compared within one setting, and settings within one variant on the "
            "same images; nothing else is compared."
        )
        yield _caveat("several_settings", sentence)


def _speed_caveats(finished: DataFrame) -> Iterator[Finding]:
    machines = finished[["device", "threads"]].drop_duplicates()
    if len(machines) > 1:
        names = [f"{m.device} with {counted(m.threads, 'thread')}" for m in machines.itertuples()]
        sentence = f"Samples/s were measured on {listed(names)}: they do not compare the variants."
        yield _caveat("different_machines", sentence)
    versions = sorted(finished["torch"].dropna().unique())
    if len(versions) > 1:
        sentence = (
            f"Runs were made with torch {listed(versions)}: speed and results may differ for that "
            "reason."
        )
        yield _caveat("different_torch", sentence)
    if len({record.environment["versions"].get("source") for record in finished["record"]}) > 1:
        sentence = "Runs were made by different versions of the project's source."
        yield _caveat("different_source", sentence)
    shared = int(finished["shared"].sum())
    if shared:
        which = "all runs" if shared == len(finished) else f"{shared} of {len(finished)} runs"
        sentence = (
            f"Samples/s of {which} were measured while others trained on the same machine: they do "
            "not compare the variants. The same command with throughput=exclusive measures them "
            "again, one at a time."
        )
        yield _caveat("shared_machine", sentence)


def _unsteady(finished: DataFrame) -> Iterator[Finding]:
    """Report that runs of one variant on one machine differ in speed."""
    rates = finished.groupby("group", sort=False)["train_samples_per_sec"].agg(["min", "max"])
    factor = (rates["max"] / rates["min"]).max()
    if factor > _UNSTEADY:
        sentence = (
            f"The fastest run of a variant trained up to {times(factor)} as fast as its slowest: "
            "differences in speed of that size need not come from the variants."
        )
        yield _caveat("unsteady_speed", sentence)


def _latency_caveats(finished: DataFrame) -> Iterator[Finding]:
    """Report latencies that were measured on several machines, or not in turns."""
    measured = _latency_environments(finished)
    machines = {(one["device"], one["threads"], one["torch"]) for one in measured}
    again = "compare.py --latency measures all again, in turns."
    if len(machines) > 1:
        names = [
            f"{device} with {counted(threads, 'thread')} and torch {torch}"
            for device, threads, torch in sorted(machines)
        ]
        sentence = (
            f"Latencies were measured on {listed(names)}: they do not compare the variants; {again}"
        )
        yield _caveat("different_latency_machines", sentence)
    elif len({one["measured_at"] for one in measured}) > 1:
        sentence = (
            "Latencies were measured at different times: differences between them need not come"
            f" from the variants; {again}"
        )
        yield _caveat("latency_not_in_turns", sentence)
    for batch in LATENCY_BATCHES:
        middle, high = (finished[latency_name(batch, percentile)] for percentile in (50, 95))
        factor = (high / middle).max()
        if factor >= _UNSTEADY_CALLS:
            sentence = (
                f"The 95th percentile of the latency of a batch of {batch} is up to {times(factor)}"
                " its median: other programs may have used the machine."
            )
            yield _caveat("unsteady_latency", sentence)


def diagnosed(runs: DataFrame) -> list[dict[str, Any]]:
    """Return `environment.diagnostics` of the runs that have diagnostics."""
    found = (record.environment.get("diagnostics") for record in runs["record"])
    return [one for one in found if one is not None]


def _diagnostic_caveats(finished: DataFrame) -> Iterator[Finding]:
    """Report diagnostics that some runs lack, or that were measured on different images."""
    measured = diagnosed(finished)
    without = len(finished) - len(measured)
    if measured and without:
        sentence = (
            f"{without} of {counted(len(finished), 'run')} have no diagnostics: compare.py"
            " --diagnose measures them."
        )
        yield _caveat("without_diagnostics", sentence)
    images = finished["diagnostic_images"]
    uneven = images[images.groupby(finished["setting"]).transform("nunique") > 1]
    if len(uneven):
        numbers = listed([count(number) for number in sorted(uneven.dropna().unique())])
        sentence = (
            f"Diagnostics were measured on different numbers of test images ({numbers}): they do"
            " not compare the variants. The commands that trained these runs, with"
            " diagnostics=full, measure all of them on all test images."
        )
        yield _caveat("different_diagnostic_images", sentence)
    machines = {(one["device"], one["torch"]) for one in measured}
    if len(machines) > 1:
        names = [f"{device} with torch {torch}" for device, torch in sorted(machines)]
        sentence = (
            f"Diagnostics were measured on {listed(names)}: small differences may come from"
            " rounding."
        )
        yield _caveat("different_diagnostic_machines", sentence)
