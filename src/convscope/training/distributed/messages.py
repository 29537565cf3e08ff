"""What a command and the processes it starts tell each other: pickles, over stdin and stdout."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.runs.lock import Claim
from convscope.training.hardware import Hardware
from convscope.training.request import RemoteRequest


@dataclass(frozen=True)
class Part:
    """A rank's part in a run, to be trained."""

    remote: RemoteRequest
    hardware: Hardware
    rank: int
    size: int
    """How many ranks there are."""
    meeting: Path
    """A file that is not there yet, through which the ranks find each other."""
    claim: Claim | None
    """The command's, on the run's folder."""


@dataclass(frozen=True)
class Call:
    """A function to call there."""

    function: str
    """Its place, `package.module:name`: the command need not import what the function needs."""
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Shown:
    """The command's answer to `Logged`."""


Asked = Part | Call | Shown


@dataclass(frozen=True)
class Begun:
    """The first rank is about to train."""

    resumed_from_epoch: int
    headline: str


@dataclass(frozen=True)
class Logged:
    """A message that the first rank logs; it waits until the command has logged it."""

    record: logging.LogRecord


@dataclass(frozen=True)
class Ended:
    metrics: dict[str, float]
    """The summary's; those of the first rank count."""


@dataclass(frozen=True)
class Returned:
    value: Any
    """What a function returned."""


@dataclass(frozen=True)
class Failed:
    reason: str
    """What a UserError says; of another error its type and message."""
    explained: bool
    """Whether it was a UserError."""
    trace: str


Message = Begun | Logged | Ended | Returned | Failed
