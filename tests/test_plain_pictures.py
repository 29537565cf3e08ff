"""Letters that fonts lack: no box and no warning, whatever fonts a machine has."""

import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from matplotlib import font_manager
from matplotlib.figure import Figure

from convscope.plain_pictures import can_draw, plain_label, plain_text
from convscope.plots.style import Panel, subplots
from convscope.report import png
from convscope.training.tensorboard.pictures import confusion_picture

SHIPPED = Path(mpl.get_data_path(), "fonts", "ttf")
NAMES = ["cat", "\u732b", "\uace0\uc591\uc774", "\u0642\u0637", "\U0001f600", "\U0001f9ff"]
"""Cat in four languages; two emoji, of which DejaVu Sans has the first."""


@pytest.fixture
def shipped_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with the fonts that Matplotlib ships and no others."""
    shipped = [one for one in font_manager.fontManager.ttflist if Path(one.fname).parent == SHIPPED]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", shipped)
    font_manager.fontManager._findfont_cached.cache_clear()
    yield
    font_manager.fontManager._findfont_cached.cache_clear()


def drawn(figure: Figure) -> None:
    """Draw it; a letter that is missing is an error."""
    with warnings.catch_warnings(), plain_text():
        warnings.simplefilter("error")
        figure.savefig(BytesIO())


def test_classes_without_letters_are_numbered(shipped_fonts: None) -> None:
    figure = confusion_picture(torch.eye(len(NAMES), dtype=torch.long), NAMES)
    (axes,) = figure.axes
    expected = ["cat", "class 1", "class 2", "\u0642\u0637", "\U0001f600", "class 5"]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == expected
    drawn(figure)


def test_letters_of_a_title_are_escaped(shipped_fonts: None) -> None:
    with plain_text():
        assert plain_label("study \u732b") == r"study \u732b"
        assert plain_label("\u0642\u0637 \U0001f9ff") == "\u0642\u0637 \\U0001f9ff"
        assert plain_label("\uace0\uc591\uc774", most=13) == r"\uace0\uc591…"
    picture = png.drawn(subplots(["study \u732b"], [Panel("", 100, [])]))
    assert picture.get_suptitle() == r"study \u732b"
    drawn(picture)


@pytest.mark.filterwarnings("ignore:cmr10 font should")
def test_a_font_of_ones_own_is_completed(shipped_fonts: None) -> None:
    """Computer Modern, as some matplotlibrc have it, lacks even the ellipsis and accents."""
    with mpl.rc_context({"font.family": ["cmr10"]}):
        assert not can_draw("\u00e9…±")
        with plain_text():
            assert can_draw("\u00e9…±")
            assert mpl.rcParams["font.family"] == ["cmr10", "DejaVu Sans"]
        figure = confusion_picture(torch.eye(2, dtype=torch.long), ["\u00e9l\u00e8ve", "b" * 30])
    drawn(figure)
    labels = figure.axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == ["\u00e9l\u00e8ve", f"{'b' * 23}…"]


def test_an_installed_font_is_taken(
    shipped_fonts: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """DejaVu Sans under the name of a font that is looked for, with letters that cmr10 lacks."""
    entry = font_manager.FontEntry(fname=str(SHIPPED / "DejaVuSans.ttf"), name="Noto Sans CJK SC")
    fonts = [one for one in font_manager.fontManager.ttflist if one.name != "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*fonts, entry])
    with mpl.rc_context({"font.family": ["cmr10"]}), plain_text():
        assert mpl.rcParams["font.family"] == ["cmr10", "Noto Sans CJK SC"]
        assert plain_label("\u0642\u0637") == "\u0642\u0637"
