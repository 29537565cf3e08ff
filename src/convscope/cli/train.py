"""The command `python scripts/train.py`: options, output and exit code.

Exit codes: 0 done, 1 a run failed, 2 bad input, 128 + n ended by signal n.
"""

from __future__ import annotations

import filecmp
import os
import re
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from hydra import version
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from convscope.cli.common import typed_command
from convscope.config.compose import CONFIG_NAME, config_dir, register_schema
from convscope.config.errors import check_overrides, check_sweeper, user_errors
from convscope.errors import UserError, interrupted_code
from convscope.latency.command import train_one
from convscope.runs.record import RunRecord
from convscope.streams import BAD_INPUT, CANNOT_WRITE, command_streams, print_error
from convscope.tables import new_console
from convscope.training.show import show_run
from convscope.training.signals import Interrupted

if TYPE_CHECKING:
    from convscope.sweep.executors.executor import Executor

FAILED = 1
_HYDRA_KEY = re.compile(r"[+~]*(hydra(?!/sweeper=|[./]launcher\b)(?:[./@][^=]*)?)(?==|$)")


def main() -> None:
    """Run `python scripts/train.py`: train one variant, or with -m a grid of them."""
    with command_streams() as out:
        try:
            _train()
        except _Trained:
            raise
        except SystemExit as end:
            sys.stdout.flush()
            if not end.code and out is not None and out.error is not None:
                # Help, a config or a plan was to be printed, and could not be.
                sys.exit(CANNOT_WRITE)
            raise


class _Trained(SystemExit):
    """An exit code that shows how the runs ended, whether or not the output could be printed."""


def _train() -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # `user_errors` formats errors, not Hydra.
    register_schema()
    version.setbase("1.3")
    try:
        parser = get_args_parser()
        arguments = _parse(parser, sys.argv[1:])
        # In place of hydra.main, which does not accept options between overrides.
        with user_errors(sys.argv[1:]):
            _run_hydra(arguments, parser, _run_job, str(config_dir()), CONFIG_NAME)
    except UserError as error:
        _refuse(error)
    except KeyboardInterrupt as stop:
        sys.exit(interrupted_code(stop))
    except Interrupted as stop:
        sys.exit(128 + stop.signum)


def _parse(parser: ArgumentParser, typed: Sequence[str]) -> Namespace:
    """Parse options and overrides, in any order.

    Raises:
        UserError: unknown options, and those with which Hydra would write files.
    """
    parser.error = _unknown_option  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(list(typed))
    for option in ("config_name", "config_path", "experimental_rerun"):
        if getattr(arguments, option) is not None:
            raise UserError(
                f"--{option.replace('_', '-')} cannot be used here\n"
                "put configs of your own below a folder given as --config-dir"
            )
    if arguments.config_dir is not None:
        _check_presets(Path(arguments.config_dir))
    check_overrides(arguments.overrides)
    check_sweeper(arguments.overrides)
    for override in arguments.overrides:
        key = _HYDRA_KEY.match(override)
        if key:
            raise UserError(
                f"{key[1]} cannot be set: of Hydra's own keys only hydra/sweeper and the"
                " launcher's can"
            )
    return arguments


def _check_presets(folder: Path) -> None:
    """Raise UserError for a file that Hydra would ignore in favour of ours of the same name."""
    for ours in config_dir().rglob("*.yaml"):
        theirs = folder / ours.relative_to(config_dir())
        if theirs.is_file() and not filecmp.cmp(ours, theirs, shallow=False):
            raise UserError(
                f"{theirs} has the name of one of ConvScope's own configs, which would be taken\n"
                "give it a name of its own"
            )


def _unknown_option(message: str) -> NoReturn:
    raise UserError(f"{message}\nwrite values as KEY=VALUE, such as conv.stride=2: see --help")


def _refuse(error: UserError) -> NoReturn:
    print_error(error)
    sys.exit(BAD_INPUT)


def _run_job(config: DictConfig) -> None:
    hydra_config = cast(DictConfig, HydraConfig.get())
    # Not resolved: interpolations are resolved when the config is composed.
    typed = OmegaConf.to_container(hydra_config.overrides.task, resolve=False)
    overrides = cast(list[str], typed)
    try:
        sweeper = hydra_config.runtime.choices["hydra/sweeper"]
        if sweeper != "convscope":
            raise UserError(f"hydra/sweeper={sweeper} is for many runs: add -m")
        if config.plan or config.repeat != 1 or config.tune is not None:
            run_sweep([overrides], hydra_config)
        launcher = launcher_choice(hydra_config)
        if launcher != "basic":
            raise UserError(f"hydra/launcher={launcher} is for many runs: add -m, or repeat=N")
        record = train_one(overrides)
    except UserError as error:
        # Not in `_train`, because Hydra would print a line of its own first.
        _refuse(error)
    except Interrupted as stop:
        sys.exit(128 + stop.signum)
    show_run(record, new_console())
    raise _Trained(exit_code([record]))


def run_sweep(jobs: Sequence[Sequence[str]], hydra_config: DictConfig) -> NoReturn:
    """Train a sweep's jobs and exit.

    Args:
        jobs: the overrides of each job.
        hydra_config: names the launcher and has its options.

    Raises:
        UserError: bad input in any job, before the first one starts.
    """
    # Imported here, because a single run does not need it.
    from convscope.sweep.command import sweep

    _run_many(partial(sweep, jobs), hydra_config)


def run_search(
    fixed: Sequence[str], swept: Mapping[str, Sequence[str]], hydra_config: DictConfig
) -> NoReturn:
    """Search among the values of each swept key, and exit.

    Args:
        fixed: overrides of all runs.
        swept: the values to choose from, by key.
        hydra_config: names the launcher and has its options.

    Raises:
        UserError: bad input, or Optuna is not installed.
    """
    from convscope.sweep.search.command import search

    _run_many(partial(search, fixed, swept), hydra_config)


def _run_many(
    train: Callable[[Executor, str], Sequence[RunRecord]],
    hydra_config: DictConfig,
) -> NoReturn:
    from convscope.sweep.executors.choice import make_executor

    options = cast(dict[str, Any], OmegaConf.to_container(hydra_config.launcher, resolve=True))
    executor = make_executor(launcher_choice(hydra_config), options)
    try:
        records = train(executor, typed_command("train"))
    finally:
        executor.close()
    raise _Trained(exit_code(records)) if records else SystemExit(0)


def launcher_choice(hydra_config: DictConfig) -> str:
    """Return the value of `hydra/launcher`, which names an executor."""
    return str(hydra_config.runtime.choices["hydra/launcher"])


def exit_code(records: Sequence[RunRecord]) -> int:
    """Return 0 if all runs are done, 1 if one failed, 128 + n if signal n ended one."""
    for record in records:
        reason = record.reason or ""
        if record.status == "interrupted" and reason in signal.Signals.__members__:
            return 128 + signal.Signals[reason]
    return FAILED if any(record.status in ("failed", "interrupted") for record in records) else 0
