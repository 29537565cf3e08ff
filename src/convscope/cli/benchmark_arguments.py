"""The command line of `benchmark.py`: its help page, and what was asked for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from convscope.errors import UserError

HELP = """\
How fast training is, against a loop written by hand and against the usual pipeline.

  python scripts/benchmark.py
      Three variants at batch 256 and 64, 7 rounds: about a quarter of an hour on 2 cores.
  python scripts/benchmark.py --quick
      One variant, 3 short rounds, without torch.compile: about a minute.
  python scripts/benchmark.py conv.stride=1,2 data.batch_size=256 --json speed.json
      Any grid, its values separated by commas as in a sweep; --markdown FILE writes its table.

Compared are, on the same network, images, batch size, device and threads:
  a  a run of this project as train.py makes it: Lightning, TensorBoard, checkpoints, progress bar
  b  the plain PyTorch loop over a tensor in memory, at its best on this device: fused AdamW,
     channels_last, bfloat16 where the hardware has it, torch.compile where that is faster (then a
     has compile=true), on CUDA the whole step as one graph
  c  torchvision's data set, a transform per image, a DataLoader with its best number of workers, a
     pytorch_lightning Trainer with its defaults, float32 among them

a, b and c take turns. Warm-up and compilation are not in the rates; they are told apart.

--quick          fewer variants and rounds, shorter windows
--rounds N       turns that each takes; 7 by default, 3 with --quick
--json FILE      write every round and what it was measured on
--markdown FILE  write the tables

All keys and groups: python scripts/train.py --help
"""


@dataclass(frozen=True)
class Asked:
    """Overrides, and how to measure; without `rounds` as many as is usual."""

    help: bool
    words: tuple[str, ...]
    quick: bool
    rounds: int | None
    json: Path | None = None
    markdown: Path | None = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: see --help")


def parse(arguments: Sequence[str]) -> Asked:
    """What was asked for.

    Raises:
        UserError: an option that there is not, or with a value that means nothing.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--quick", action="store_true")
    for name in ("rounds", "json", "markdown"):
        parser.add_argument(f"--{name}")
    given = parser.parse_intermixed_args(list(arguments))
    if given.help:
        return Asked(True, (), False, None)
    return Asked(
        False,
        tuple(given.words),
        given.quick,
        None if given.rounds is None else _count("rounds", given.rounds),
        _file("json", given.json),
        _file("markdown", given.markdown),
    )


def _count(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 4 and int(text)):
        raise UserError(f"--{option} must be a number from 1 to 9999, got {text or 'nothing'}")
    return int(text)


def _file(option: str, text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text)
    # A device or pipe would be replaced by a file. Told now, not after a quarter of an hour.
    if not path.name or (path.exists() and not path.is_file()) or not path.parent.is_dir():
        raise UserError(
            f"--{option} must name a file in a folder that is there, got {text or 'nothing'}"
        )
    return path
