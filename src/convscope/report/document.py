"""The parts that a report or an answer is made of, whatever it is written as.

All text is plain, as it comes from records: what writes it escapes it.
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
    """A text; `is_answer` where it is the sentence that all else bears out."""

    text: str
    is_answer: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and texts of what holds for all runs shown."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bullets:
    """Sentences, below a heading if there is one; nothing where there is no sentence."""

    lines: tuple[str, ...]
    heading: str = ""


@dataclass(frozen=True)
class Code:
    """Commands, to be copied."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """A table; `best` are the rows to stand out."""

    table: Table
    best: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Drawing:
    """A figure, drawn when it is written.

    Args:
        key: of lower-case letters, digits and dashes; no other drawing of the document has it.
        caption: what is shown, in full sentences.
        draw: raises UserError where there is nothing to show.
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
    """A report."""

    title: str
    lead: str
    sections: tuple[Section, ...]


def not_drawn(error: Exception) -> str:
    """Return why a figure is not drawn: there is nothing to show, or drawing it failed."""
    why = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return f"Not drawn: {why}."
