"""Text in Matplotlib's pictures: without math markup, in fonts that have its characters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import rc_context, rcParams
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

from convscope.text import escape_control, shorten

MAX_NAME_LENGTH = 24
"""Longest name that fits in a picture, in characters."""
_FALLBACKS = (
    # Matplotlib's own font, in case matplotlibrc names another one.
    "DejaVu Sans",
    # Chinese, Japanese, Korean: Linux, macOS, Windows.
    *("Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK JP", "Noto Sans CJK KR"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "NanumGothic"),
    *("Hiragino Sans GB", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "MS Gothic", "Malgun Gothic"),
    # Other scripts, emoji.
    *("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai"),
    *("Nirmala UI", "Leelawadee UI", "Segoe UI", "FreeSans"),
    *("Noto Emoji", "Segoe UI Emoji", "Segoe UI Symbol", "Symbola"),
)
"""Font families to use if installed; each character is taken from the first one that has it."""


@contextmanager
def plain_text() -> Iterator[None]:
    """Disable math markup while figures are made and drawn: a class may be called `$1_$`."""
    installed = {font.name for font in fontManager.ttflist}
    families = [*rcParams["font.family"], *(name for name in _FALLBACKS if name in installed)]
    with rc_context({"text.parse_math": False, "text.usetex": False, "font.family": families}):
        yield


def plain_label(name: str, most: int = MAX_NAME_LENGTH) -> str:
    """Return a name of at most `most` characters for a picture; missing characters are escaped."""
    shown = "".join(
        char if can_draw(char) else char.encode("unicode_escape").decode()
        for char in escape_control(name)
    )
    return shorten(shown, most)


def can_draw(text: str) -> bool:
    """Return whether the current fonts have every character; others would be drawn as boxes."""
    paths = {findfont(FontProperties(family=[family])) for family in rcParams["font.family"]}
    fonts = [get_font(path) for path in paths]
    return all(any(font.get_char_index(ord(char)) for font in fonts) for char in text)
