"""The search command: check its arguments, try variants, show the best ones, write reports."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from convscope.config.compose import compose_config
from convscope.config.errors import key_of
from convscope.config.schema import TrainConfig
from convscope.errors import UserError
from convscope.latency.command import with_latency
from convscope.metrics import Metric
from convscope.runs.record import RunRecord
from convscope.sweep.command import check_devices, check_latency, log_unreadable
from convscope.sweep.estimate import Estimator
from convscope.sweep.executors.executor import Executor
from convscope.sweep.plan import studies_of
from convscope.sweep.progress import clock
from convscope.sweep.search.loop import Search
from convscope.sweep.search.space import Candidate, Space, candidates_of, space_of
from convscope.sweep.search.trials import (
    count_outcomes,
    known_trials,
    objectives_of,
    started,
)
from convscope.tables import new_console, print_line
from convscope.text import counted
from convscope.training.diagnose import with_diagnostics
from convscope.training.resolve import OF_A_SEARCH, RunResolver

log = logging.getLogger(__name__)


def search(
    fixed: Sequence[str],
    swept: Mapping[str, Sequence[str]],
    executor: Executor,
    command: str,
) -> list[RunRecord]:
    """Try variants until there are `trials` of them and print the best, or only print the plan.

    Args:
        fixed: overrides that all variants share, including those of the search itself.
        swept: the values to choose from, as typed, by key.
        executor: trains the runs.
        command: the command line that the user typed.

    Returns:
        A record per trial, and that of the run that a signal ended; none with `plan=true`.

    Raises:
        UserError: bad input, before the first run starts, or Optuna is not installed.
    """
    space, config, objectives = _checked_arguments(fixed, swept)
    # Imports Optuna, which would delay errors in the arguments.
    from convscope.sweep.search.sampler import Sampler

    sampler = Sampler(space, objectives, config.seed)
    check_latency(config, executor)
    resolver = RunResolver(executor.hardware, executor.in_process)
    candidates = candidates_of(space, _of_runs(fixed), resolver)
    log.info(space_text(space, candidates))
    _check_measured(candidates, objectives)
    console = new_console()
    if config.plan:
        show_plan(candidates, objectives, config.trials, console)
        return []
    runs = [candidate.run for candidate in candidates]
    log_unreadable([run.request for run in runs])
    exclusive = config.throughput == "exclusive"
    if not exclusive:
        _check_speed(candidates, objectives, executor)
    most = min(config.trials, len(candidates))
    found = Search(candidates, objectives, sampler, executor, most, exclusive)
    if found.trials:
        log.info(f"{len(found.trials)} of {most} trials are known already")
    found.run()
    if executor.is_local and found.interrupted is None:
        # Of runs that were finished before.
        _replace_records(found, with_diagnostics(_records(found), config.diagnostics))
    if config.latency and found.interrupted is None:
        _replace_records(found, with_latency(_records(found)))
    # Imports pandas, which would delay the first run.
    from convscope.sweep.search.results import show_results

    return show_results(found, objectives, studies_of(runs), command, console)


def _records(found: Search) -> list[RunRecord]:
    return [trial.record for trial in found.trials]


def _replace_records(found: Search, records: Sequence[RunRecord]) -> None:
    found.trials = [
        replace(trial, record=record) for trial, record in zip(found.trials, records, strict=True)
    ]


def _checked_arguments(
    fixed: Sequence[str], swept: Mapping[str, Sequence[str]]
) -> tuple[Space, TrainConfig, tuple[Metric, ...]]:
    # Composed with one value each, an unknown key gets the same error as in other commands.
    first = [f"{key}={value}" for key, values in swept.items() for value in values[:1]]
    config = compose_config([*fixed, *first])
    space, objectives = space_of(swept), objectives_of(config.objective)
    check_devices(config)
    _check(config)
    return space, config, objectives


def _of_runs(fixed: Sequence[str]) -> list[str]:
    """Return the overrides that a single run can have: all but those of the search."""
    return [override for override in fixed if key_of(override) not in OF_A_SEARCH]


def _check(config: TrainConfig) -> None:
    if config.repeat != 1:
        raise UserError(
            f"repeat must be 1 in a search, got {config.repeat}\n"
            "search with one seed, then sweep the best variants with repeat=5"
        )
    if config.prune:
        raise UserError(
            "prune must be false in a search, which chooses by results of whole runs, got true"
        )
    if config.tune is not None:
        raise UserError(
            f"tune must be null in a search, got {config.tune}\n"
            f"search first, then sweep the best variants with tune={config.tune}"
        )
    if config.fail_fast:
        raise UserError(
            "fail_fast must be false in a search, which goes on with other variants, got true"
        )
    if config.rerun:
        raise UserError(
            "rerun must be false in a search, which makes use of the runs that it finds, got true\n"
            "remove a run's folder to have it tried again, or search in another study"
        )


def _check_measured(candidates: Sequence[Candidate], objectives: Sequence[Metric]) -> None:
    accelerator = candidates[0].run.request.hardware.accelerator
    if accelerator != "cuda" and any(one.name == "peak_mb" for one in objectives):
        raise UserError(
            f"objective cannot be memory/peak_mb: it is measured on CUDA, and this is {accelerator}"
        )


def _check_speed(
    candidates: Sequence[Candidate], objectives: Sequence[Metric], executor: Executor
) -> None:
    """Refuse an objective of speed where runs share a machine."""
    speed = next((one.tag for one in objectives if one.is_speed), None)
    if speed is None:
        return
    records = [one.run.record for one in candidates if one.run.record is not None]
    shared = sum(record.speed_is_shared for record in records)
    if executor.max_concurrent > 1:
        cause = f"{executor.max_concurrent} runs are trained at once"
    elif shared:
        cause = f"{shared} of the study's runs shared a machine"
    else:
        return
    raise UserError(
        f"objective cannot be {speed} where {cause}: they slow each other down\n"
        "add throughput=exclusive, which measures each again exclusively, or use summary/macs"
    )


def space_text(space: Space, candidates: Sequence[Candidate]) -> str:
    """Return the size of the space: `12 combinations are 10 variants, 3 of them impossible`."""
    impossible = sum(not one.is_possible for one in candidates)
    suffix = f", {impossible} of them impossible" if impossible else ""
    return (
        f"{counted(space.size, 'combination')} {'is' if space.size == 1 else 'are'}"
        f" {counted(len(candidates), 'variant')}{suffix}"
    )


def show_plan(
    candidates: Sequence[Candidate],
    objectives: Sequence[Metric],
    most: int,
    console: Console,
) -> None:
    """Print how many trials are known, how many are left, and how long these would take here.

    The time assumes the mean cost of the untried runs, as the sampler has not chosen yet.
    """
    known = known_trials(candidates, objectives)
    ids = {trial.candidate.id for trial in known}
    untried = [one.run for one in candidates if one.id not in ids]
    left = max(0, min(most - len(known), len(untried)))
    estimator = Estimator()
    estimator.measure(untried)
    seconds = left * statistics.mean(map(estimator.seconds, untried)) if untried else 0
    if known:
        print_line(console, f"{counted(len(known), 'trial')} known: {count_outcomes(known)}")
    if started(candidates):
        print_line(console, f"{len(started(candidates))} started before, which come first")
    time = f"about {clock(seconds)} on this machine"
    print_line(console, f"{counted(left, 'trial')} left, with trials={most}; {time}")
