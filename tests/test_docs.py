"""What people read stays true: links lead somewhere, and the picture has the layers of the code."""

import re
import tomllib
from pathlib import Path

import pytest

from convscope.metrics import METRICS, diagnostics

CLONE = Path(__file__).parents[1]
PAGES = sorted([*CLONE.glob("*.md"), *CLONE.joinpath("docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?<![\w./-])(?:configs|docs|scripts|src|tests)/[\w./-]*")


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(CLONE).as_posix())
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link
    for code in CODE.findall(text):
        for path in PATH.findall(code):
            if "NAME" not in path:
                assert (CLONE / path).exists(), path


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(page.read_text("utf-8"))
    }
    assert [page for page in PAGES if page.name != "README.md" and page not in linked] == []


def test_the_picture_has_the_layers_of_the_code() -> None:
    page = CLONE.joinpath("docs", "architecture.md").read_text("utf-8")
    (picture,) = re.findall(r"```mermaid\n(.*?)```", page, re.DOTALL)
    contracts = tomllib.loads(CLONE.joinpath("pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]
    bands = re.findall(r"subgraph (\w+) \[.*?\]\n(.*?)\n  end", picture, re.DOTALL)
    drawn = [layer for _, band in bands for layer in re.findall(r'\["(.*?)"\]', band)]
    # Parentheses mark a layer that may be missing.
    assert drawn == [layer.strip("()") for layer in layers]
    assert picture.rstrip().endswith(" --> ".join(name for name, _ in bands))


def test_the_readme_is_short() -> None:
    assert len(CLONE.joinpath("README.md").read_text("utf-8").splitlines()) <= 150


def test_diagnostics_are_listed_as_they_are_registered() -> None:
    page = (CLONE / "docs" / "diagnostics.md").read_text("utf-8")
    for name in diagnostics():
        metric = METRICS[name]
        definition = metric.definition.replace("|", r"\|")
        assert f"| `{name}` | {definition} | {metric.better or ''} |" in page
