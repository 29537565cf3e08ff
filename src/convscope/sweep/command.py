"""The sweep command: plan the runs, train them in rounds, re-measure their speed, report."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Sequence

from convscope.config.schema import AUTO, TrainConfig, budget_seconds
from convscope.errors import UserError
from convscope.latency.command import with_latency
from convscope.runs.record import RunRecord
from convscope.runs.study import read_study
from convscope.runs.tuning import is_trial
from convscope.sweep.executors.executor import Executor
from convscope.sweep.plan import PlannedRun, cheap_first, studies_of
from convscope.sweep.plan_table import show_plan
from convscope.sweep.rounds import EveryRun, Records, Rounds, Strategy, Survivors
from convscope.sweep.settle import Settle, check_settling
from convscope.sweep.train_all import remeasure_all, train_all
from convscope.sweep.tuning import Tuned, check_tuning
from convscope.tables import RESUME, new_console, print_line, tensorboard_command
from convscope.text import counted
from convscope.training.diagnose import with_diagnostics
from convscope.training.request import RunRequest
from convscope.training.resolve import RunResolver, refuse_search
from convscope.training.signals import Interrupted
from convscope.variant import Variant

log = logging.getLogger(__name__)


def sweep(jobs: Sequence[Sequence[str]], executor: Executor, command: str) -> list[RunRecord]:
    """Train every distinct run of a sweep and print their comparison, or only print the plan.

    Args:
        jobs: overrides of each job.
        executor: trains the runs.
        command: the command line that the user typed.

    Returns:
        A record per run that ended, without trials of tuning that finished or failed; none with
        `plan=true`.

    Raises:
        UserError: bad input in any job, before the first run starts.
        Interrupted: a signal came while speed was re-measured.
    """
    if not jobs:
        raise UserError("the sweep has no jobs: nothing matches its glob")
    # All jobs set the same keys.
    refuse_search(jobs[0])
    resolver = RunResolver(executor.hardware, executor.in_process)
    checked = resolver.prepare(jobs, unmatched_too=True)
    check_settling([one.config for one in checked])
    check_tuning([one.config for one in checked])
    for one in checked:
        check_devices(one.config)
        check_latency(one.config, executor)
    requests = [resolver.request(one) for one in checked]
    different = len({request.id for request in requests})
    if different < len(requests):
        log.info(f"{len(requests)} jobs are {different} different runs")
    console = new_console()
    config = checked[0].config
    strategy = _strategy(checked, requests, resolver)
    rounds = Rounds(strategy)
    if config.plan:
        seconds = show_plan(rounds.planned(), console)
        if note := strategy.plan_note(rounds.records, seconds):
            print_line(console, note)
        return []
    log_unreadable(requests)
    by_id = _trained(rounds, executor, config)
    for line in strategy.conclusion(by_id):
        log.info(line)
    is_stopped = any(record.status == "interrupted" for record in by_id.values())
    # What trials measure besides their validation accuracy is of no interest.
    trials = [record for record in by_id.values() if is_trial(record)]
    runs = [run for run in rounds.runs.values() if not run.request.notes]
    results = {run.request.id: by_id[run.request.id] for run in runs if run.request.id in by_id}
    if config.throughput == "exclusive" and not is_stopped:
        results |= _remeasured(runs, results, executor)
    records = list(results.values())
    if executor.is_local and not is_stopped:
        # Of runs that were finished before.
        records = with_diagnostics(records, config.diagnostics)
    if config.latency and not is_stopped:
        records = with_latency(records)
    if records:
        # Imports pandas, which would delay the first run.
        from convscope.report.commands import show_comparison, write_reports

        show_comparison([*trials, *records], console)
    if is_stopped:
        log.info(f"the sweep was stopped; {RESUME}")
    elif config.fail_fast and any(record.status == "failed" for record in records):
        log.info(
            "the sweep ended at its first failed run (fail_fast=true); the same command goes on"
        )
    elif any(record.speed_is_shared for record in records):
        log.info(
            "samples/s were measured while other runs shared this machine: the same command with"
            " throughput=exclusive measures each again exclusively"
        )
    print_line(console)
    print_line(console, tensorboard_command([*records, *trials][0]))
    if records:
        write_reports(studies_of(runs), command, console)
    return [*records, *(trial for trial in trials if trial.status == "interrupted")]


def _strategy(
    variants: Sequence[Variant], requests: Sequence[RunRequest], resolver: RunResolver
) -> Strategy:
    """Return what decides which runs are trained: `tune`, `repeat=auto`, `prune`, or all runs."""
    config = variants[0].config
    if config.tune is not None:
        return Tuned(variants, requests, resolver)
    if config.repeat == AUTO:
        return Settle(requests)
    return Survivors(requests) if config.prune else EveryRun(requests)


def check_devices(config: TrainConfig) -> None:
    """Refuse several devices per run: one device for each of several runs trains them sooner.

    Raises:
        UserError: a run of a sweep or a search has several devices.
    """
    devices = config.trainer.devices
    if devices > 1:
        raise UserError(
            f"trainer.devices must be 1 in a sweep, got {devices}: several devices train its runs"
            " sooner side by side, one on each (hydra/launcher=ray)"
        )


def check_latency(config: TrainConfig, executor: Executor) -> None:
    """Refuse to measure the latency of runs that are trained on other machines.

    Raises:
        UserError: it is asked for, and the executor is not on this machine.
    """
    if config.latency and not executor.is_local:
        raise UserError(
            "latency must be false where other machines train: it is measured on this one\n"
            "type python scripts/compare.py STUDY --latency on a machine that is to be measured"
        )


def log_unreadable(requests: Sequence[RunRequest]) -> None:
    """Log the unreadable runs of the studies that these runs belong to."""
    for study in {request.directory.path.parent for request in requests}:
        for one in read_study(study)[1] if study.is_dir() else []:
            log.info(f"skipped, unreadable: {one.reason}")


def _trained(rounds: Rounds, executor: Executor, config: TrainConfig) -> Records:
    """Train round after round, until nothing more is wanted or the sweep is stopped."""
    ends = {"interrupted", "failed"} if config.fail_fast else {"interrupted"}
    deadline = time.perf_counter() + budget_seconds(config)
    while left := rounds.next_round():
        ordered = cheap_first(left, executor.max_concurrent)
        ended = {}
        if time.perf_counter() < deadline:
            ended = train_all(ordered, executor, config.fail_fast, deadline)
        rounds.add(ended)
        if any(record.status in ends for record in ended.values()):
            break
        if missing := len(ordered) - len(ended):
            log.info(
                f"budget={config.budget} is used up, {counted(missing, 'run')} before the next"
                " look; the same command goes on"
            )
            break
    return rounds.records


def _remeasured(runs: Sequence[PlannedRun], by_id: Records, executor: Executor) -> Records:
    shared = {
        key
        for key, record in by_id.items()
        if record.status == "finished" and record.speed_is_shared
    }
    if not shared:
        return {}
    again = [run for run in runs if run.request.id in shared]
    measured = remeasure_all(again, executor)
    for record in measured.values():
        if record.status == "interrupted" and record.reason is not None:
            raise Interrupted(signal.Signals[record.reason])
    return {key: record for key, record in measured.items() if record.status == "finished"}
