"""The page's parts, put into one file."""

from __future__ import annotations

import json
from importlib.resources import files

_SCRIPTS = (
    "arithmetic.js",
    "wording.js",
    "sources.js",
    "drawing.js",
    "field.js",
    "moving.js",
    "pane.js",
    "page.js",
)


def document(content: object) -> bytes:
    """The page as UTF-8: `page.html` with style, scripts and `content` (JSON-ready) inlined."""
    folder = files("convscope.lesson.page")
    scripts = "\n".join(folder.joinpath(name).read_text("utf-8") for name in _SCRIPTS)
    # In a script element only `<` could end it, or start a comment.
    data = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = folder.joinpath("page.html").read_text("utf-8")
    style = folder.joinpath("page.css").read_text("utf-8")
    for mark, part in (("/*style*/", style), ("/*script*/", scripts), ("/*content*/", data)):
        page = page.replace(mark, part, 1)
    return page.encode()
