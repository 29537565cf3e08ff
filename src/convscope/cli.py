"""The command line: runs what was asked for, prints what came of it, sets the exit code.

Exit codes: 0 done, 1 a run failed, 2 bad input, 128 + n ended by signal n.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from convscope.compose import (
    CONFIG_NAME,
    config_dir,
    register_schema,
)
from convscope.errors import UserError
from convscope.jobs import Resolver, train_one
from convscope.mistakes import check_choices, explain, is_explained
from convscope.runs.record import RunRecord
from convscope.runs.study import read_study
from convscope.tables import (
    count,
    layer_table,
    new_console,
    percent,
    print_table,
)

if TYPE_CHECKING:
    from convscope.sweep.plan import PlannedRun

FAILED, BAD_INPUT = 1, 2
_RESUME = "the same command resumes it"
_HYDRA_KEY = re.compile(r"[+~]*(hydra[./](?!launcher\b)[^=]*)")
_BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def train() -> None:
    """`python scripts/train.py`: train one variant, or with -m a grid of them."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Errors are explained below, not by Hydra.
    register_schema()
    main = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=CONFIG_NAME)(
        _run_job
    )
    try:
        _check_arguments()
        main()
    except UserError as error:
        _refuse(str(error))
    except BrokenPipeError:
        # The reader has seen enough. Python would try to write the rest as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        if not is_explained(error):
            raise
        _refuse(explain(error, sys.argv[1:]))


def _check_arguments() -> None:
    """Refuse in one line what Hydra would answer with its usage, or use to write files.

    Raises:
        UserError: an option that is none, or one of Hydra's that is not for a run.
    """
    parser = get_args_parser()
    parser.error = _unknown_option  # type: ignore[method-assign]
    arguments = parser.parse_args()
    for option in ("config_name", "config_path", "experimental_rerun"):
        if getattr(arguments, option) is not None:
            raise UserError(
                f"--{option.replace('_', '-')} cannot be used here\n"
                "put configs of your own below a folder given as --config-dir"
            )
    check_choices(arguments.overrides)
    for override in arguments.overrides:
        key = _HYDRA_KEY.match(override)
        if key:
            raise UserError(f"{key[1]} cannot be set: of Hydra's own keys only hydra/launcher can")


def _unknown_option(message: str) -> NoReturn:
    raise UserError(f"{message}\nwrite values as KEY=VALUE, such as conv.stride=2: see --help")


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _run_job(config: DictConfig) -> None:
    # As typed: an interpolation in a value is the config's to resolve, not this list's.
    typed = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    overrides = cast(list[str], typed)
    try:
        if config.plan or config.repeat != 1:
            run_sweep([overrides], _BASIC_LAUNCHER)
        record = train_one(overrides, _notify)
    except UserError as error:
        # Here rather than in `train`: Hydra would print a line of its own before.
        _refuse(str(error))
    print_run(record, new_console())
    sys.exit(exit_code([record]))


def run_sweep(jobs: Sequence[Sequence[str]], launcher: str) -> NoReturn:
    """Train every distinct run of a sweep, and print one table of them; or, with plan, say how.

    Args:
        jobs: overrides of each job.
        launcher: Hydra's launcher, of which there is one so far.

    Raises:
        UserError: bad input in any job, before the first one starts.
    """
    if not jobs:
        raise UserError("the sweep has no jobs: nothing matches its glob")
    if launcher != _BASIC_LAUNCHER:
        raise UserError(f"hydra/launcher must be basic, got {launcher.rpartition('.')[2]}")
    resolver = Resolver(_notify)
    checked = resolver.prepare(jobs)
    requests = [resolver.request(one) for one in checked]
    from convscope.sweep.plan import done_and_left, plan_runs

    runs = plan_runs(requests)
    if len(runs) < len(requests):
        _notify(f"{len(requests)} jobs are {len(runs)} different runs")
    console = new_console()
    if checked[0].config.plan:
        print_plan(runs, console)
        sys.exit(0)
    for study in {run.request.directory.path.parent for run in runs}:
        for aside in read_study(study)[1] if study.is_dir() else []:
            _notify(f"set aside: {aside.reason}")
    by_id, left = done_and_left(runs)
    if by_id:
        _notify(f"{len(by_id)} of {len(runs)} runs are done already")
    if left:
        # Here: Lightning takes seconds to import, and a finished sweep needs none of it.
        from convscope.sweep.order import cheap_first
        from convscope.sweep.serial import run_serially

        by_id |= run_serially(cheap_first(left), _notify)
    records = [by_id[run.request.id] for run in runs if run.request.id in by_id]
    print_comparison(records, console)
    if any(record.status == "interrupted" for record in records):
        _notify(f"the sweep was stopped; {_RESUME}")
    console.print(f"\n{_tensorboard(records[0])}", soft_wrap=True, highlight=False)
    written = (run.request.directory for run in runs if run.request.directory.record.exists())
    for study in dict.fromkeys(directory.path.parent for directory in written):
        _report(study, console)
    sys.exit(exit_code(records))


