"""No text of a user is markup: every place where it is shown, read back by what reads it there.

A row is a place; NAME stands for names of classes, files, studies, config keys and values, reasons
and commands, all of which a record may hold.
"""

import csv
import io
import json
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser

import pytest
import torch
from markdown_it import MarkdownIt
from rich.console import Console

from convscope.plots.style import Panel, escaped, lines, subplots
from convscope.report import export, png
from convscope.report.document import Bullets, Code, Document, Facts, Listing, Section
from convscope.report.html import html_report
from convscope.report.markdown import as_markdown, markdown_report
from convscope.report.terminal import show
from convscope.tables import Table, print_line, print_paragraph, print_table
from convscope.text import escape_control
from convscope.training.tensorboard.pictures import confusion_picture

MARKUP = (
    "$1_$ $\\frac$",
    "<b>x</b> <script>alert(1)</script> &lt; <a href='x'>y</a> <br>",
    "[red]x[/red] [/] :smile: [link=x]y[/link]",
    "=1+cmd|' /C calc'!A0",
    "@SUM(1) `code` *bold* _it_ ~~no~~ # 1. [a](b) ![a](b) | bar",
)
INVISIBLE = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "one\ntwo\rthree\tfour",
    "a\u202eb\u2066c",
    "zero\u200bwidth\ufeff",
    "no\x00name",
    "undecodable \udcff",
)
NAMES = (*MARKUP, *INVISIBLE)
NAME = " ".join(NAMES)


# What a place shows of a text, read back.


def on_terminal(text: str) -> str:
    return printed(lambda console: print_line(console, text)).removesuffix("\n")


def in_paragraph(text: str) -> str:
    return printed(lambda console: print_paragraph(console, text, first="  ", rest="  "))[
        2:
    ].removesuffix("\n")


def in_terminal_cell(text: str) -> str:
    return column(printed(lambda console: print_table(table(cell=text), console)), 2)


def in_terminal_heading(text: str) -> str:
    return column(printed(lambda console: print_table(table(heading=text), console)), 0)


def in_facts(text: str) -> str:
    facts = Facts(((text, "what it is"),))
    out = printed(lambda console: show([facts], console))
    return out.removesuffix("  what it is\n")


def in_csv_cell(text: str) -> str:
    (_, (cell,)) = csv.reader(io.StringIO(export.as_csv([{"key": text}])))
    return cell


def in_csv_heading(text: str) -> str:
    ((heading,), _) = csv.reader(io.StringIO(export.as_csv([{text: "cell"}])))
    return heading


def in_json(text: str) -> str:
    ((key, value),) = json.loads(export.as_json([{text: text}]))["rows"][0].items()
    assert key == value
    return str(value)


def in_markdown_fact(text: str) -> str:
    (fact,) = read_markdown(as_markdown([Facts(((text, "what it is"),))]))
    return fact.removesuffix(": what it is")


def in_markdown_table(text: str) -> str:
    page = as_markdown([Listing(table(heading=text, cell=text))])
    heading, after, cell, behind = read_markdown(page)
    assert (heading, after, behind) == (cell, "after", "after")
    return cell


def in_markdown_heading(text: str) -> str:
    heading, _ = read_markdown(as_markdown([Bullets(("a sentence",), text)]))
    return heading


def in_markdown_report(text: str) -> str:
    content, _ = markdown_report(report_of(text), text)
    title, *texts = read_markdown(content.decode())
    assert texts == ["lead", title, title, f"{title}\n", title, "after", title, "after"]
    return title


def in_html_report(text: str) -> str:
    reader = Reader()
    reader.feed(html_report(report_of(text), "0").decode())
    title, *texts = reader.texts
    assert texts == [title, "lead", title, title, title, title, "after", title, "after"]
    return title


def in_plotly(text: str) -> str:
    # Plotly reads tags and entities, and nothing else.
    shown = lines(text, width=10_000)
    assert "<" not in shown
    assert re.findall("&(?!(?:amp|lt|gt);)", shown) == []
    return unescape(shown)


