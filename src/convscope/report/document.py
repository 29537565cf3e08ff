"""Building blocks of reports and comparisons, independent of their format.

All text is unescaped: each writer escapes it for its format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convscope.errors import UserError
from convscope.tables import Table

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Paragraph:
    """A text; `is_answer` marks the main finding."""

    text: str
    is_answer: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values that all runs share."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bullets:
    """A list of sentences with an optional heading; not shown if it is empty."""

    lines: tuple[str, ...]
    heading: str = ""


@dataclass(frozen=True)
class Code:
    """Commands to copy."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """A table; `best` are the indices of highlighted rows."""

    table: Table
    best: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Drawing:
    """A figure, which is drawn when the report is written.

    Args:
        key: key of lower-case letters, digits and dashes, unique in the document.
        title: heading of the figure.
        caption: explanation in full sentences.
        draw: draws the figure; raises UserError if there is nothing to show.
    """

    key: str
    title: str
    caption: str
    draw: Callable[[], Figure]


Block = Paragraph | Facts | Bullets | Code | Listing | Drawing


@dataclass(frozen=True)
class Section:
    """Blocks below a heading."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A report: its title, an introductory sentence, and its sections."""

    title: str
    lead: str
    sections: tuple[Section, ...]


def not_drawn(error: Exception) -> str:
    """Return why a figure is missing: there is nothing to show, or drawing it failed."""
    why = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return f"Not drawn: {why}."
