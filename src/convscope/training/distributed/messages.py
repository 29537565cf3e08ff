"""Messages between a command and its worker processes: pickles, over stdin and stdout."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.runs.lock import Claim
from convscope.training.hardware import Hardware
from convscope.training.request import RemoteRequest


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker, one rank of a run, is to train."""

    remote: RemoteRequest
    hardware: Hardware
    rank: int
    world_size: int
    rendezvous_file: Path
    """Path of a file that does not exist yet, through which the ranks find each other."""
    claim: Claim | None
    """The command's, on the run's folder."""


@dataclass(frozen=True)
class Call:
    """A function that the worker is to call."""

    function: str
    """`package.module:name`: the command need not import what the function needs."""
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Acknowledged:
    """The command's answer to `LogRecord`."""


Instruction = WorkerSpec | Call | Acknowledged


@dataclass(frozen=True)
class Started:
    """The first rank is about to train."""

    resumed_from_epoch: int
    headline: str


@dataclass(frozen=True)
class LogRecord:
    """A message that the first rank logs; it waits until the command has logged it."""

    record: logging.LogRecord


@dataclass(frozen=True)
class Finished:
    """A rank has trained its part."""

    metrics: dict[str, float]
    """The summary's; those of the first rank count."""
    pruned: str | None = None
    """Why the run was ended in favour of others; None if it was not."""


@dataclass(frozen=True)
class Returned:
    """A called function has returned."""

    value: Any
    """What a function returned."""


@dataclass(frozen=True)
class Failed:
    """A rank, or a called function, has raised an error."""

    reason: str
    """What a UserError says; of another error its type and message."""
    explained: bool
    """Whether it was a UserError."""
    trace: str


Message = Started | LogRecord | Finished | Returned | Failed
