"""The command `python scripts/explain.py`: options, output and exit code.

Exit codes: 0 done, 1 standard output could not be written, 2 bad input or an impossible variant,
128 + n ended by signal n.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convscope.cli.common import Parser, output_file
from convscope.errors import UserError
from convscope.geometry import Pair
from convscope.streams import run_command

HELP = """\
What kernel size, stride and padding do, without training.

  python scripts/explain.py sample
      The tutorial's sample: three convolutions of a 5x5 input, computed by nn.Conv2d.
  python scripts/explain.py sample conv.kernel_size=2 conv.stride=3 --input 7x9
      The same for any layer and input. What is not given has its default of training: padding 1.
  python scripts/explain.py conv.stride=2 data=cifar10 model=deep
      Any network: sizes, receptive fields and costs per layer, and what stands out.
  python scripts/explain.py model=resnet20 data=cifar10 conv.kernel_size=7
      A long network's layers are grouped by stage; * is varied, ° unproductive. --all shows all.
  python scripts/explain.py conv.stride=2 --png reads.png
      Heat maps of how often each pixel is read: through all layers, and by each of them.
  python scripts/explain.py diff conv.stride=1 vs conv.kernel_size=5 conv.stride=2
      Two networks side by side, with differences marked. Each side is typed in full.
  python scripts/explain.py grid conv.kernel_size=1,3,5 conv.stride=1,2 conv.padding=0,half
      Which variants are worth training: equal ones are merged, impossible ones listed.
  python scripts/explain.py rules
      When something stands out: each rule with its threshold, meaning and source.
  python scripts/explain.py conv.stride=2 --html page.html
      An interactive page of one layer; with diff, of two layers whose windows move together.
  python scripts/explain.py model=resnet20 --html page.html --layer layer2.0.conv1
      The page of any layer of a network, on the layer's input.

conv.kernel_size, conv.stride, conv.padding: one value for every layer, or '[2,1,1]' with one
per layer; a value is an integer or height x width, 3x5; padding also valid, half, full or same.
All keys and groups: python scripts/train.py --help

--all         a row for each layer of a long network
--input HxW   input of the sample or the page, in pixels; 5x5 by default
--html FILE   write a page: an interactive layer, or a grid's heat maps
--layer NAME  with --html: a conv or pool layer; the first varied one by default
--run RUN     with --html: that run's trained filters and a test image, such as
              outputs/default/mnist-k3-s1-p1-seed0-1a2b3c4d
--png FILE    write a PNG picture: a grid's heat maps, or how often a network reads each pixel
--json        print JSON for programs

An output size that is not whole is rounded down, as PyTorch does; some visualisers call it
invalid.
"""
LARGEST_INPUT = 1_000
_TAKES = {
    "network": ("all", "html", "input", "json", "layer", "png", "run"),
    "sample": ("input",),
    "diff": ("all", "html", "input", "json", "layer"),
    "grid": ("json", "html", "png"),
    "rules": (),
}
_COMMANDS = tuple(name for name in _TAKES if name != "network")
_INPUT = re.compile(r"([0-9]{1,9})(?:x([0-9]{1,9}))?")


@dataclass(frozen=True)
class Args:
    """The command line.

    Attributes:
        command: `sample`, `diff`, `grid`, `rules`, `help`, or `network` if none of them is typed.
        overrides: the overrides, and `vs` between those of `diff`.
        json: whether to print JSON.
        all: whether tables show each layer of a long network.
        html: page to write.
        png: picture to write.
        input_size: height and width of the input, in pixels.
        run: folder of a trained run.
        layer: name of the layer that the page shows.
    """

    command: str
    overrides: tuple[str, ...]
    json: bool = False
    all: bool = False
    html: Path | None = None
    png: Path | None = None
    input_size: Pair | None = None
    run: Path | None = None
    layer: str | None = None


def main() -> int:
    """Run the command that `sys.argv` asks for."""
    return run_command(_command)


def _command() -> None:
    args = parse(sys.argv[1:])
    if args.command == "help":
        print(HELP, end="")
        return
    # Imported here, so that --help and errors in the options need not wait for Hydra and Rich.
    from convscope.lesson import commands, diff

    page = commands.PageChoice(args.layer, args.input_size, args.run)
    match args.command:
        case "network" if args.html is not None:
            commands.write_layer_page(args.html, [args.overrides], page)
        case "network":
            commands.network(args.overrides, args.json, args.all, args.png)
        case "diff" if args.html is not None:
            commands.write_layer_page(args.html, diff.split(args.overrides), page)
        case "diff":
            commands.compare(args.overrides, args.json, args.all)
        case "grid":
            commands.grid(args.overrides, args.json, args.html, args.png)
        case "sample":
            commands.sample(args.overrides, args.input_size)
        case "rules":
            commands.rules(args.overrides)


def parse(arguments: Sequence[str]) -> Args:
    """Parse the command line.

    Raises:
        UserError: an option that the command does not take, or an invalid value.
    """
    flags, values = ("all", "json"), ("html", "input", "layer", "png", "run")
    parser = Parser("overrides", flags=flags, values=values)
    given = parser.parse_intermixed_args(list(arguments))
    if given.help:
        return Args("help", ())
    overrides = tuple(given.overrides)
    command = overrides[0] if overrides and overrides[0] in _COMMANDS else "network"
    options = {name for name in (*flags, *values) if getattr(given, name)}
    _check(command, options)
    return Args(
        command,
        overrides if command == "network" else overrides[1:],
        given.json,
        given.all,
        output_file("html", given.html),
        output_file("png", given.png),
        _input_size(given.input),
        None if given.run is None else Path(given.run),
        given.layer,
    )


def _check(command: str, options: set[str]) -> None:
    for option in sorted(options - set(_TAKES[command])):
        takers = [name for name, taken in _TAKES.items() if option in taken]
        raise UserError(f"--{option} is for {', '.join(takers)}, not for {command}: see --help")
    if command == "network" and {"html", "png"} <= options:
        raise UserError("--html shows a layer and --png a network: take one of them")
    if command in ("network", "diff") and "html" not in options:
        for option in sorted(options & {"input", "layer", "run"}):
            raise UserError(f"--{option} needs --html FILE here: see --help")


def _input_size(text: str | None) -> Pair | None:
    if text is None:
        return None
    match = _INPUT.fullmatch(text)
    if match is None:
        raise UserError(f"--input must be height x width such as 7x9, got {text or 'nothing'}")
    height, width = int(match[1]), int(match[2] or match[1])
    if not 1 <= min(height, width) <= max(height, width) <= LARGEST_INPUT:
        raise UserError(f"--input must be 1 to {LARGEST_INPUT} pixels high and wide, got {text}")
    return height, width
