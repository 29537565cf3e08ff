"""Matplotlib without markup: a class may be called `$1_$`, which would be a formula."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import rc_context

from convscope.text import cut, harmless

MOST_OF_A_NAME = 24
"""Characters of a name that a picture has room for."""


@contextmanager
def plain_text() -> Iterator[None]:
    """Make figures, and draw them, within: whatever matplotlibrc says, their text is plain.

    A letter that the font lacks is drawn as a box, without a warning for each at the terminal.
    """
    with rc_context({"text.parse_math": False, "text.usetex": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def plain_label(name: str, most: int = MOST_OF_A_NAME) -> str:
    """A name as a picture shows it."""
    return cut(harmless(name), most)
