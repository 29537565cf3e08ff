"""The command line of `compare.py`: its help page, and what was asked for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from convscope.errors import UserError

HELP = """\
Which variants are better, by how much, and at what cost.

  python scripts/compare.py
      All runs below outputs: one line per variant, over its seeds, the highest
      validation accuracy first.
  python scripts/compare.py STUDY
      One study; also several, a run's name, or any folder that holds some.
  python scripts/compare.py STUDY --runs
      One line per run.
  python scripts/compare.py STUDY --where "stride == 2 and test_accuracy > 0.98"
      Some lines alone: ==, !=, <, <=, >, >=, in [1, 2], and, or, not, parentheses; numbers,
      text in quotes, true, false, null. Columns are those of --format json, and config keys
      (optim.lr, or lr alone). Without --runs a metric is the mean over seeds.
  python scripts/compare.py STUDY --sort macs
      Another order; with a - in front the largest first: --sort -train_samples_per_sec
  python scripts/compare.py diff k3-s1-p1 k3-s2-p1
      Two variants side by side: their means, the difference with its simultaneous 95 % interval
      and p-value, then what differs in config, geometry and environment. STUDY/k3-s1-p1 is the
      variant of one study, 'k3-s1-p1 (lr 0.01)' of one setting; a run's name or folder is that run.
  python scripts/compare.py STUDY --report report.html
      Also write figures and words to one file to send; report.md for Markdown with pictures.

--runs               one line per run instead of one per variant and setting
--where EXPRESSION   the lines for which it holds
--sort COLUMN        -best_val_accuracy by default: the test accuracy is for the report, not for
                     the choice
--format FORMAT      table (default), csv, json (a list of rows) or markdown
--report FILE        write FILE.html or FILE.md

Runs that differ in their seed alone make one line. Statistics and report are of the runs behind
the lines shown. In TensorBoard: tensorboard --logdir outputs, the tab ConvScope.
"""
FORMATS = ("table", "csv", "json", "markdown")
_FOR_TABLES = ("runs", "where", "sort", "report")


@dataclass(frozen=True)
class Asked:
    """A command, the words behind it (places, or two variants or runs), and its options.

    Attributes:
        command: `table`, `diff` or `help`.
    """

    command: str
    words: tuple[str, ...]
    runs: bool = False
    where: str | None = None
    sort: str | None = None
    format: str = "table"
    report: Path | None = None


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
    parser.add_argument("--runs", action="store_true")
    for name in ("where", "sort", "report"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--format", default="table")
    given = parser.parse_intermixed_args(_joined(arguments))
    if given.help:
        return Asked("help", ())
    if given.format not in FORMATS:
        raise UserError(f"--format must be one of {', '.join(FORMATS)}, got {given.format}")
    words = tuple(given.words)
    if words[:1] == ("diff",):
        _check_diff(words[1:], [name for name in _FOR_TABLES if getattr(given, name)])
        return Asked("diff", words[1:], format=given.format)
    return Asked(
        "table",
        words,
        given.runs,
        given.where,
        given.sort,
        given.format,
        _report(given.report),
    )


def _joined(arguments: Sequence[str]) -> list[str]:
    """`--sort -macs` as `--sort=-macs`: argparse takes what begins with `-` for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--sort":
            joined[-1] = f"--sort={argument}"
        else:
            joined.append(argument)
    return joined


def _check_diff(runs: Sequence[str], options: Sequence[str]) -> None:
    if options:
        raise UserError(f"--{options[0]} is not for diff: see --help")
    if len(runs) != 2:
        raise UserError(f"diff must have two variants or runs behind it, got {len(runs)}")


def _report(text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text)
    # A device or pipe would be replaced by a file.
    if not path.name or (path.exists() and not path.is_file()):
        raise UserError(f"--report must name a file, got {text or 'nothing'}")
    return path
