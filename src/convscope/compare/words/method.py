"""How it was measured, so that somebody else can measure it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pandas import DataFrame

from convscope.compare.words.phrases import listed
from convscope.runs.record import RunRecord
from convscope.tables import count, numbered

_VERSIONS = {"python": "Python", "torch": "torch", "pytorch-lightning": "Lightning"}


def measured(runs: DataFrame) -> list[str]:
    """Sentences on seeds, epochs, data, statistics, hardware, versions and command.

    Args:
        runs: `frame`'s table.
    """
    finished = runs[runs["status"] == "finished"]
    if finished.empty:
        return []
    records = list(finished["record"])
    return [
        _runs(finished),
        *_data(finished),
        "Test accuracy is that of the epoch with the best validation accuracy, measured once on "
        "the test set. Samples/s are training samples over the time of the training steps alone.",
        "Intervals are 95 % intervals of the mean over seeds (Student's t). Differences are tested "
        "for all pairs of a setting at once, at 5 %: by Tukey's HSD, and by Games-Howell too where "
        "variances seem to differ.",
        "Shares of variance are sums of squares of type II, what a factor adds to the others; they "
        "need not add up to 100 % where variants are missing.",
        *_hardware(finished),
        f"Made with {listed(_versions(records))}.",
        _command(records),
    ]


def _runs(finished: DataFrame) -> str:
    seeds = sorted(int(seed) for seed in finished["seed"].unique())
    epochs = [str(n) for n in sorted(finished["trainer.max_epochs"].unique())]
    noun = "epoch" if epochs == ["1"] else "epochs"
    settings = finished["setting"].nunique()
    among = f" in {settings} settings" if settings > 1 else ""
    return (
        f"{numbered(len(finished), 'finished run')} of "
        f"{numbered(finished['variant'].nunique(), 'variant')}{among}: "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {listed([str(seed) for seed in seeds])}, "
        f"{listed(epochs)} {noun}."
    )


def _data(finished: DataFrame) -> Iterator[str]:
    for name, of_it in finished.groupby("dataset", sort=False):
        images = of_it["record"].iloc[0].dataset
        channels, height, width = images["input_shape"]
        yield (
            f"Data: {name}, {count(images['train'])} images to train, {count(images['val'])} to "
            f"validate, {count(images['test'])} to test, "
            f"{channels}x{height}x{width} values each."
        )


def _hardware(finished: DataFrame) -> Iterator[str]:
    columns = ["device", "threads", "trainer.precision"]
    for device, threads, precision in finished[columns].drop_duplicates().itertuples(index=False):
        yield f"Hardware: {device}, {numbered(threads, 'thread')}, {precision}."


def _versions(records: Iterable[RunRecord]) -> list[str]:
    made_with: dict[str, None] = {}
    for record in records:
        versions = record.environment["versions"]
        made_with |= dict.fromkeys(
            f"{name} {versions[key]}" for key, name in _VERSIONS.items() if key in versions
        )
    return list(made_with)


def _command(records: list[RunRecord]) -> str:
    commands = list(dict.fromkeys(record.command for record in records))
    if len(commands) == 1:
        return f"Command: {commands[0]}"
    return f"Command of the first of {len(commands)}: {commands[0]}"
