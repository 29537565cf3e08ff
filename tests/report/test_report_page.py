"""The report's page in a real browser: drawn, read back, printed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convscope import report
from convscope.analysis.frame import Reader
from convscope.plots.style import Panel, subplots
from convscope.runs.history import METRICS, History

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

HOSTILE = "<img src=x onerror=alert(1)>"
DRAWINGS = ["accuracy-samples", "accuracy-macs", "heat", "effects", "map-sizes", "curves"]
Open = Callable[..., "Tab"]


def planted(variant: str, seed: int) -> dict[str, float]:
    kernel, stride = int(variant[1]), int(variant[4])
    return {
        "test_accuracy": 0.95 + 0.004 * kernel + 0.002 * stride + 0.001 * seed,
        "best_val_accuracy": 0.97,
        "test_loss": 0.05,
        "train_samples_per_sec": 30_000.0 / kernel * stride + 10 * seed,
        "step_ms": 12.8,
    }


@pytest.fixture(scope="module")
def path(make_study: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 9 variants with 3 seeds, and 3 impossible ones; the study's name is hostile."""
    folder = tmp_path_factory.mktemp("page")
    study = make_study(folder / HOSTILE, metrics=planted)
    for run in study.iterdir():
        for epoch in (1, 2):
            row = dict.fromkeys(METRICS) | {"epoch": epoch, "step": epoch, "val/accuracy": 0.9}
            History(run / "history.csv").append(row)
    page = folder / "report.html"
    report.write(*Reader([study]).read(), page, None)
    return page


