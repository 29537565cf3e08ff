"""The executor of `hydra/launcher` and its options; `configs/hydra/launcher/` has the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Annotated, Any, TypeVar, cast

from msgspec import Meta
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from convscope.config.errors import LAUNCHER, unknown_option
from convscope.config.schema import FOLDER, check_fields
from convscope.errors import UserError
from convscope.sweep.executors.executor import Executor
from convscope.sweep.executors.serial import SerialExecutor

Options = TypeVar("Options")


@dataclass
class RayOptions:
    """Tasks of Ray, on this machine or on a cluster."""

    num_cpus: Annotated[int, Meta(ge=1)]
    """CPUs of each run, and the threads that it computes with."""
    num_gpus: Annotated[float, Meta(ge=0)]
    """GPUs of each run; a share, 0.25 say, lets several small networks use one."""
    max_retries: Annotated[int, Meta(ge=0)]
    """Retries of a run whose process was killed or ran out of memory."""
    init: dict[str, Any]
    """Arguments of `ray.init`, null for its default; address is local, auto or host:port."""

    @property
    def init_arguments(self) -> dict[str, Any]:
        """Arguments of `ray.init` that are set."""
        return {name: value for name, value in self.init.items() if value is not None}


@dataclass
class LocalOptions:
    """Processes of this machine."""

    cpus_per_task: Annotated[int, Meta(ge=1)]
    """CPUs of each run, and the threads that it computes with."""
    max_retries: Annotated[int, Meta(ge=0)]
    """Retries of a run whose process died."""
    folder: Annotated[str, FOLDER]
    """Folder for what each process prints."""


@dataclass
class SlurmOptions:
    """Jobs in SLURM's queue."""

    cpus_per_task: Annotated[int, Meta(ge=1)]
    """CPUs of each run, and the threads that it computes with."""
    gpus_per_node: Annotated[int, Meta(ge=0)]
    """GPUs of each run."""
    timeout_min: Annotated[int, Meta(ge=1)]
    """Minutes after which a job is queued again, to resume from its last finished epoch."""
    max_retries: Annotated[int, Meta(ge=0)]
    """Retries of a run whose job died."""
    at_once: Annotated[int, Meta(ge=1)]
    """Jobs in the queue at a time."""
    partition: str | None
    """Partition; null is the cluster's default."""
    additional_parameters: dict[str, Any] | None
    """Other parameters of sbatch, such as {account: vision}."""
    folder: Annotated[str, FOLDER]
    """Folder for the jobs and what they print, on a disk that all nodes share."""


@dataclass(frozen=True)
class _Choice:
    """An executor's class (`module:class` in this package), its options, and what it needs.

    Args:
        executor: class that is constructed with the options.
        options: their type.
        package: package that must be installed.
        extra: ConvScope's extra that installs it.
    """

    executor: str
    options: type[Any]
    package: str
    extra: str


_CHOICES = {
    "ray": _Choice("ray:RayExecutor", RayOptions, "ray", "ray"),
    "submitit_local": _Choice("submitit:LocalExecutor", LocalOptions, "submitit", "slurm"),
    "submitit_slurm": _Choice("submitit:SlurmExecutor", SlurmOptions, "submitit", "slurm"),
}


def make_executor(name: str, node: Mapping[str, Any]) -> Executor:
    """Make an executor.

    Args:
        name: choice of `hydra/launcher`.
        node: Hydra's config node of that choice, which has the options.

    Raises:
        UserError: the executor is unknown or not installed, or an option is invalid.
    """
    if name == "basic":
        for key in node:
            if key != "_target_":
                raise UserError(unknown_option(f"{LAUNCHER}{key}", ()))
        return SerialExecutor()
    if name not in _CHOICES:
        known = ", ".join(("basic", *_CHOICES))
        raise UserError(f"hydra/launcher must be one of {known}, got {name}")
    choice = _CHOICES[name]
    if find_spec(choice.package) is None:
        raise UserError(
            f"hydra/launcher={name} needs {choice.package}\n"
            f"install it with: pip install 'convscope[{choice.extra}]'"
        )
    options: Any = checked_options(choice.options, node)
    # By name: the packages of other executors need not be installed.
    make = resolve_name(f"convscope.sweep.executors.{choice.executor}")
    return cast(Executor, make(options))


def checked_options(kind: type[Options], node: Mapping[str, Any]) -> Options:
    """Return Hydra's node as options, with types and ranges checked.

    Args:
        kind: dataclass of the options.
        node: Hydra's config node.

    Raises:
        UserError: an unknown key, or a value of the wrong type or out of range.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in node:
        if key not in known:
            raise UserError(unknown_option(f"{LAUNCHER}{key}", known))
    values = OmegaConf.structured(kind)
    for key, value in node.items():
        try:
            OmegaConf.update(values, key, value)
        except OmegaConfBaseException as error:
            raise UserError(f"{LAUNCHER}{key}: {str(error).splitlines()[0]}") from error
    options = cast(Options, OmegaConf.to_object(values))
    check_fields(options, {}, LAUNCHER)
    return options
