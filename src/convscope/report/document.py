"""The parts that a report is made of, whatever it is written as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convscope.errors import UserError
from convscope.tables import Table

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Answer:
    """The sentence that all else bears out."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Commands, to be copied."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """A table; `best` are the rows to stand out."""

    table: Table
    best: frozenset[int]


@dataclass(frozen=True)
class Drawing:
    """A figure, drawn when it is written.

    Args:
        key: of lower-case letters, digits and dashes; no other drawing of the document has it.
        caption: what is shown, in full sentences.
        figure: draws it for a page; raises UserError where there is nothing to show.
        picture: draws it as PNG; as `figure`. None where only a page can show it.
    """

    key: str
    title: str
    caption: str
    figure: Callable[[], Figure]
    picture: Callable[[], bytes] | None


Block = Answer | Paragraph | Bullets | Code | Listing | Drawing


@dataclass(frozen=True)
class Section:
    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """All text is plain: what is written escapes it."""

    title: str
    lead: str
    sections: tuple[Section, ...]


def why_not(error: Exception) -> str:
    """Why a figure is not drawn: there is nothing to show, or drawing it failed."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
