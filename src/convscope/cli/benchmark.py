"""`python scripts/benchmark.py`: measures, prints, writes, sets the exit code.

Exit codes: 0 done, 2 bad input or a run that failed, 1 nobody reads on, 128 + n ended by signal n.
"""

from __future__ import annotations

import platform
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

a, b and c take turns. Warm-up and compilation are not in the rates; they are reported separately.

--quick          fewer variants and rounds, shorter windows
--rounds N       turns that each takes; 7 by default, 3 with --quick
--json FILE      write every round and what it was measured on
--markdown FILE  write the tables

All keys and groups: python scripts/train.py --help
"""


@dataclass(frozen=True)
class Args:
    """What was typed; `rounds` is None where the effort's own number is taken."""

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

    # Here: torch, for which help and a mistake in the options need not wait.
    from convscope.benchmark import measure, project, report, roofline
    from convscope.training.record import environment

    effort = measure.QUICK if args.quick else measure.THOROUGH
    if args.rounds is not None:
        effort = replace(effort, rounds=args.rounds)
    request = wanted[0].request
    hardware = request.hardware
    print_stderr(f"{request.images.name} on {hardware.device} ({hardware.precision})")
    prompt = project.end_to_end(wanted[0].overrides, effort.epochs)
    peaks = roofline.measure_peaks(hardware.torch_device, hardware.autocast_dtype)
    measured = []
    for number, case in enumerate(wanted, start=1):
        print_stderr(f"{number} of {len(wanted)}: {case.variant}, batch {case.batch_size}")
        measured.append(measure.measure(case, resolver, peaks, effort))
    found = report.Report(
        typed_command("benchmark"),
        args.quick,
        environment(request) | {"platform": platform.platform()},
        peaks,
        measured,
        prompt,
    )
    # Files first: a reader that goes away must not cost them.
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
    """Read the options; `--help` goes before any mistake in the others.

    Raises:
        UserError: an option that there is not, or with a value that means nothing.
    """
    parser = Parser("overrides", flags=("quick",), values=("rounds", "json", "markdown"))
    typed = vars(parser.parse_intermixed_args(list(arguments)))
    if not typed["help"]:
        typed["rounds"] = _count("rounds", typed["rounds"])
        # A folder that is not there is told now, not after a quarter of an hour.
        for name in ("json", "markdown"):
            typed[name] = output_file(name, typed[name], folder_exists=True)
    return Args(**typed)


def _count(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 4 and int(text)):
        raise UserError(f"--{option} must be a number from 1 to 9999, got {text or 'nothing'}")
    return int(text)
