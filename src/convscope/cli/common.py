"""What the commands share: how options are read, and files that are written."""

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
    """Reads options and other arguments in any order; a mistake in them is a UserError.

    Args:
        arguments: what those that are no options are called in the result.
        flags: options without a value.
        values: options with one, as text; None where one is not given.
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
        option: its name, without dashes.
        text: its value.
        folder_exists: also refuse a file in a folder that is not there.

    Raises:
        UserError: no file can be written there.
    """
    if text is None:
        return None
    path = Path(text)
    # A device or pipe would be replaced by a file.
    if not path.name or (path.exists() and not path.is_file()):
        raise UserError(f"--{option} must name a file, got {text or 'nothing'}")
    if folder_exists and not path.parent.is_dir():
        raise UserError(f"--{option} must name a file in a folder that is there, got {text}")
    return path


def typed_command(script: str) -> str:
    """Return what was typed, as `python scripts/NAME.py …`."""
    return shlex.join(["python", f"scripts/{script}.py", *sys.argv[1:]])
