"""What a search does from its values to its report: propose, train, tell, show what was found."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console

from convscope.config.compose import compose_config
from convscope.config.errors import key_of
from convscope.config.schema import TrainConfig
from convscope.errors import UserError
from convscope.metrics import Metric
from convscope.runs.record import RunRecord
from convscope.sweep.command import check_devices, tell_unreadable
from convscope.sweep.estimate import Estimator
from convscope.sweep.executors.executor import Executor
from convscope.sweep.plan import studies_of
from convscope.sweep.progress import clock
from convscope.sweep.search.loop import Search
from convscope.sweep.search.space import Candidate, Space, candidates_of, space_of
from convscope.sweep.search.trials import (
    Trial,
    begun,
    best,
    known_trials,
    objectives_of,
    outcomes,
    values_text,
)
from convscope.tables import RESUME, new_console, print_line, print_list, tensorboard_command
from convscope.text import counted
from convscope.training.resolve import OF_A_SEARCH, RunResolver

log = logging.getLogger(__name__)


def search(
    fixed: Sequence[str],
    swept: Mapping[str, Sequence[str]],
    executor: Executor,
    command: str,
) -> list[RunRecord]:
    """Try variants until `trials` are known, and show what was found; or, with plan, what is left.

    Args:
        fixed: the overrides that all variants share, and those of the search itself.
        swept: key to the values among which is chosen, as typed.
        executor: what trains the runs.
        command: what the user typed.

    Returns:
        A record per trial, and that of the run that a signal ended; none with plan.

    Raises:
        UserError: bad input, before the first run starts, or Optuna is not installed.
    """
    space, config, objectives = _asked(fixed, swept)
    # Here: what is mistyped need not wait for Optuna.
    from convscope.sweep.search.sampler import Sampler

    sampler = Sampler(space, objectives, config.seed)
    resolver = RunResolver(executor.hardware, executor.in_process)
    candidates = candidates_of(space, _of_runs(fixed), resolver)
    log.info(space_text(space, candidates))
    _check_measured(candidates, objectives)
    console = new_console()
    if config.plan:
        show_plan(candidates, objectives, config.trials, console)
        return []
    runs = [candidate.run for candidate in candidates]
    tell_unreadable(runs)
    exclusive = config.throughput == "exclusive"
    if not exclusive:
        _check_speed(candidates, objectives, executor)
    most = min(config.trials, len(candidates))
    found = Search(candidates, objectives, sampler, executor, most, exclusive)
    if found.trials:
        log.info(f"{len(found.trials)} of {most} trials are known already")
    found.run()
    records = _records(found)
    # Here: pandas, for which the first run need not wait.
    from convscope.report.commands import show_comparison, write_reports

    show_comparison(records, console)
    show_found(found.trials, objectives, console)
    _tell_end(found)
    print_line(console)
    print_line(console, tensorboard_command(records[0]))
    write_reports(studies_of(runs), command, console)
    return records


def _asked(
    fixed: Sequence[str], swept: Mapping[str, Sequence[str]]
) -> tuple[Space, TrainConfig, tuple[Metric, ...]]:
    # With a value each: a key that is none is answered as elsewhere.
    first = [f"{key}={value}" for key, values in swept.items() for value in values[:1]]
    config = compose_config([*fixed, *first])
    space, objectives = space_of(swept), objectives_of(config.objective)
    check_devices(config)
    _check(config)
    return space, config, objectives


def _of_runs(fixed: Sequence[str]) -> list[str]:
    """Return the overrides without those of the search, which a run's own command cannot have."""
    return [word for word in fixed if key_of(word) not in OF_A_SEARCH]


def _check(config: TrainConfig) -> None:
    if config.repeat != 1:
        raise UserError(
            f"repeat must be 1 in a search, got {config.repeat}\n"
            "search with one seed, then sweep the best variants with repeat=5"
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
    """Refuse to compare speeds that were measured while runs shared a machine."""
    speed = next((one.tag for one in objectives if one.is_speed), None)
    if speed is None:
        return
    records = [one.run.record for one in candidates if one.run.record is not None]
    shared = sum(record.speed_is_shared for record in records)
    if executor.max_concurrent > 1:
        who = f"{executor.max_concurrent} runs are trained at once"
    elif shared:
        who = f"{shared} of the study's runs shared a machine"
    else:
        return
    raise UserError(
        f"objective cannot be {speed} where {who}: they slow each other down\n"
        "add throughput=exclusive, which measures each again exclusively, or use summary/macs"
    )


def _records(found: Search) -> list[RunRecord]:
    records = [trial.record for trial in found.trials]
    return records if found.interrupted is None else [*records, found.interrupted]


def _tell_end(found: Search) -> None:
    if found.interrupted is not None:
        log.info(f"the search was stopped; {RESUME}")
    elif not found.unseen:
        log.info("every variant of the space has been tried")


def space_text(space: Space, candidates: Sequence[Candidate]) -> str:
    """`12 combinations are 10 variants, 3 of them impossible`."""
    impossible = sum(not one.is_possible for one in candidates)
    of_them = f", {impossible} of them impossible" if impossible else ""
    return (
        f"{counted(space.size, 'combination')} {'is' if space.size == 1 else 'are'}"
        f" {counted(len(candidates), 'variant')}{of_them}"
    )


def show_plan(
    candidates: Sequence[Candidate],
    objectives: Sequence[Metric],
    most: int,
    console: Console,
) -> None:
    """Print how many trials are known, how many are left, and how long these would take here.

    Which they will be is not known: the time is that of as many runs of the space's average.
    """
    known = known_trials(candidates, objectives)
    ids = {trial.candidate.id for trial in known}
    rest = [one for one in candidates if one.id not in ids]
    left = max(0, min(most - len(known), len(rest)))
    estimator = Estimator()
    estimator.measure(one.run for one in rest)
    seconds = left * statistics.mean(estimator.seconds(one.run) for one in rest) if rest else 0
    if known:
        print_line(console, f"{counted(len(known), 'trial')} known: {outcomes(known)}")
    if begun(candidates):
        print_line(console, f"{len(begun(candidates))} begun, which come first")
    time = f"about {clock(seconds)} on this machine"
    print_line(console, f"{counted(left, 'trial')} left, with trials={most}; {time}")


def show_found(trials: Sequence[Trial], objectives: Sequence[Metric], console: Console) -> None:
    """Print the best variant, or with several objectives the Pareto front, best first."""
    measured = [trial for trial in trials if trial.values is not None]
    tags = " and ".join(objective.tag for objective in objectives)
    what = "Best" if len(objectives) == 1 else "Pareto front"
    heading = f"{what} by {tags}, of {counted(len(measured), 'variant')} measured:"
    print_list(
        console,
        heading,
        [
            f"{trial.record.variant}: {values_text(trial.values or (), objectives)}"
            for trial in best(measured, objectives)
        ],
    )