def _report(study: Path, console: Console) -> None:
    """Write what a sweep leaves for people; whatever fails here, the sweep's result stands."""
    from convscope.sweep.report import report_study

    try:
        page = report_study(study, shlex.join(["python", "scripts/train.py", *sys.argv[1:]]))
    except Exception as error:  # noqa: BLE001 (the runs are done, and their table is printed)
        _notify(f"{study} has no new report: {' '.join(str(error).split()) or repr(error)}")
    else:
        console.print(f"report: {page}", soft_wrap=True, markup=False, highlight=False)


def print_plan(runs: Sequence[PlannedRun], console: Console) -> None:
    """What a sweep would do: every run, how far it is, and what is left of it."""
    from convscope.sweep.estimate import Estimator
    from convscope.sweep.plan_table import plan_table, plan_words

    estimator = Estimator()
    print_table(plan_table(runs, estimator), console)
    for line in plan_words(runs, estimator):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def print_comparison(records: Sequence[RunRecord], console: Console) -> None:
    """What `compare.py` would show of these runs: a line per variant, over its seeds."""
    from convscope.compare.arguments import BEST_FIRST
    from convscope.compare.choose import chosen
    from convscope.compare.frame import row, tabulate
    from convscope.compare.page import show
    from convscope.compare.views import compared

    runs, _ = tabulate([row(record) for record in records])
    best_first = chosen(runs, None, BEST_FIRST, single=False)
    console.print()
    show(compared(best_first, single=False, width=console.width), console)


def exit_code(records: Sequence[RunRecord]) -> int:
    for record in records:
        if record.status == "interrupted":
            return 128 + signal.Signals[record.reason or "SIGINT"]
    return FAILED if any(record.status == "failed" for record in records) else 0


def print_run(record: RunRecord, console: Console) -> None:
    """What a person wants to see of a run that has ended: geometry, accuracy, speed, place."""
    if record.status == "failed":
        _notify(f"error: {record.name} failed: {record.reason}")
        return
    if record.status == "interrupted":
        _notify(f"{record.name} was stopped ({record.reason}); {_RESUME}")
        return
    console.print()
    print_table(layer_table(record.geometry), console)
    metrics = record.metrics
    console.print(
        f"\n{record.dataset['name']} {record.variant}:"
        f" test accuracy {percent(metrics.get('test_accuracy'))},"
        f" validation {percent(metrics.get('best_val_accuracy'))},"
        f" {count(metrics.get('train_samples_per_sec'))} samples/s,"
        f" {record.params:,} parameters, {record.macs:,} MACs",
        highlight=False,
        soft_wrap=True,
    )
    study = Path(record.config["output_dir"]) / record.study
    if (study / record.name).is_dir():
        console.print(
            f"{study / record.name}\n{_tensorboard(record)}", soft_wrap=True, highlight=False
        )


def _tensorboard(record: RunRecord) -> str:
    return f"tensorboard --logdir {shlex.quote(record.config['output_dir'])}"


def _notify(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
