"""ConvScope: what kernel size, stride and padding do to a CNN.

`train` and `load` import PyTorch when they are called, not before.
"""

from __future__ import annotations

from convscope.errors import UserError

# Defined here because importing `typing` would delay the handling of Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from convscope.inference import TrainedVariant
    from convscope.runs.record import RunRecord

__all__ = ["UserError", "load", "train"]


def train(*overrides: str) -> RunRecord:
    """Train one variant as `python scripts/train.py` does, and return its record.

    A failed or interrupted run also returns a record; check its `status` and `reason`.

    Args:
        overrides: as on the command line: `train("conv.stride=2", "data=mnist")`.

    Raises:
        UserError: bad input, an impossible variant, or unavailable data.
    """
    from convscope.latency.command import train_one
    from convscope.streams import guarded_streams, log_to_terminal

    with guarded_streams(), log_to_terminal(print):
        return train_one(overrides)


def load(run: str | Path | RunRecord, output_dir: str | Path = "outputs") -> TrainedVariant:
    """Load the trained network of a finished run, with its preprocessing.

    Args:
        run: a record, a run's folder, `<study>/<run>`, or the name of a run in any study.
        output_dir: folder of the studies.

    Raises:
        UserError: the run does not exist or has no trained network.
    """
    from convscope.inference import load_run

    return load_run(run, output_dir)
