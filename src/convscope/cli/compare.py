"""The command `python scripts/compare.py`: options, output and exit code.

Exit codes: 0 done, 1 standard output could not be written, 2 bad input, 128 + n ended by signal n.
"""

from __future__ import annotations

import math
import sys
from argparse import Namespace
from collections.abc import Sequence

from convscope.cli.common import Parser, output_file, typed_command
from convscope.errors import UserError
from convscope.runs.record import run_folder
from convscope.streams import run_command

HELP = """\
Which variants are better, by how much, and at what cost.

  python scripts/compare.py
      All runs below outputs: one line per variant, with means over its seeds, the highest
      validation accuracy first.
  python scripts/compare.py STUDY
      One study; also several studies, a run's name, or any folder with runs below it.
  python scripts/compare.py STUDY --runs
      One line per run.
  python scripts/compare.py STUDY --where "stride == 2 and test_accuracy > 0.98"
      Only some lines: ==, !=, <, <=, >, >=, in [1, 2], and, or, not, parentheses; numbers,
      text in quotes, true, false, null. Columns are those of --format json, and config keys
      (optim.lr, or just lr). Without --runs a metric is the mean over seeds.
  python scripts/compare.py STUDY --sort macs
      Another order; with a leading - the largest first: --sort -train_samples_per_sec
  python scripts/compare.py diff k3-s1-p1 k3-s2-p1
      Two variants side by side: their means, the difference with its simultaneous 95 % interval
      and p-value, then what differs in config, geometry and environment. STUDY/k3-s1-p1 is the
      variant of one study, 'k3-s1-p1 (lr 0.01)' of one setting; a run's name or folder is that run.
  python scripts/compare.py STUDY --pairs
      One line per pair of variants: the difference of their mean test accuracies, whether they are
      different, equivalent or neither is shown, what the study could have shown, and how many seeds
      it would need. Then letters: variants that share one are not significantly different.
  python scripts/compare.py STUDY --pairs --margin 0.2
      Call variants equivalent if a difference of 0.2 percentage points or more can be ruled out.
  python scripts/compare.py STUDY --latency
      Measure first how long a forward pass of 1 and of 256 images takes on this machine, in turns
      over the variants, and write it into the records of the finished runs.
  python scripts/compare.py STUDY --diagnose
      Measure first how the trained networks answer shifted images, their effective receptive fields
      and more, of finished runs that were trained without (diagnostics=off, or an older version).
  python scripts/compare.py STUDY --report report.html
      Also write tables, findings and figures to one file; report.md for Markdown with pictures.
  python scripts/compare.py STUDY --pack study.zip
      Also write the records of the runs to one small file, to publish or to send. A packed study
      is named like a folder: compare.py study.zip, compare.py diff study.zip/k3-s1-p1 …

--runs               one line per run instead of one per variant and setting
--where EXPRESSION   only the lines for which it is true
--sort COLUMN        -best_val_accuracy by default: the test accuracy is for the report, not for
                     the choice
--pairs              one line per pair of variants of a setting, and letters
--margin POINTS      differences of accuracies below this many percentage points do not matter: 0.1
                     by default, as always in reports and in the tab. Also for diff
--latency            measure the inference latency of all finished runs named, then compare
--diagnose           measure the diagnostics of finished runs that have none, then compare
--format FORMAT      table (default), markdown, latex (a table for a paper), csv (rows only), or
                     json (an object of rows, findings, caveats and methods)
--cite               print the BibTeX of all methods; with studies, of those their comparison uses
--report FILE        write FILE.html or FILE.md
--pack FILE          write FILE.zip: records, histories and diagnostics, without checkpoints

Runs that differ only in their seed make one line. Statistics, report and packed file cover the
runs of the lines shown. In TensorBoard: tensorboard --logdir outputs, the tab ConvScope.
"""

_FORMATS = ("table", "csv", "json", "markdown", "latex")
_FOR_TABLES = ("runs", "where", "sort", "report", "pack", "latency", "diagnose", "cite", "pairs")
_NOT_FOR_PAIRS = ("runs", "sort")


def main() -> int:
    """Run the command that `sys.argv` asks for."""
    return run_command(_command)


def _command() -> None:
    given = _parse(sys.argv[1:])
    if given.help:
        print(HELP, end="")
        return
    # Imported here, so that --help and errors in the options need not wait for pandas.
    from convscope.report import commands

    if given.names[:1] == ["diff"]:
        commands.diff(given.names[1:], given.margin, given.format)
    elif given.cite:
        commands.cite(given.names, given.where, pairs=given.pairs)
    else:
        if given.latency:
            # Imports what starts worker processes, which a comparison does without.
            from convscope.latency.command import record_latency

            record_latency(list(map(run_folder, commands.finished_runs(given.names))))
        if given.diagnose:
            # As above.
            from convscope.training.diagnose import with_diagnostics

            with_diagnostics(commands.finished_runs(given.names), "standard")
        commands.table(
            given.names,
            where=given.where,
            sort=given.sort,
            single=given.runs,
            pairs=given.pairs,
            margin=given.margin,
            form=given.format,
            report_path=given.report,
            pack_path=given.pack,
            command=typed_command("compare"),
        )


def _parse(arguments: Sequence[str]) -> Namespace:
    values = ("where", "sort", "report", "pack", "format", "margin")
    flags = ("runs", "pairs", "latency", "diagnose", "cite")
    parser = Parser("names", flags=flags, values=values)
    parser.set_defaults(format="table", margin="0.1")
    given = parser.parse_intermixed_args(_joined(arguments))
    if given.help:
        return given
    if given.format not in _FORMATS:
        raise UserError(f"--format must be one of {', '.join(_FORMATS)}, got {given.format}")
    given.margin = _share(given.margin)
    for name in _NOT_FOR_PAIRS:
        if given.pairs and getattr(given, name):
            raise UserError(f"--{name} is not for --pairs: see --help")
    given.report = output_file("report", given.report)
    given.pack = output_file("pack", given.pack)
    if given.names[:1] == ["diff"]:
        for name in _FOR_TABLES:
            if getattr(given, name):
                raise UserError(f"--{name} is not for diff: see --help")
        if len(given.names) != 3:
            raise UserError(
                f"diff must be followed by two variants or runs, got {len(given.names) - 1}"
            )
    return given


def _share(points: str) -> float:
    """Return a margin in percentage points as a share."""
    try:
        share = float(points) / 100
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise UserError(
            f"--margin must be a number of percentage points above 0, such as 0.2, got {points}"
        )
    return share


def _joined(arguments: Sequence[str]) -> list[str]:
    """Replace `--sort -macs` by `--sort=-macs`, because argparse takes `-macs` for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--sort":
            joined[-1] = f"--sort={argument}"
        else:
            joined.append(argument)
    return joined
