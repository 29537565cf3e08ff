"""Whether speeds measure the variants, or the machines and moments in which they ran."""

from __future__ import annotations

from collections.abc import Iterator

from pandas import DataFrame

from convscope.text import counted, listed, times

_UNSTEADY = 1.2
"""Fastest over slowest run of a variant from which speeds are called unsteady."""


def obstacles(finished: DataFrame) -> list[str]:
    """Why no speeds of these runs are compared, a sentence each; none where they may be.

    Args:
        finished: rows of `frame`'s table.
    """
    return list(_obstacles(finished))


def _obstacles(finished: DataFrame) -> Iterator[str]:
    machines = finished[["device", "threads"]].drop_duplicates()
    if len(machines) > 1:
        names = [f"{m.device} with {counted(m.threads, 'thread')}" for m in machines.itertuples()]
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


def unsteady(finished: DataFrame) -> Iterator[str]:
    """Whether runs of one variant, on one machine, differ in speed as they should not."""
    rates = finished.groupby("group", sort=False)["train_samples_per_sec"].agg(["min", "max"])
    factor = (rates["max"] / rates["min"]).max()
    if factor > _UNSTEADY:
        yield (
            f"The fastest run of a variant trained up to {times(factor)} as fast as its slowest: "
            "differences in speed of that size need not come from the variants."
        )
