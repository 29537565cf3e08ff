"""Text inside figures: Plotly reads tags and entities in every name, label and hover."""

from __future__ import annotations

from html import escape
from textwrap import wrap

from convscope.text import escape_control


def escaped(text: str) -> str:
    """`text`, shown by Plotly as it is."""
    return escape(escape_control(text), quote=False)


def lines(*texts: str, width: int = 60) -> str:
    """Lines of a hover or a title, long ones wrapped after `width` characters."""
    return "<br>".join(
        escaped(line)
        for text in texts
        if text
        for line in (wrap(text, width) if len(text) > width else [text])
    )
