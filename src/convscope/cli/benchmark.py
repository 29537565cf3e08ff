"""`python scripts/benchmark.py`: measures, prints, writes, sets the exit code.

Exit codes: 0 done, 2 bad input or a run that failed, 1 nobody reads on, 128 + n ended by signal n.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from convscope.cli.benchmark_arguments import HELP, Asked, parse
from convscope.streams import run_command, tell

if TYPE_CHECKING:
    from convscope.benchmark.report import Report


def main() -> int:
    """Run the benchmark that `sys.argv` asks for."""
    return run_command(_command)


def _command() -> None:
    asked = parse(sys.argv[1:])
    if asked.help:
        print(HELP, end="")
    else:
        _show(_measure(asked), asked)


def _measure(asked: Asked) -> Report:
    # Here: help and a mistake in the options need not wait for torch.
    import platform

    from convscope.benchmark.cases import cases
    from convscope.training.resolve import Resolver

    resolver = Resolver(tell)
    wanted = cases(asked.words, asked.quick, resolver)

    from convscope.benchmark.measure import QUICK, THOROUGH, measure
    from convscope.benchmark.peaks import measure_peaks
    from convscope.benchmark.prompt import prompt_to_prompt
    from convscope.benchmark.report import Report
    from convscope.training.record import environment

    effort = QUICK if asked.quick else THOROUGH
    if asked.rounds is not None:
        effort = replace(effort, rounds=asked.rounds)
    request = wanted[0].request
    hardware = request.hardware
    tell(f"{request.images.name} on {hardware.device} ({hardware.precision})")
    prompt = prompt_to_prompt(wanted[0].overrides, effort.epochs)
    peaks = measure_peaks(hardware.torch_device, hardware.autocast_dtype)
    measured = []
    for number, case in enumerate(wanted, start=1):
        tell(f"{number} of {len(wanted)}: {case.variant}, batch {case.batch_size}")
        measured.append(measure(case, resolver, peaks, effort))
    return Report(
        shlex.join(["python", "scripts/benchmark.py", *sys.argv[1:]]),
        asked.quick,
        environment(request) | {"platform": platform.platform()},
        peaks,
        measured,
        prompt,
    )


def _show(report: Report, asked: Asked) -> None:
    from convscope.benchmark.report import (
        as_json,
        as_markdown,
        preparation_table,
        remarks,
        speed_table,
    )
    from convscope.runs.replace import replace_file
    from convscope.tables import line, new_console, print_table

    # Files first: a reader that goes away must not cost them.
    for path, write in ((asked.json, as_json), (asked.markdown, as_markdown)):
        if path is not None:
            replace_file(path, write(report).encode())
    console = new_console()
    for table in (speed_table(report), preparation_table(report)):
        print_table(table, console)
        line(console)
    for remark in remarks(report):
        line(console, remark)
