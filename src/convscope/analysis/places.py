"""Where what a user names lies: a folder, a study, or a run."""

from __future__ import annotations

import difflib
from pathlib import Path

from convscope.errors import UserError
from convscope.runs.study import find_run

OUTPUTS = Path("outputs")


def place(word: str) -> Path:
    """A folder as it is given, a study below `outputs`, or a run by its name.

    Raises:
        UserError: there is none; names the nearest.
    """
    try:
        for path in (Path(word), OUTPUTS / word):
            if path.is_dir():
                return path
        studies = [path.name for path in OUTPUTS.glob("*/")]
        near = difflib.get_close_matches(word, studies, n=1)
        if near:
            raise UserError(
                f"{word} must be a study, a run or a folder; did you mean the study {near[0]}?"
            )
        return find_run(word, OUTPUTS).path
    except OSError as error:
        raise UserError(f"{word} cannot be opened: {error.strerror or error}") from error
