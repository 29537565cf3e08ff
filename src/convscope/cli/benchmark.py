"""The command `python scripts/benchmark.py`: options, output and exit code.

Exit codes: 0 done, 1 standard output could not be written, 2 bad input or a failed run, 128 + n
ended by signal n.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convscope.benchmark.cases import cases
from convscope.cli.common import Parser, output_file, typed_command
from convscope.errors import UserError
from convscope.files import replace_file
from convscope.streams import print_stderr, run_command
from convscope.tables import new_console, print_line, print_table
from convscope.training.resolve import RunResolver

HELP = """\
How fast training is, compared with a loop written by hand and with the usual pipeline.

  python scripts/benchmark.py
      Three variants at batch 256 and 64, 7 rounds: about a quarter of an hour on 2 cores.
  python scripts/benchmark.py --quick
      One variant, 3 short rounds, without torch.compile: about a minute.
  python scripts/benchmark.py conv.stride=1,2 data.batch_size=256 --json speed.json
      Any grid, its values separated by commas as in a sweep; --markdown FILE writes its table.

Compared on the same network, images, batch size, device and threads:
  a  a run of this project as train.py makes it: Lightning, TensorBoard, checkpoints, progress bar
  b  a plain PyTorch loop over a tensor in memory, in its fastest form on this device: fused AdamW,
     channels_last, bfloat16 where the hardware has it, torch.compile where that is faster (then a
     has compile=true), on CUDA the whole step as one graph
  c  torchvision's data set, a transform per image, a DataLoader with its best number of workers, a
     pytorch_lightning Trainer with its defaults, including float32

a, b and c take turns. The rates exclude warm-up and compilation, which are reported separately.

--quick          fewer variants and rounds, shorter windows
--rounds N       measurements of each; 7 by default, 3 with --quick
--json FILE      write every round, with hardware and versions
--markdown FILE  write the tables

All keys and groups: python scripts/train.py --help
"""


@dataclass(frozen=True)
class Args:
    """The options; `rounds` is None for the default number."""

    overrides: list[str]
    help: bool
    quick: bool
    rounds: int | None
    json: Path | None
    markdown: Path | None


def main() -> int:
    """Run the benchmark that `sys.argv` asks for."""
    return run_command(_command)


def _command() -> None:
    args = parse(sys.argv[1:])
    if args.help:
        print(HELP, end="")
        return
    resolver = RunResolver()
    wanted = cases(args.overrides, args.quick, resolver)

    # Imported here, so that --help and errors in the options need not wait for torch.
    from convscope.benchmark import measure, project, report, roofline

    effort = measure.QUICK if args.quick else measure.THOROUGH
    if args.rounds is not None:
        effort = replace(effort, rounds=args.rounds)
    request = wanted[0].request
    hardware = request.hardware
    print_stderr(f"{request.images.name} on {hardware.device} ({hardware.precision})")
    prompt = project.end_to_end(wanted[0].overrides, effort.epochs)
    peaks = roofline.measure_peaks(hardware)
    measured = []
    for number, case in enumerate(wanted, start=1):
        print_stderr(f"{number} of {len(wanted)}: {case.variant}, batch {case.batch_size}")
        measured.append(measure.measure(case, resolver, peaks, effort))
    found = report.Report(
        typed_command("benchmark"),
        args.quick,
        report.machine(request),
        peaks,
        measured,
        prompt,
    )
    # Files are written first: a reader that closes its pipe must not prevent that.
    for path, write in ((args.json, report.as_json), (args.markdown, report.as_markdown)):
        if path is not None:
            replace_file(path, write(found).encode())
    console = new_console()
    for table in (report.speed_table(found), report.preparation_table(found)):
        print_table(table, console)
        print_line(console)
    for remark in report.remarks(found):
        print_line(console, remark)


def parse(arguments: Sequence[str]) -> Args:
    """Parse the options; with `--help`, errors in the others are ignored.

    Raises:
        UserError: an unknown option, or an invalid value.
    """
    parser = Parser("overrides", flags=("quick",), values=("rounds", "json", "markdown"))
    typed = vars(parser.parse_intermixed_args(list(arguments)))
    if not typed["help"]:
        typed["rounds"] = _count("rounds", typed["rounds"])
        # A missing folder is an error now, not after a quarter of an hour.
        for name in ("json", "markdown"):
            typed[name] = output_file(name, typed[name], folder_exists=True)
    return Args(**typed)


def _count(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 4 and int(text)):
        raise UserError(f"--{option} must be a number from 1 to 9999, got {text or 'nothing'}")
    return int(text)
