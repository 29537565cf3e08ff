"""The command `python scripts/predict.py`: options, output and exit code.

Exit codes: 0 done, 1 standard output could not be written, 2 bad input, 128 + n ended by signal n.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from convscope import load
from convscope.cli.common import Parser
from convscope.errors import UserError
from convscope.streams import run_command
from convscope.text import percent

HELP = """\
The class that a trained run predicts for each image, and its probability.

  python scripts/predict.py RUN IMAGE ...
      RUN is a run's folder, STUDY/RUN below outputs, or a run's name in any study there. Images
      of any size are scaled and cropped like the run's training images.
"""
_OUTPUTS = Path("outputs")
_BATCH_SIZE = 256
"""Images in memory at a time."""


def main() -> int:
    """Run the command that `sys.argv` asks for."""
    return run_command(lambda: _predict(sys.argv[1:]))


def _predict(arguments: Sequence[str]) -> None:
    given = Parser("run_and_images").parse_intermixed_args(list(arguments))
    if given.help:
        print(HELP, end="")
        return
    if len(given.run_and_images) < 2:
        raise UserError(
            f"name a run and at least one image, got {len(given.run_and_images)}: see --help"
        )
    run, *images = given.run_and_images
    # Imported here, so that --help and errors in the arguments need not wait for Rich.
    from convscope.tables import Table, new_console, print_table

    variant = load(run, _OUTPUTS)
    rows = []
    for start in range(0, len(images), _BATCH_SIZE):
        batch = images[start : start + _BATCH_SIZE]
        probabilities, labels = variant.scores(batch).max(dim=1)
        for image, label, share in zip(batch, labels.tolist(), probabilities.tolist(), strict=True):
            rows.append((image, variant.classes[label], percent(share)))
    print_table(Table(("<image", "<class", "probability"), tuple(rows)), new_console())
