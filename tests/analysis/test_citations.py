"""The sources of methods: valid BibTeX, unique, and the same as in the docstrings."""

import re
from pathlib import Path

import pytest
from pybtex.database import parse_string
from pybtex.plugin import find_plugin

import convscope
from convscope.analysis import citations
from convscope.analysis.citations import SOURCES, bibtex
from convscope.errors import UserError

PACKAGE = Path(convscope.__file__).parent
NEEDED = {
    "article": {"author", "title", "journal", "year", "volume", "pages"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "misc": {"author", "title", "year", "eprint"},
    "incollection": {"author", "title", "booktitle", "publisher", "year"},
}


def test_a_parser_reads_every_entry() -> None:
    found = parse_string(bibtex(SOURCES), "bibtex").entries
    assert [*found] == [*SOURCES]
    dois = [entry.fields["doi"] for entry in found.values() if "doi" in entry.fields]
    assert len({*dois}) == len(dois)
    for key, entry in found.items():
        assert entry.fields.keys() | entry.persons.keys() >= NEEDED[entry.type], key
        assert re.fullmatch(r"1[89]\d\d|20[012]\d", entry.fields["year"]), key
        assert re.fullmatch(r"\d+--\d+", entry.fields.get("pages", "1--2")), key
        assert re.fullmatch(r"10\.\d{4,5}/\S+", entry.fields.get("doi", "10.1000/x")), key
        assert all(person.last_names and person.first_names for person in entry.persons["author"])
        assert str(entry).isascii(), key


def test_a_bibliography_can_be_made_of_them() -> None:
    style = find_plugin("pybtex.style.formatting", "plain")()
    made = style.format_bibliography(parse_string(bibtex(SOURCES), "bibtex"))
    texts = {one.key: one.text.render_as("text") for one in made}
    assert texts["chaman2021"].startswith("Anadi Chaman and Ivan Dokmanić. Truly shift-invariant")
    assert "Biometrics, 12(3):307–310, 1956" in texts["kramer1956"]


CITED = {
    name: set(re.findall(r"[a-z]+\d{4}", str(value)))
    for name, value in vars(citations).items()
    if name != "SOURCES" and isinstance(value, tuple | dict) and not name.startswith("__")
}
"""Keys by the constant that findings cite."""


def test_every_source_is_cited() -> None:
    assert set().union(*CITED.values()) == SOURCES.keys()


def test_the_docstrings_name_the_same_sources() -> None:
    """A key is the first author's name and the year of the method; both are near its use."""
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "citations.py"]
    code = "\n".join(path.read_text("utf-8") for path in paths).replace("ø", "o")
    for name, keys in CITED.items():
        if not re.search(rf"\b{name}\b", code):
            continue
        for key in keys:
            author, year = re.fullmatch(r"([a-z]+)(\d{4})", key).groups()
            assert re.search(rf"\b{author}\b.{{0,250}}?\b{year}\b", code, re.I | re.S), key


def test_entries_are_unique_and_in_order() -> None:
    text = bibtex(["yates1934", "tukey1953", "yates1934"])
    assert re.findall(r"@\w+{(\w+),", text) == ["tukey1953", "yates1934"]
    assert text.splitlines()[0] == "% the test of all pairs of means at once, Tukey's HSD"
    assert bibtex([]) == ""
    with pytest.raises(UserError, match="no source is called x"):
        bibtex(["x"])
