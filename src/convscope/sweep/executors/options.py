"""What can be set of each launcher, as hydra.launcher.KEY; `configs/hydra/launcher/` has values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar, cast

from msgspec import Meta
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from convscope.config.errors import LAUNCHER, unknown_option
from convscope.config.schema import FOLDER, check_fields
from convscope.errors import UserError

Options = TypeVar("Options")


@dataclass
class RayOptions:
    num_cpus: Annotated[int, Meta(ge=1)]
    """CPUs of each run, and the threads that it computes with."""
    num_gpus: Annotated[float, Meta(ge=0)]
    """GPUs of each run; a share, 0.25 say, lets several small networks use one."""
    max_retries: Annotated[int, Meta(ge=0)]
    """Times that a run is started again whose process was killed or ran out of memory."""
    init: dict[str, Any]
    """Arguments of `ray.init`, null for its default; address is local, auto or host:port."""

    @property
    def init_arguments(self) -> dict[str, Any]:
        return {name: value for name, value in self.init.items() if value is not None}


@dataclass
class LocalOptions:
    cpus_per_task: Annotated[int, Meta(ge=1)]
    """CPUs of each run, and the threads that it computes with."""
    max_retries: Annotated[int, Meta(ge=0)]
    """Times that a run is started again whose process died."""
    folder: Annotated[str, FOLDER]
    """Folder for what each process prints."""


@dataclass
class SlurmOptions:
    cpus_per_task: Annotated[int, Meta(ge=1)]
    """CPUs of each run, and the threads that it computes with."""
    gpus_per_node: Annotated[int, Meta(ge=0)]
    """GPUs of each run."""
    timeout_min: Annotated[int, Meta(ge=1)]
    """Minutes after which a job is queued again, to resume from its last finished epoch."""
    max_retries: Annotated[int, Meta(ge=0)]
    """Times that a run is submitted again whose job died."""
    at_once: Annotated[int, Meta(ge=1)]
    """Jobs that are in the queue at a time."""
    partition: str | None
    """Partition; null is the cluster's default."""
    additional_parameters: dict[str, Any] | None
    """Whatever else sbatch takes, such as {account: vision}."""
    folder: Annotated[str, FOLDER]
    """Folder for the jobs and what they print, on a disk that all nodes share."""


def checked_options(kind: type[Options], node: Mapping[str, Any]) -> Options:
    """Hydra's node as options, each held to its type and range.

    Raises:
        UserError: names the key, the rule and the value.
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
