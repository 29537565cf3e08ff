"""Text of users made safe to show: names of files and classes, config keys, reasons."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[\\`*_\[\]~#$]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
"""A bar as entity: in a table's cell a backslash before it would itself be escaped."""


def harmless(text: str) -> str:
    """Escape control and invisible characters: they may move a cursor or reorder a line."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def cut(text: str, most: int) -> str:
    """At most so many characters, the last of them an ellipsis where some are left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def in_markdown(text: str) -> str:
    """Plain text as Markdown that shows it as it is, also within a table."""
    text = _SPECIAL.sub(r"\\\g<0>", harmless(text))
    text = re.sub("[&<>|]", lambda found: _ENTITIES[found[0]], text)
    # What would start a list.
    return re.sub(r"^(\d+)(?=[.)](?: |$))|^(?=[-+])", r"\1\\", text)
