"""What a run's command and its ranks tell each other: pickles, over the ranks' stdin and stdout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convscope.ranks import Ranks
from convscope.runs.lock import Claim
from convscope.training.hardware import Hardware
from convscope.training.request import HandedRequest


@dataclass(frozen=True)
class Part:
    """A rank's part in a run: the first thing it reads."""

    handed: HandedRequest
    hardware: Hardware
    ranks: Ranks
    meeting: Path
    """A file that is not there yet, through which the ranks find each other."""
    claim: Claim | None
    """The command's, on the run's folder."""


@dataclass(frozen=True)
class Begun:
    """The first rank is about to train."""

    resumed_from_epoch: int
    headline: str


@dataclass(frozen=True)
class Line:
    """For the person at the terminal; the first rank waits until it has been shown."""

    text: str


SHOWN = b"\n"
"""The command's answer to a line."""


@dataclass(frozen=True)
class Ended:
    metrics: dict[str, float]
    """The summary's; those of the first rank count."""


@dataclass(frozen=True)
class Failed:
    reason: str
    """What a UserError says; of another error its type and message."""
    explained: bool
    """Whether it was a UserError."""
    trace: str


Message = Begun | Line | Ended | Failed
