"""`python scripts/benchmark.py`: measures, prints, writes, sets the exit code.

Exit codes: 0 done, 2 bad input or a run that failed, 1 nobody reads on, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from dataclasses import replace
from io import TextIOWrapper
from typing import TYPE_CHECKING

from convscope.benchmark.arguments import HELP, Asked, parse
from convscope.errors import UserError

if TYPE_CHECKING:
    from convscope.benchmark.report import Report

BAD_INPUT, BROKEN_PIPE = 2, 1


def main() -> int:
    """Run the benchmark that `sys.argv` asks for."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without, say, dashes is no reason to fail.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        asked = parse(sys.argv[1:])
        if asked.help:
            print(HELP, end="")
        else:
            _show(_measure(asked), asked)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # The reader has seen enough. Python would try to write the rest as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _measure(asked: Asked) -> Report:
    # Here: help and a mistake in the options need not wait for torch.
    import platform

    from convscope.benchmark.cases import cases
    from convscope.jobs import Resolver

    resolver = Resolver(_notify)
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
    _notify(f"{request.images.name} on {hardware.device} ({hardware.precision})")
    prompt = prompt_to_prompt(wanted[0].overrides, effort.epochs)
    peaks = measure_peaks(hardware.torch_device, hardware.autocast_dtype)
    measured = []
    for number, case in enumerate(wanted, start=1):
        _notify(f"{number} of {len(wanted)}: {case.variant}, batch {case.batch_size}")
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
    from convscope.tables import new_console, print_table

    # Files first: a reader that goes away must not cost them.
    for path, write in ((asked.json, as_json), (asked.markdown, as_markdown)):
        if path is not None:
            replace_file(path, write(report).encode())
    console = new_console()
    for table in (speed_table(report), preparation_table(report)):
        print_table(table, console)
        console.print()
    for line in remarks(report):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _notify(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
