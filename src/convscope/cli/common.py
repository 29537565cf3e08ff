"""Parsing of options and output files, shared by the commands."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from typing_extensions import override

from convscope.errors import UserError


class Parser(argparse.ArgumentParser):
    """Parses options and other arguments in any order; raises UserError for invalid ones.

    Args:
        arguments: attribute of the result that holds the arguments other than options.
        flags: options without a value.
        values: options with a value, which is text, or None where the option is not given.
    """

    def __init__(
        self, arguments: str, *, flags: Sequence[str] = (), values: Sequence[str] = ()
    ) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self.add_argument(arguments, nargs="*")
        self.add_argument("-h", "--help", action="store_true")
        for flag in flags:
            self.add_argument(f"--{flag}", action="store_true")
        for value in values:
            self.add_argument(f"--{value}")

    @override
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: see --help")


def output_file(option: str, text: str | None, *, folder_exists: bool = False) -> Path | None:
    """Return the file that an option names; None where the option is not given.

    Args:
        option: the option's name, without dashes.
        text: the option's value.
        folder_exists: also refuse a file in a folder that does not exist.

    Raises:
        UserError: the value does not name a file that can be written.
    """
    if text is None:
        return None
    path = Path(text)
    # A device or pipe is refused, because it would be replaced by a file.
    if not path.name or (path.exists() and not path.is_file()):
        raise UserError(f"--{option} must name a file, got {text or 'nothing'}")
    if folder_exists and not path.parent.is_dir():
        raise UserError(f"--{option} must name a file in an existing folder, got {text}")
    return path


def typed_command(script: str) -> str:
    """Return the command line that was typed, as `python scripts/NAME.py …`."""
    return shlex.join(["python", f"scripts/{script}.py", *sys.argv[1:]])
