"""`python scripts/explain.py`: runs what was asked for, prints or writes, sets the exit code.

Exit codes: 0 done, 2 bad input or an impossible variant, 1 nobody reads on, 128 + n ended by signal
n.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.cli.explain_arguments import HELP, Asked, parse
from convscope.errors import UserError
from convscope.streams import run_command

if TYPE_CHECKING:
    from rich.console import Console

    from convscope.geometry import ConvSpec

_TUTORIAL_INPUT = (5, 5)


def main() -> int:
    """Run the command that `sys.argv` asks for."""
    return run_command(_command)


def _command() -> None:
    asked = parse(sys.argv[1:])
    _COMMANDS[asked.command](asked)


def _help(asked: Asked) -> None:
    print(HELP, end="")


def _network(asked: Asked) -> None:
    if asked.html is not None:
        _write_page(asked, asked.html, [_one_layer(asked.words)] if asked.words else [])
        return
    from convscope.lesson.variants import examine

    variant = examine(asked.words)
    if asked.json:
        from convscope.lesson.records import variant_record

        _print_json(variant_record(variant))
    else:
        from convscope.lesson.views import show_variant

        show_variant(_console(), variant)
    if variant.impossible is not None:
        sys.stdout.flush()
        raise variant.impossible


def _sample(asked: Asked) -> None:
    from convscope.lesson.views import show_sample, show_tutorial

    if not asked.words and asked.input_size is None:
        show_tutorial(_console())
        return
    show_sample(_console(), asked.input_size or _TUTORIAL_INPUT, _one_layer(asked.words))


def _diff(asked: Asked) -> None:
    from convscope.lesson.diff import differs_in_data, split
    from convscope.lesson.variants import Examiner

    sides = split(asked.words)
    if asked.html is not None:
        _write_page(asked, asked.html, [_one_layer(side) for side in sides])
        return
    examiner = Examiner()
    first, second = (examiner.examine(side) for side in sides)
    warning = differs_in_data(sides, (first, second))
    if warning is not None:
        print(warning, file=sys.stderr)
    if asked.json:
        from convscope.lesson.records import diff_record

        _print_json(diff_record(first, second))
    else:
        from convscope.lesson.views import show_diff

        show_diff(_console(), first, second)


def _grid(asked: Asked) -> None:
    from convscope.lesson.grid import examine_grid

    grid = examine_grid(asked.words)
    contents: dict[Path, bytes] = {}
    if asked.html is not None:
        from convscope.lesson.heat_html import grid_html

        contents[asked.html] = grid_html(grid)
    if asked.png is not None:
        from convscope.lesson.heat_png import grid_png

        contents[asked.png] = grid_png(grid)
    if contents:
        from convscope.runs.replace import replace_file

        for path, content in contents.items():
            replace_file(path, content)
    if asked.json:
        from convscope.lesson.records import grid_record

        _print_json(grid_record(grid))
        return
    from convscope.lesson.views import show_grid

    show_grid(_console(), grid)
    if contents:
        print(f"\nwrote {' and '.join(map(str, contents))}")


def _rules(asked: Asked) -> None:
    from convscope.lesson.views import show_rules

    if asked.words:
        raise UserError(f"rules takes no more words, got {asked.words[0]}")
    show_rules(_console())


_COMMANDS: dict[str, Callable[[Asked], None]] = {
    "help": _help,
    "network": _network,
    "sample": _sample,
    "diff": _diff,
    "grid": _grid,
    "rules": _rules,
}


def _one_layer(words: Sequence[str]) -> ConvSpec:
    """The first layer of a variant: what the sample and the page show."""
    from convscope.lesson.variants import examine

    for word in words:
        key = word.partition("=")[0].lstrip("+~")
        if key.partition(".")[0] not in ("conv", "model"):
            raise UserError(f"one layer alone is shown, which conv and model describe, got {word}")
    variant = examine(words)
    if variant.convs is None:
        assert variant.impossible is not None
        raise variant.impossible
    return variant.convs[0]


def _write_page(asked: Asked, path: Path, convs: Sequence[ConvSpec]) -> None:
    from convscope.lesson.page import write_page

    conv, second = (*convs, None, None)[:2]
    write_page(path, conv=conv, input_size=asked.input_size, second=second, run=asked.run)
    print(f"wrote {path}: open it in a browser")


def _console() -> Console:
    from convscope.tables import new_console

    return new_console()


def _print_json(record: dict[str, Any]) -> None:
    print(json.dumps(record, indent=2))
