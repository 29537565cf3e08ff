"""Sentences on the sources of the variance of a run's test accuracy."""

from __future__ import annotations

from collections.abc import Iterator

from pandas import DataFrame

from convscope.analysis.findings.finding import Finding
from convscope.analysis.variance import REST_AND_TEST, SPLIT, TEST, Sources, sources
from convscope.text import counted, listed, percentage_points, share

_CITES = {SPLIT: "bouthillier2021", TEST: "jordan2024"}


def summarize_sources(runs: DataFrame) -> Iterator[Finding]:
    """Yield the share of each source; none where they cannot be estimated.

    Args:
        runs: table from `frame`, of one setting.
    """
    found = sources(runs)
    if found is None:
        return
    parts = [
        f"{name} {share(part)} (standard deviation {percentage_points(found.stds[name])})"
        for name, part in found.shares.items()
    ]
    sentence = (
        f"Sources of the variance of a single run's test accuracy, estimated from"
        f" {estimated_from(found)}: {listed(parts)}.{_notes(found)}"
    )
    for name, part in found.shares.items():
        yield Finding(
            *("source", (str(name),), sentence, float(part)),
            metric="test_accuracy",
            statistic="share",
            cites=(_CITES[str(name)],) if name in _CITES else (),
        )
        sentence = ""


def estimated_from(found: Sources) -> str:
    """Return what the estimates are from: `3 variants and 5 splits`."""
    runs = "split" if SPLIT in found.variances else "seed"
    return f"{counted(found.variants, 'variant')} and {counted(found.seeds, runs)}"


def _notes(found: Sources) -> str:
    notes = []
    if SPLIT in found.variances:
        notes.append(
            "A split shares its seed with initialisation and order: what all variants of a seed"
            " have in common counts as the split's."
        )
    negative = list(found.variances.index[found.variances < 0])
    if negative:
        notes.append(f"Negative estimates count as 0: {listed(negative)}.")
    if REST_AND_TEST in found.variances:
        most = found.most_from_test
        bound = "" if most is None else f" (at most {percentage_points(most**0.5)})"
        notes.append(f"How much of this comes from the test images is not known{bound}.")
    return "".join(f" {note}" for note in notes)
