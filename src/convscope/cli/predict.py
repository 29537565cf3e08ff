"""`python scripts/predict.py`: which class a trained run takes each image for.

Exit codes: 0 done, 2 bad input, 1 nobody reads on, 128 + n ended by signal n.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from convscope.cli.common import Parser
from convscope.errors import UserError
from convscope.streams import run_command
from convscope.text import percent

HELP = """\
Which class a trained run takes each image for, and with what probability.

  python scripts/predict.py RUN IMAGE ...
      RUN is a run's folder, STUDY/RUN below outputs, or a run's name in any study there. Images
      of any size are scaled and cropped as those that it was trained on.
"""
_OUTPUTS = Path("outputs")
_AT_ONCE = 256
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
    from convscope import load
    from convscope.tables import Table, new_console, print_table

    variant = load(run, _OUTPUTS)
    rows = []
    for start in range(0, len(images), _AT_ONCE):
        some = images[start : start + _AT_ONCE]
        probabilities, labels = variant.scores(some).max(dim=1)
        for image, label, share in zip(some, labels.tolist(), probabilities.tolist(), strict=True):
            rows.append((image, variant.classes[label], percent(share)))
    print_table(Table(("<image", "<class", "probability"), tuple(rows)), new_console())
