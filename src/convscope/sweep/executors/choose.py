"""The launcher that a command names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from convscope.config.errors import LAUNCHER, unknown_option
from convscope.errors import UserError
from convscope.sweep.executors.launcher import Launcher

Options = Mapping[str, Any]


def make_launcher(choice: str, options: Options) -> Launcher:
    """Hydra's choice of `hydra/launcher`, with its node as options.

    Raises:
        UserError: a launcher that there is not, that is not installed, or that lacks what is asked.
    """
    if choice not in _MAKERS:
        raise UserError(f"hydra/launcher must be one of {', '.join(_MAKERS)}, got {choice}")
    return _MAKERS[choice](options)


# What each imports, it imports here: an engine need not be installed where another is used.


def _serial(options: Options) -> Launcher:
    from convscope.sweep.executors.serial import SerialLauncher

    for key in options:
        if key != "_target_":
            raise UserError(unknown_option(f"{LAUNCHER}{key}", ()))
    return SerialLauncher()


def _ray(options: Options) -> Launcher:
    _check_installed("ray", package="ray", extra="ray")
    from convscope.sweep.executors.engine import EngineLauncher
    from convscope.sweep.executors.options import RayOptions, checked_options
    from convscope.sweep.executors.ray import RayEngine

    checked = checked_options(RayOptions, options)
    return EngineLauncher(RayEngine(checked), checked.max_retries)


def _submitit_local(options: Options) -> Launcher:
    _check_installed("submitit_local", package="submitit", extra="slurm")
    from convscope.sweep.executors.engine import EngineLauncher
    from convscope.sweep.executors.options import LocalOptions, checked_options
    from convscope.sweep.executors.submitit import SubmititEngine
    from convscope.sweep.executors.submitit_local import LocalCluster

    checked = checked_options(LocalOptions, options)
    return EngineLauncher(SubmititEngine(LocalCluster(checked)), checked.max_retries)


def _submitit_slurm(options: Options) -> Launcher:
    _check_installed("submitit_slurm", package="submitit", extra="slurm")
    from convscope.sweep.executors.engine import EngineLauncher
    from convscope.sweep.executors.options import SlurmOptions, checked_options
    from convscope.sweep.executors.submitit import SubmititEngine
    from convscope.sweep.executors.submitit_slurm import SlurmCluster

    checked = checked_options(SlurmOptions, options)
    cluster = SlurmCluster(checked)
    return EngineLauncher(SubmititEngine(cluster), checked.max_retries)


def _check_installed(choice: str, package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise UserError(
            f"hydra/launcher={choice} needs {package}\n"
            f"install it with: pip install 'convscope[{extra}]'"
        )


_MAKERS = {
    "basic": _serial,
    "ray": _ray,
    "submitit_local": _submitit_local,
    "submitit_slurm": _submitit_slurm,
}
