"""The benchmark's results as tables for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from typing import Any

from pandas import DataFrame

from convscope.benchmark.measure import Measured
from convscope.benchmark.project import EndToEnd
from convscope.benchmark.roofline import Peaks
from convscope.tables import Table, markdown
from convscope.text import MISSING, count, counted
from convscope.training.record import environment
from convscope.training.request import RunRequest


@dataclass(frozen=True)
class Report:
    """The results of a benchmark; the fields are keys of the JSON file.

    Attributes:
        command: the command line that was typed.
        quick: whether `--quick` was given.
        machine: hardware, precision, threads and versions, as in a run's record.
        peaks: the device's limits.
        cases: the measurements of each case.
        prompt: the end-to-end run of the first case.
    """

    command: str
    quick: bool
    machine: dict[str, Any]
    peaks: Peaks
    cases: list[Measured]
    prompt: EndToEnd


def machine(request: RunRequest) -> dict[str, Any]:
    """Return the environment of a record, and the platform."""
    return environment(request) | {"platform": platform.platform()}


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum over rounds."""

    median: float
    least: float
    most: float

    def text(self, digits: int) -> str:
        """Return `median (minimum–maximum)` with so many digits after the decimal point."""
        median, least, most = (f"{x:.{digits}f}" for x in (self.median, self.least, self.most))
        return f"{median} ({least}–{most})"


def summaries(case: Measured) -> dict[str, Spread | None]:
    """Summarize rates and ratios over a case's rounds; None for figures that were not measured.

    A ratio is between two figures of the same round. `reported_to_slope` is near 1 if the rate that
    a run reports agrees with the wall clock. `roofline_share` is the share of the roofline that
    (a) reaches.
    """
    names = ["project", "slope", "plain", "usual", "project_other_s"]
    rounds = DataFrame(case.rounds, columns=names, dtype=float)
    figures = {
        **{f"{name}_samples_per_sec": rounds[name] for name in ("project", "plain", "usual")},
        "project_to_plain": rounds.project / rounds.plain,
        "project_to_usual": rounds.project / rounds.usual,
        "reported_to_slope": rounds.project / rounds.slope,
        "roofline_share": rounds.project / (case.batch_size / case.roofline_s),
        "project_other_s": rounds.project_other_s,
    }
    return {
        name: Spread(*map(float, (figure.median(), figure.min(), figure.max())))
        if figure.notna().any()
        else None
        for name, figure in figures.items()
    }


def speed_table(report: Report) -> Table:
    """Return the table of rates and ratios, a row per case."""
    return _table([_speed_cells(case) for case in report.cases])


def preparation_table(report: Report) -> Table:
    """Return the table of times outside the rates and of the trials behind (b) and (c)."""
    return _table([_preparation_cells(case) for case in report.cases])


def _table(rows: list[list[tuple[str, str]]]) -> Table:
    """Join rows of (column, cell)."""
    columns = tuple(column for column, _ in rows[0])
    return Table(columns, tuple(tuple(cell for _, cell in row) for row in rows))


def _speed_cells(case: Measured) -> list[tuple[str, str]]:
    found = summaries(case)
    median = {name: None if value is None else value.median for name, value in found.items()}
    rate, share = median["project_samples_per_sec"], median["roofline_share"]
    assert rate is not None
    assert share is not None

    def ratio(name: str, digits: int) -> str:
        value = found[name]
        return MISSING if value is None else value.text(digits)

    return [
        ("<variant", f"{case.variant} compiled" if case.compiled else case.variant),
        ("batch", str(case.batch_size)),
        ("a samples/s", count(rate)),
        ("a ms/step", f"{1000 * case.batch_size / rate:.2f}"),
        ("b samples/s", count(median["plain_samples_per_sec"])),
        ("c samples/s", count(median["usual_samples_per_sec"])),
        ("a/b", ratio("project_to_plain", 3)),
        ("a/c", ratio("project_to_usual", 1)),
        ("a/wall", ratio("reported_to_slope", 2)),
        ("of roofline", f"{share:.0%}"),
        ("<bound by", case.bound),
    ]


def _preparation_cells(case: Measured) -> list[tuple[str, str]]:
    other = summaries(case)["project_other_s"]
    trials = {False: ("not tried", MISSING), True: ("not tried", MISSING)}
    for trial in case.plain:
        rate = trial.samples_per_second
        result = f"failed: {trial.failure}" if rate is None else count(rate)
        trials[trial.compiled] = result, f"{trial.prepared_seconds:.1f}"
    workers = ", ".join(f"{number}: {count(rate)}" for number, rate in case.workers.items())
    return [
        ("<variant", case.variant),
        ("batch", str(case.batch_size)),
        ("a outside steps, s", MISSING if other is None else f"{other.median:.1f}"),
        ("b eager, samples/s", trials[False][0]),
        ("warm-up, s", trials[False][1]),
        ("b compiled, samples/s", trials[True][0]),
        ("warm-up, s", trials[True][1]),
        ("<c by workers, samples/s", workers or MISSING),
    ]


def remarks(report: Report) -> list[str]:
    """Return lines that explain the tables and name hardware, versions and commands."""
    machine, peaks = report.machine, report.peaks
    rounds = len(report.cases[0].rounds)
    versions = machine["versions"]
    names = ("convscope", "torch", "torchvision", "pytorch-lightning", "python")
    captured = "; both forms of b are one CUDA graph" * (machine["accelerator"] == "cuda")
    quick = [
        "Quick: few rounds and short windows, torch.compile not tried; omit --quick for reliable"
        " figures."
    ]
    return [
        *quick * report.quick,
        f"Medians of {counted(rounds, 'round')}, minimum and maximum in brackets; a ratio is of two"
        " figures of the same round.",
        "a: this project's run. b: a plain loop by hand. c: torchvision, DataLoader and Lightning"
        " with its defaults, in float32.",
        "compiled: a with compile=true and b with torch.compile, where that makes b faster.",
        "a/wall: the samples/s that a run reports, over the additional samples per additional"
        " second of a long run compared with a short one.",
        "of roofline: the minimum time of a step over that of a. MACs of convolutions and head,"
        " forward and both gradients, at the peak of a matrix product; their operands and results"
        " at the peak of a copy (Williams, Waterman and Patterson 2009).",
        "a outside steps: seconds of a run outside its timed steps, including warm-up. warm-up:"
        f" building, compilation and the first 10 steps{captured}.",
        f"Measured on {machine['device']} ({machine['accelerator']},"
        f" {counted(machine['threads'], 'thread')}), {machine['platform']}; a and b in"
        f" {machine['precision']}; peaks {peaks.macs_per_second / 1e9:,.0f} GMAC/s and"
        f" {peaks.bytes_per_second / 1e9:,.1f} GB/s.",
        ", ".join(f"{name} {versions[name]}" for name in names if name in versions),
        f"End to end: {report.prompt.seconds:.1f} s for `{report.prompt.command}`",
        f"Command: `{report.command}`",
    ]


def as_markdown(report: Report) -> str:
    """Return tables and remarks as Markdown."""
    tables = markdown(speed_table(report)), markdown(preparation_table(report))
    return "\n\n".join([*tables, *remarks(report)]) + "\n"


def as_json(report: Report) -> str:
    """Return the report as JSON, including every round; each case has a `summary`."""
    document = asdict(report)
    for entry, case in zip(document["cases"], report.cases, strict=True):
        found = summaries(case)
        entry["summary"] = {name: value and asdict(value) for name, value in found.items()}
    return json.dumps(document, indent=2) + "\n"