def in_matplotlib(text: str) -> str:
    plotted = subplots([""], [Panel("", 100, [])])
    plotted.layout.title.text = escaped(text)
    return str(png.drawn(plotted).get_suptitle())


def in_confusion_matrix(text: str) -> str:
    figure = confusion_picture(torch.eye(2, dtype=torch.long), [text, "other"])
    (axes,) = figure.axes
    label = axes.get_xticklabels()[0]
    assert label.get_text() == axes.get_yticklabels()[0].get_text()
    return str(label.get_text())


PLACES: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "a line at the terminal": (on_terminal, escape_control),
    "a paragraph at the terminal": (in_paragraph, escape_control),
    "a cell of a table at the terminal": (in_terminal_cell, escape_control),
    "a heading of a table at the terminal": (in_terminal_heading, escape_control),
    "the name of a fact at the terminal": (in_facts, escape_control),
    "a cell of CSV": (in_csv_cell, lambda text: f"'{text}" if text[0] in "=@" else text),
    "a heading of CSV": (in_csv_heading, lambda text: f"'{text}" if text[0] in "=@" else text),
    "a key and a value of JSON": (in_json, lambda text: text),
    "a fact in Markdown": (in_markdown_fact, escape_control),
    "a table in Markdown": (in_markdown_table, escape_control),
    "a heading in Markdown": (in_markdown_heading, escape_control),
    "a report in Markdown": (in_markdown_report, escape_control),
    "a report in HTML": (in_html_report, escape_control),
    "a figure of Plotly": (in_plotly, escape_control),
    "a title in Matplotlib": (in_matplotlib, lambda text: cut_to(text, 110)),
    "a class in the confusion matrix": (in_confusion_matrix, lambda text: cut_to(text, 24)),
}
"""What shows a text there and reads it back, and what it must be then."""


@pytest.mark.parametrize("name", [*NAMES, NAME], ids=ascii)
@pytest.mark.parametrize("place", PLACES)
def test_a_text_is_shown_as_it_is(place: str, name: str) -> None:
    shown, expected = PLACES[place]
    assert shown(name) == expected(name)


def cut_to(text: str, most: int) -> str:
    shown = escape_control(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def printed(show: Callable[[Console], None]) -> str:
    """What a terminal with all its abilities gets."""
    file = io.StringIO()
    show(Console(file=file, force_terminal=True, color_system="truecolor", width=10_000))
    return re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())


def table(heading: str = "before", cell: str = "before") -> Table:
    return Table((f"<{heading}", "<after"), ((cell, "after"),))


def column(drawn: str, number: int) -> str:
    """The first column of a table's line that was printed."""
    return drawn.splitlines()[number].removesuffix("after").strip()


def report_of(text: str) -> Document:
    blocks = (Bullets((text,)), Code((text,)), Listing(table(text, text), frozenset()))
    return Document(text, "lead", (Section(text, blocks),))


BLOCKS = "heading bullet_list list_item paragraph inline fence table thead tbody tr th td"


def read_markdown(text: str) -> list[str]:
    """The texts of a page in which Markdown finds its own blocks, and no more than text in them."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}
    assert kinds <= set(BLOCKS.split())
    texts = []
    for token in tokens:
        if token.type == "inline":
            assert {child.type for child in token.children or []} == {"text"}
            texts.append("".join(child.content for child in token.children or []))
        elif token.type == "fence":
            texts.append(token.content)
    return texts


class Reader(HTMLParser):
    """The texts of a report's elements, in order: none may hold another but these."""

    HOLD = "html head meta style body header section ul pre div table thead tbody tr script"
    TEXTS = "title h1 h2 p li code th td span"

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        assert tag in f"{self.HOLD} {self.TEXTS}".split()
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in self.TEXTS.split():
            self.texts.append(data)
