"""What a reader must know before believing a comparison."""

from __future__ import annotations

from collections.abc import Iterator

from pandas import DataFrame

from convscope.compare.words.phrases import listed, times
from convscope.tables import numbered

_FEW_SEEDS = 3
_UNSTEADY = 1.2
"""Fastest over slowest run of a variant from which the machine must have had other work."""


def caveats(runs: DataFrame) -> list[str]:
    """Sentences on what limits the comparison of these runs.

    Args:
        runs: `frame`'s table.
    """
    finished = runs[runs["status"] == "finished"]
    return [*_without_result(runs), *_seeds(finished), *_one_recipe(finished), *_speed(finished)]


def _without_result(runs: DataFrame) -> Iterator[str]:
    skipped = runs[runs["status"] == "skipped"]
    if len(skipped):
        names = listed(list(skipped["label"].unique()))
        yield f"{numbered(len(skipped), 'run')} skipped because the variant is impossible: {names}."
    running = runs[runs["status"] == "running"]
    if len(running):
        names = listed(list(running["label"].unique()))
        yield f"{numbered(len(running), 'run')} still running: {names}."
    ended = runs[runs["status"].isin(["interrupted", "failed"])]
    for (status, reason), alike in ended.groupby(["status", "reason"], sort=False):
        names = listed(list(alike["label"].unique()))
        yield f"{numbered(len(alike), 'run')} {status} ({names}): {reason}."


def _seeds(finished: DataFrame) -> Iterator[str]:
    seeds = finished.groupby("group", sort=False)["seed"].agg(lambda of: tuple(sorted(of)))
    if seeds.empty:
        return
    few = int(seeds.map(len).min())
    if few < _FEW_SEEDS:
        names = finished.drop_duplicates("group").set_index("group")["label"]
        which = [names[group] for group in seeds.index[seeds.map(len) == few]]
        whose = "every variant" if len(which) == len(seeds) else listed(which)
        yield f"Only {numbered(few, 'seed')} of {whose}: more would tell smaller differences apart."
    elif seeds.nunique() > 1:
        yield "Not every variant was trained with the same seeds."


def _one_recipe(finished: DataFrame) -> Iterator[str]:
    if finished["variant"].nunique() > 1:
        yield (
            "No variant was tuned by itself: all share one learning rate, schedule and number of "
            f"epochs{_recipe(finished)}. With others, another may win."
        )
    if finished["setting"].nunique() > 1:
        yield "Variants are compared within a setting alone, never across settings."


def _recipe(finished: DataFrame) -> str:
    rates, epochs = finished["optim.lr"].unique(), finished["trainer.max_epochs"].unique()
    if len(rates) > 1 or len(epochs) > 1:
        return " within a setting"
    return f" ({rates[0]:g}, {numbered(epochs[0], 'epoch')})"


def _speed(finished: DataFrame) -> Iterator[str]:
    machines = finished[["device", "threads"]].drop_duplicates()
    if len(machines) > 1:
        names = [f"{m.device} with {numbered(m.threads, 'thread')}" for m in machines.itertuples()]
        yield f"Samples/s of {listed(names)} are no measure of the variants."
    versions = sorted(finished["torch"].dropna().unique())
    if len(versions) > 1:
        yield f"Runs were made with torch {listed(versions)}: speed and results may differ by that."
    of_source = {r.environment["versions"].get("source") for r in finished["record"]}
    if len(of_source) > 1:
        yield "Runs were made by different versions of the project's source."
    beside = int(finished["shared"].sum())
    if beside:
        runs = "all runs" if beside == len(finished) else f"{beside} of {len(finished)} runs"
        yield (
            f"Samples/s of {runs} were measured while others trained on the same machine, and are "
            "no measure of the variants: the same command with throughput=exclusive measures them "
            "again, alone."
        )
    elif len(machines) == 1:
        rates = finished.groupby("group", sort=False)["train_samples_per_sec"].agg(["min", "max"])
        factor = (rates["max"] / rates["min"]).max()
        if factor > _UNSTEADY:
            yield (
                f"The fastest run of a variant trained up to {times(factor)} as fast as its "
                "slowest: the machine seems to have had other work, so small differences in speed "
                "mean nothing."
            )
