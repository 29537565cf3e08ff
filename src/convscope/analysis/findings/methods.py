"""Methods: how the results were measured, enough to repeat the measurement."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from pandas import DataFrame

from convscope.analysis.answers import settings_by_pairing
from convscope.analysis.citations import (
    DIAGNOSTICS,
    EQUIVALENCE,
    PREDICTION,
    SIMULTANEOUS,
    SPENDING,
    TESTS,
)
from convscope.analysis.findings.caveats import diagnosed, latency_machines, training_lengths
from convscope.analysis.findings.finding import Finding
from convscope.analysis.findings.sequential import is_sequential
from convscope.analysis.findings.tuning import describe_tuning
from convscope.analysis.looks import looks, planned_seeds
from convscope.analysis.pairwise import BY_IMAGE, GAMES_HOWELL, LEVEL, MODERATED
from convscope.text import count, counted, counted_range, listed

_VERSIONS = {"python": "Python", "torch": "torch", "pytorch-lightning": "Lightning"}
_IMAGES = ["dataset", "train_images", "val_images", "test_images", "data.batch_size"]

_STATISTICS = {
    "metrics": "Test accuracy is that of the epoch with the best validation accuracy, measured once"
    " on the test set. Samples/s are training samples over the wall time of the training steps"
    " only.",
    "choice": "Variants are chosen, ordered and put on the Pareto front by the mean of their best"
    " validation accuracy; their reported accuracy is that on the test set.",
    "tests": "Intervals are 95 % confidence intervals of the mean over seeds (Student's t), never"
    " narrower than rounding to whole images allows. The interval of the chosen variant in the text"
    " uses the pooled variance of all variants and is adjusted for their number (Bonferroni). All"
    " pairs of a setting are tested simultaneously, with a family-wise error of 5 %: by Tukey's"
    " HSD, and also by Games-Howell if variances seem to differ. Samples/s are compared as ratios,"
    " and only if hardware and threads are the same.",
    "equivalence": "Variants that are not significantly different are equivalent within a margin if"
    " two one-sided tests reject a difference of the margin or more, adjusted for all pairs of the"
    " setting: at most 5 % of studies call any pair equivalent whose true difference is that large"
    " (up to 8 % with 3 seeds of very unequal spreads)."
    " What a study could have shown is the true difference that its test finds with a"
    " probability of 80 % at the standard error that was estimated.",
    "variance": "Shares of variance are sums of squares of type II: what a factor adds to the"
    " others. Each F test has a level of 5 %, not adjusted for the number of factors.",
    "still_improving": "A variant is still improving if its last epoch had the lowest validation"
    " loss and raised the validation accuracy by half a percentage point or more, on average over"
    " seeds.",
}


def describe_methods(runs: DataFrame) -> list[Finding]:
    """Return findings on seeds, epochs, data, statistics, hardware, versions and command.

    Args:
        runs: table from `frame`.
    """
    finished = runs[runs["status"] == "finished"]
    if finished.empty:
        return []
    versions = [record.environment["versions"] for record in finished["record"]]
    made_with = dict.fromkeys(
        f"{name} {one[key]}" for one in versions for key, name in _VERSIONS.items() if key in one
    )
    commands = finished["command"].unique()
    several = f" of the first of {len(commands)}" if len(commands) > 1 else ""
    paired, unpaired = settings_by_pairing(finished)
    texts = [
        ("runs", _runs(finished)),
        *(("data", text) for text in _data(finished)),
        *(("split", text) for text in _split(finished)),
        *(("matching", text) for text in _matching(finished)),
        *_STATISTICS.items(),
        *(("sequential", text) for text in _sequential(finished)),
        *(("pairing", text) for text in _pairing(paired, unpaired)),
        *(("hardware", f"Hardware: {text}.") for text in hardware(finished)),
        *(("latency", text) for text in _latency(finished)),
        *(("diagnostics", text) for text in _diagnostics(finished)),
        ("versions", f"Made with {listed(list(made_with))}."),
        ("command", f"Command{several}: {commands[0]}"),
    ]
    is_tested = len(paired) + len(unpaired) > 0
    cites = {
        "tests": (*TESTS[GAMES_HOWELL], *SIMULTANEOUS) if is_tested else (),
        "sequential": SPENDING + PREDICTION,
        "equivalence": EQUIVALENCE if is_tested else (),
        "pairing": TESTS[MODERATED + BY_IMAGE] if len(paired) else (),
        "diagnostics": tuple(
            key
            for metric, sources in DIAGNOSTICS.items()
            if finished[metric].notna().any()
            for key in sources
        ),
    }
    how, *others = [Finding(kind, (), text, cites=cites.get(kind, ())) for kind, text in texts]
    return [how, *describe_tuning(finished), *others]


def _pairing(paired: DataFrame, unpaired: DataFrame) -> Iterator[str]:
    """Yield how test accuracies are paired by image, if they are.

    Args:
        paired: the first part of `settings_by_pairing`.
        unpaired: the other part.
    """
    if paired.empty:
        return
    number, of_others = (part["setting"].nunique() for part in (paired, unpaired))
    where = f" in {number} of {number + of_others} settings" if of_others else ""
    yield (
        f"Differences in test accuracy are paired by image{where}: all runs answered the same"
        " test images, and errors and p-values allow for other seeds and for other test images"
        " of their kind. The images' part of a variance is that of the difference of two"
        " variants' shares of right runs per image, without what few seeds add to it. The"
        " seeds' part is measured in units of the noise that a variant's changing answers to"
        " single images cause, and pooled in these units. If it seems to differ between"
        " variants even so, it is moderated (empirical Bayes; with 5 seeds or more), and"
        " Games-Howell must agree; the latter also with 2 seeds, or fewer than 16 degrees of"
        " freedom in all."
    )


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
    """Yield a sentence per data set on the images used."""
    for _, members in finished.groupby(_IMAGES, sort=False, dropna=False):
        first = members.iloc[0]
        dataset = first["record"].dataset
        channels, height, width = dataset["input_shape"]
        steps = ""
        if members["train_steps"].notna().all():
            each = counted(first["data.batch_size"], "image")
            steps = f"; {counted_range(members['train_steps'], 'optimizer step')} of {each}"
        train, val, test = (
            _part(first[f"{part}_images"], dataset[part]) for part in ("train", "val", "test")
        )
        yield (
            f"Data: {first['dataset']}, {train} images in an epoch of training, {val} to validate, "
            f"{test} to test, {channels}x{height}x{width} values each{steps}."
        )


def _part(used: float, available: int) -> str:
    """Return the number of images used: `10,000`, or `2,048 of 10,000` if not all."""
    if pd.isna(used):
        return f"at most {count(available)}"
    return count(available) if used == available else f"{count(used)} of {count(available)}"


def _sequential(finished: DataFrame) -> Iterator[str]:
    planned = finished[is_sequential(finished)].groupby("setting")
    for seeds in sorted({planned_seeds(members) or 0 for _, members in planned}):
        plan = looks(seeds)
        numbers = listed([str(look.seeds) for look in plan])
        levels = listed([f"{100 * LEVEL * look.share:.2g}" for look in plan])
        yield (
            "Sequential study (repeat=auto): all variants that are not settled have the same seeds"
            f" at each look, {numbers} of them; looks beyond have more. Each look has a"
            f" family-wise level of its own, {levels} %, by an error-spending function; the levels"
            " of all looks, also those beyond, add up to 5 % at most (Bonferroni), wherever the"
            " study is stopped. A pair counts at the last look that both variants reached: its"
            " interval has the confidence that belongs to that level, and its p-value is the"
            " test's, times 5 % over that level. Seeds are no longer added to pairs that are"
            " significantly different, or equivalent by two one-sided tests at the look's level, or"
            " that have a predicted probability below 20 % of becoming either; that prediction"
            " claims nothing."
        )


def _split(finished: DataFrame) -> Iterator[str]:
    """Yield that each seed has its own validation images."""
    own = finished["vary"] == "split"
    if own.any():
        yield (
            f"{'Every' if own.all() else f'In {own.sum()} of the runs, every'} seed has its own"
            " split into training and validation images, the same for all variants; the test images"
            " are the same for all."
        )


def _matching(finished: DataFrame) -> Iterator[str]:
    """Yield how channels were scaled to equal MACs."""
    matched = int(finished["match"].notna().sum())
    if matched:
        yield (
            f"Channels of {counted(matched, 'run')} were scaled (match=macs), all layers by one"
            " factor as far as whole channels allow, such that the MACs are those of the network"
            " with its default convolutions within 5 %; all else is equal, the learning rate too."
        )


def hardware(finished: DataFrame) -> Iterator[str]:
    """Yield the machines that trained these runs: `AMD EPYC, 1 thread, bf16-mixed`."""
    columns = ["device", "threads", "trainer.precision"]
    for device, threads, precision in finished[columns].drop_duplicates().itertuples(index=False):
        yield f"{device}, {counted(threads, 'thread')}, {precision}"


def _latency(finished: DataFrame) -> Iterator[str]:
    for machine in latency_machines(finished):
        yield (
            "Latency: time of a forward pass in evaluation mode, of images that are on the device"
            f" already; each network once, whatever its seeds, in turns with the others: {machine}."
        )


def _diagnostics(finished: DataFrame) -> Iterator[str]:
    images = finished["diagnostic_images"].dropna()
    if diagnosed(finished) and len(images):
        yield (
            "Diagnostics: of the network of the epoch with the best validation accuracy, in 32-bit"
            f" floating point, on {counted_range(images, 'test image')} that are evenly spaced in"
            " the test; effective receptive fields on up to 64 of them, unless measured with"
            " diagnostics=full. The findings on diagnostics have a 5 % level of their own: all"
            " pairs of variants share it, for the answers that a shift changes and for effective"
            " receptive fields (Bonferroni). The F tests of the factors share another 5 %."
        )
