"""ConvScope: what kernel size, stride and padding do to a CNN.

`train` and `load` import PyTorch when they are called, not before.
"""

from __future__ import annotations

from convscope.errors import UserError

# As `typing` has it, without importing that: a command is to answer Ctrl-C at once.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from convscope.inference import TrainedVariant
    from convscope.runs.record import RunRecord

__all__ = ["UserError", "load", "train"]


def train(*overrides: str) -> RunRecord:
    """Train one variant as `python scripts/train.py` does, and give its record.

    A run that failed or was interrupted has a record too: look at its `status` and `reason`.

    Args:
        overrides: as on the command line: `train("conv.stride=2", "data=mnist")`.

    Raises:
        UserError: bad input, an impossible variant, or data that cannot be had.
    """
    from convscope.streams import guarded_streams, terminal_lines
    from convscope.text import escape_control
    from convscope.training.resolve import train_one

    with guarded_streams(), terminal_lines(lambda line: print(escape_control(line))):
        return train_one(overrides)


def load(run: str | Path | RunRecord, output_dir: str | Path = "outputs") -> TrainedVariant:
    """The trained network of a finished run, with its preprocessing.

    Args:
        run: a record, a run's folder, `<study>/<run>`, or a run's name in any study.
        output_dir: where studies are looked for.

    Raises:
        UserError: there is no such run, or it has no trained network.
    """
    from pathlib import Path

    from convscope.inference import load_run

    return load_run(run, Path(output_dir))
