"""What was measured, for the terminal, for Markdown and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from convscope.benchmark.fastest import Trial
from convscope.benchmark.measure import Measured
from convscope.benchmark.prompt import Prompt
from convscope.benchmark.roofline import Peaks
from convscope.benchmark.rounds import Spread, ratio, spread
from convscope.tables import Table, markdown
from convscope.text import count, counted

_NONE = "–"
Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Report:
    """A whole benchmark.

    Attributes:
        machine: hardware, precision, threads and versions, as in a run's record.
        prompt: a run of the first case.
    """

    command: str
    quick: bool
    machine: dict[str, Any]
    peaks: Peaks
    cases: list[Measured]
    prompt: Prompt


def summaries(case: Measured) -> dict[str, Spread | None]:
    """Ratios of a case over its rounds, each of two figures of the same round, and rates.

    `reported_to_slope` is near 1 where a run reports what the wall clock says. `roofline_share`
    is of (a).
    """

    def over(figure: Callable[[Figures], float | None]) -> Spread | None:
        return spread(map(figure, case.rounds))

    return {
        **{f"{name}_samples_per_sec": over(_named(name)) for name in ("project", "plain", "usual")},
        "project_to_plain": over(lambda row: ratio(row["project"], row["plain"])),
        "project_to_usual": over(lambda row: ratio(row["project"], row.get("usual"))),
        "reported_to_slope": over(lambda row: ratio(row["project"], row["slope"])),
        "roofline_share": over(
            lambda row: ratio(row["project"], case.batch_size / case.roofline_s)
        ),
        "project_other_s": over(_named("project_other_s")),
    }


def _named(name: str) -> Callable[[Figures], float | None]:
    return lambda row: row.get(name)


def speed_table(report: Report) -> Table:
    columns = (
        *("<variant", "batch", "a samples/s", "a ms/step", "b samples/s", "c samples/s"),
        *("a/b", "a/c", "a/wall", "of roofline", "<bound by"),
    )
    return Table(columns, tuple(_speed_row(case) for case in report.cases))


def _speed_row(case: Measured) -> tuple[str, ...]:
    found = summaries(case)
    project = found["project_samples_per_sec"]
    assert project is not None
    return (
        f"{case.variant} compiled" if case.compiled else case.variant,
        str(case.batch_size),
        _median(project),
        f"{1000 * case.batch_size / project.median:.2f}",
        _median(found["plain_samples_per_sec"]),
        _median(found["usual_samples_per_sec"]),
        _spread_text(found["project_to_plain"], 3),
        _spread_text(found["project_to_usual"], 1),
        _spread_text(found["reported_to_slope"], 2),
        _share(found["roofline_share"]),
        case.bound,
    )


def preparation_table(report: Report) -> Table:
    """What the rates leave out, and what was tried before (b) and (c) were chosen."""
    columns = (
        *("<variant", "batch", "a besides, s", "b as written, samples/s", "ready in, s"),
        *("b compiled, samples/s", "ready in, s", "<c by workers, samples/s"),
    )
    return Table(columns, tuple(_preparation_row(case) for case in report.cases))


def _preparation_row(case: Measured) -> tuple[str, ...]:
    other = summaries(case)["project_other_s"]
    workers = (f"{number}: {count(rate)}" for number, rate in case.workers.items())
    return (
        case.variant,
        str(case.batch_size),
        _NONE if other is None else f"{other.median:.1f}",
        *_trial_cells([trial for trial in case.plain if not trial.compiled]),
        *_trial_cells([trial for trial in case.plain if trial.compiled]),
        ", ".join(workers) or _NONE,
    )


def _trial_cells(trials: list[Trial]) -> tuple[str, str]:
    if not trials:
        return "not tried", _NONE
    (trial,) = trials
    if trial.samples_per_second is None:
        return f"failed: {trial.failure}", f"{trial.prepared_seconds:.1f}"
    return count(trial.samples_per_second), f"{trial.prepared_seconds:.1f}"


def remarks(report: Report) -> list[str]:
    """What the tables mean and what they were measured on, a line each."""
    machine, peaks = report.machine, report.peaks
    rounds = len(report.cases[0].rounds)
    versions = machine["versions"]
    names = ("convscope", "torch", "torchvision", "pytorch-lightning", "python")
    captured = "; both forms of b are one CUDA graph" * (machine["accelerator"] == "cuda")
    quick = [
        "Quick: few rounds and short windows, torch.compile not tried; leave --quick out for"
        " figures to rely on."
    ]
    return [
        *quick * report.quick,
        f"Medians of {counted(rounds, 'round')}, in brackets the least and the most; a ratio is of"
        " two figures of the same round.",
        "a: this project's run. b: the plain loop by hand. c: torchvision, DataLoader and Lightning"
        " with its defaults, in float32.",
        "compiled: a with compile=true and b through torch.compile, where b is the faster for it.",
        "a/wall: the samples/s that a run reports, over those between a short and a long run by"
        " wall clock.",
        "of roofline: the least time of a step over that of a. MACs of convolutions and head,"
        " forward and both gradients, at the peak of a matrix product; their operands and results"
        " at the peak of a copy (Williams, Waterman and Patterson 2009).",
        "a besides: seconds of a run besides its steps, warm-up among them. ready in: building,"
        f" compilation and the first 10 steps{captured}.",
        f"Measured on {machine['device']} ({machine['accelerator']},"
        f" {counted(machine['threads'], 'thread')}), {machine['platform']}; a and b in"
        f" {machine['precision']}; peaks {peaks.macs_per_second / 1e9:,.0f} GMAC/s and"
        f" {peaks.bytes_per_second / 1e9:,.1f} GB/s.",
        ", ".join(f"{name} {versions[name]}" for name in names if name in versions),
        f"Prompt to prompt: {report.prompt.seconds:.1f} s for `{report.prompt.command}`",
        f"Command: `{report.command}`",
    ]


def as_markdown(report: Report) -> str:
    tables = markdown(speed_table(report)), markdown(preparation_table(report))
    return "\n\n".join([*tables, *remarks(report)]) + "\n"


def as_json(report: Report) -> str:
    """Everything, each round included; `summary` by case as in `summaries`."""
    document = asdict(report)
    for entry, case in zip(document["cases"], report.cases, strict=True):
        found = summaries(case)
        entry["summary"] = {name: value and asdict(value) for name, value in found.items()}
    return json.dumps(document, indent=2) + "\n"


def _median(value: Spread | None) -> str:
    return count(None if value is None else value.median)


def _spread_text(value: Spread | None, digits: int) -> str:
    if value is None:
        return _NONE
    median, least, most = (f"{x:.{digits}f}" for x in (value.median, value.least, value.most))
    return f"{median} ({least}–{most})"


def _share(value: Spread | None) -> str:
    return _NONE if value is None else f"{value.median:.0%}"