@pytest.fixture
def opened(browser: "Browser", path: Path) -> Iterator[Open]:
    """Opens the page and draws its figures; at the end, it must have kept silent."""
    noise: list[str] = []
    tabs: list[Tab] = []

    def asked(url: str) -> None:
        if url != path.as_uri() and not url.startswith(("data:", "blob:")):
            noise.append(f"request for {url}")

    def open_page(width: int = 1300, **settings: Any) -> "Tab":
        context = browser.new_context(viewport={"width": width, "height": 800}, **settings)
        context.set_default_timeout(20_000)
        tab = context.new_page()
        tabs.append(tab)
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.on("dialog", lambda dialog: (noise.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: asked(request.url))
        tab.goto(path.as_uri())
        for place in tab.locator(".drawing").all():
            place.scroll_into_view_if_needed()
            place.locator(".main-svg").first.wait_for()
        return tab

    yield open_page
    for tab in tabs:
        tab.context.close()
    assert noise == []


def rows(tab: "Tab") -> dict[str, list[str]]:
    """The table's rows, by variant."""
    cells: list[list[str]] = tab.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    return {first.split()[0]: rest for first, *rest in cells}


def traces(tab: "Tab", key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tab.evaluate(
        "key => JSON.parse(JSON.stringify(document.getElementById(key).data))", key
    )
    return found


def test_every_figure_is_drawn_and_its_numbers_are_the_tables(opened: Open) -> None:
    tab = opened()
    drawn = tab.locator(".drawing").evaluate_all("places => places.map(place => place.id)")
    assert drawn == DRAWINGS
    table = rows(tab)
    assert len(table) == 9
    points = {
        text.split("<br>")[0]: (x, y)
        for trace in traces(tab, "accuracy-samples")
        if "error_y" in trace or trace["x"] == [None]
        for x, y, text in zip(
            trace["x"], trace["y"], trace.get("hovertext", [None] * len(trace["x"])), strict=True
        )
        if text and x is not None
    }
    columns = tab.locator("thead th").all_inner_texts()
    speed = columns.index("samples/s") - 1
    assert points.keys() == table.keys()
    for variant, (x, y) in points.items():
        assert table[variant][1].startswith(f"{100 * y:.2f} ± ")
        assert table[variant][speed] == f"{x:,.0f}"
    accuracies = {f"{float(row[1].split()[0]):.2f}" for row in table.values()}
    cells = [
        f"{100 * value:.2f}"
        for trace in traces(tab, "heat")
        if trace["type"] == "heatmap"
        for line in trace.get("z", [])
        for value in line
        if value is not None and value > 0.5
    ]
    assert set(cells) == accuracies


@pytest.mark.parametrize("width", [360, 1300])
def test_no_size_of_a_map_lies_on_a_square(opened: Open, width: int) -> None:
    tab = opened(width)
    boxes: dict[str, list[list[float]]] = tab.locator("#map-sizes").evaluate(
        """place => Object.fromEntries(
            [["squares", ".points path"], ["sizes", ".textpoint text"]].map(([name, which]) =>
                [name, [...place.querySelectorAll(which)].map(one => {
                    const {left, top, right, bottom} = one.getBoundingClientRect();
                    return [left, top, right, bottom];
                })]))"""
    )
    # Of 9 variants, each with input, three convolutions and a pool.
    assert len(boxes["squares"]) == len(boxes["sizes"]) - 3 == 45
    for number, size in enumerate(boxes["sizes"]):
        others = boxes["sizes"][:number]
        assert [box for box in boxes["squares"] + others if meet(box, size)] == []


def meet(first: list[float], second: list[float]) -> bool:
    """Whether two boxes, left, top, right, bottom, share more than an edge's pixel."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    return across > 1 and down > 1


def test_a_title_begins_at_one_height_and_ends_above_its_panel(
    browser: "Browser", tmp_path: Path
) -> None:
    page = tmp_path / "titles.html"
    counts = range(1, 7)
    drawn = []
    for count in counts:
        panel = Panel("panel", 100, [{"type": "scatter", "x": [1], "y": [1]}])
        figure = subplots([f"line {number}" for number in range(count)], [panel])
        html = figure.to_html(full_html=False, include_plotlyjs=count == 1)
        drawn.append(html)
    page.write_text("".join(drawn))
    tab = browser.new_page()
    tab.goto(page.as_uri())
    tab.locator(".annotation-text").nth(len(counts) - 1).wait_for()
    edges: list[list[float]] = tab.locator(".js-plotly-plot").evaluate_all(
        """plots => plots.map(plot => {
            const box = which => plot.querySelector(which).getBoundingClientRect();
            const [title, panel] = [box(".gtitle"), box(".annotation-text")];
            return [title.top - plot.getBoundingClientRect().top, panel.top - title.bottom];
        })"""
    )
    tab.close()
    assert len(edges) == len(counts)
    for top, gap in edges:
        assert 6 < top < 11
        assert 0 < gap < 15


def test_a_hostile_name_is_text(opened: Open) -> None:
    tab = opened()
    assert tab.locator("h1").inner_text().endswith(HOSTILE)
    assert tab.locator("img").count() == 0


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_but_tables_scrolls_sideways(opened: Open, width: int) -> None:
    tab = opened(width)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.locator("tbody th").first.evaluate("cell => cell.clientHeight") < 40


def test_a_table_wider_than_the_page_says_so_and_can_be_scrolled_to_its_end(opened: Open) -> None:
    tab = opened(360)
    heads = tab.locator("thead th").all_inner_texts()
    assert (len(heads), heads[0], heads[-1]) == (11, "variant", "params")
    hint, box, last = tab.locator(".hint"), tab.locator(".scrolled"), tab.locator("thead th").last

    def hidden() -> int:
        """Columns whose right edge lies outside the box."""
        edges: list[float] = tab.locator("thead th").evaluate_all(
            "heads => heads.map(head => head.getBoundingClientRect().right)"
        )
        edge = box.evaluate("box => box.getBoundingClientRect().right")
        return sum(right > edge + 2 for right in edges)

    assert hidden() > 5
    assert hint.inner_text() == f"{hidden()} more columns to the right: scroll the table sideways →"
    box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    tab.locator(".hint:empty").wait_for(state="attached")
    assert hidden() == 0
    # The name stays beside the last column.
    name = tab.locator("tbody th").first.bounding_box()
    assert name is not None
    assert name["x"] >= 0
    assert last.evaluate("cell => cell.getBoundingClientRect().left") > name["x"] + name["width"]


def test_all_columns_are_in_sight_on_a_laptop(opened: Open) -> None:
    tab = opened(1280)
    assert tab.locator(".hint").inner_text() == ""
    assert tab.locator(".scrolled").evaluate("box => box.scrollWidth <= box.clientWidth")


def test_figures_follow_the_colour_scheme(opened: Open) -> None:
    tab = opened(color_scheme="dark")
    ink = "document.querySelector('#accuracy-macs .xtick text').style.fill"
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(ink), tab.evaluate(ground)
    tab.emulate_media(color_scheme="light")
    tab.locator("#curves[data-drawn=light]").wait_for()
    assert tab.evaluate(ink) != dark[0]
    assert tab.evaluate(ground) != dark[1]
    drawn = tab.locator(".drawing").evaluate_all("places => places.map(p => p.dataset.drawn)")
    assert set(drawn) == {"light"}


def test_on_paper_everything_is_drawn_light_and_fits(opened: Open) -> None:
    tab = opened(color_scheme="dark")
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    for place in tab.locator(".drawing").all():
        assert place.get_attribute("data-drawn") == "light"
        assert place.locator(".main-svg").first.get_attribute("width") == "680"
    assert (
        tab.locator("table").evaluate("table => table.getBoundingClientRect().width") <= 681
    )  # wider would be cut off
    tab.emulate_media(media="screen")
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    tab.locator("#curves[data-drawn=dark]").wait_for()
    assert tab.locator("table").get_attribute("style") is None
    tab.locator("#curves .main-svg:not([width='680'])").first.wait_for()
