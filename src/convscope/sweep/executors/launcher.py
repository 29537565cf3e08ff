"""What a sweep, or a search, asks of whatever trains its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from convscope.config.schema import TrainerConfig
    from convscope.runs.record import RunRecord
    from convscope.sweep.plan import PlannedRun
    from convscope.training.hardware import Hardware


class Launcher(Protocol):
    """Takes runs on, and gives each back when it has ended."""

    @property
    def at_once(self) -> int:
        """Runs that are trained side by side."""

    @property
    def is_here(self) -> bool:
        """Whether runs are trained one by one on this machine."""

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        """What runs are computed on, where they are trained; it is part of their identity.

        Raises:
            UserError: a device that is not there.
        """

    def start(self, run: PlannedRun, alone: bool = False) -> None:
        """Take a run on; it need not begin now.

        Args:
            alone: measure the speed of a finished run again, with nothing beside it on its machine.
        """

    def next_ended(self) -> tuple[PlannedRun, RunRecord | None]:
        """Wait until a run has ended that was taken on.

        Returns:
            the run and its record, `interrupted` where somebody wants all of it to end; None where
            another process trains it.

        Raises:
            UserError: what is written cannot be: no other run could write either.
        """

    def cancel(self) -> None:
        """End what still trains, so that it can be resumed."""

    def close(self) -> None:
        """End what still trains, so that it can be resumed, and let go of the engine."""
