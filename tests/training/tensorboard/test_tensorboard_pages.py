"""TensorBoard's own tabs in a real browser, held against the records."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convscope.runs.record import RunRecord

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Study = Any
Open = Callable[[str], "Page"]

KEYS = ["kernel_size", "padding_policy", "seed", "stride", "variant"]
METRICS = ["test accuracy", "train samples/s", "MACs", "parameters", "final map"]


@pytest.fixture
def tab(study: Study, browser: "Browser") -> Iterator[Open]:
    """Open one of TensorBoard's tabs by its name in the address; at the end: no error came."""
    page = browser.new_page(viewport={"width": 1500, "height": 1500})
    page.set_default_timeout(20_000)
    noise: list[str] = []
    page.on("console", lambda said: noise.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: noise.append(str(error)))
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))

    def open_tab(name: str) -> "Page":
        page.goto(f"{study.server.url}#{name}")
        return page

    yield open_tab
    page.close()
    assert noise == []
    assert [url for url in asked if not url.startswith((study.server.url, "data:"))] == []


def in_five_digits(page: "Page", record: RunRecord) -> list[str]:
    """What HPARAMS is to show of a finished run."""
    first = record.config["conv"]["kernel_size"][0][0]
    stride = record.config["conv"]["stride"][0][0]
    policy = {0: "valid", 1: "half"}[record.config["conv"]["padding"][0][0][0]]
    names = ("test_accuracy", "train_samples_per_sec", "macs", "params", "final_map")
    metrics = [float(np.float32(record.metrics[name])) for name in names]  # type: ignore[arg-type]
    values = [first, policy, record.config["seed"], stride, record.variant, *metrics]
    shown: list[str] = page.evaluate(
        "values => values.map(v => typeof v === 'number' ? v.toPrecision(5) : v)", values
    )
    return shown


def test_hparams_has_a_row_for_each_run_with_its_keys_and_results(study: Study, tab: Open) -> None:
    page = tab("hparams")
    table = page.locator("tf-hparams-table-view")
    table.get_by_text(study.failed).wait_for(state="attached")
    cells = [
        text
        for cell in table.locator("vaadin-grid-cell-content").all_inner_texts()
        if (text := cell.strip())
    ]
    starts = [number for number, text in enumerate(cells) if text in study.runs]
    assert cells[: starts[0]] == ["Trial ID", "Show Metrics", *KEYS, *METRICS]
    rows = {
        cells[start]: cells[start + 1 : end]
        for start, end in zip(starts, [*starts[1:], len(cells)], strict=True)
    }
    assert len(starts) == len(rows) == len(study.runs)
    for run, record in study.finished.items():
        assert rows[run] == in_five_digits(page, record)
    assert rows[study.failed] == ["3.0000", "half", "0.0000", "1.0000", "k3-s1-p1"]
    assert rows[study.interrupted] == ["5.0000", "other", "0.0000", "1.0000", "k5-s1-p1"]


def test_parallel_coordinates_draw_a_line_for_each_finished_run(study: Study, tab: Open) -> None:
    page = tab("hparams")
    page.get_by_text("PARALLEL COORDINATES VIEW").click()
    plot = page.locator("tf-hparams-parallel-coords-plot svg")
    plot.locator(".foreground path").first.wait_for(state="attached")
    lines = plot.locator(".foreground path").evaluate_all(
        "paths => paths.map(path => path.getTotalLength())"
    )
    assert len(lines) == len(study.finished)
    assert min(lines) > 500
    named = set(plot.locator("text").all_text_contents())
    assert named >= {*KEYS, *METRICS, "half", "valid", "k3-s1-p0", "k3-s2-p1"}
    scales = page.locator("tf-hparams-parallel-coords-view").get_by_text("Logarithmic")
    numeric = len(KEYS) - 2 + len(METRICS)
    assert scales.count() == numeric


def test_the_documented_address_shows_the_learning_curves_alone(study: Study, tab: Open) -> None:
    """Unasked, TIME SERIES begins with what comes first by name: sizes, a point for each layer."""
    page_of_docs = Path(__file__).parents[3].joinpath("docs", "compare.md").read_text("utf-8")
    found = re.search(r"http://localhost:6006/(\?\S+)#timeseries", page_of_docs)
    assert found is not None
    page = tab("scalars")
    page.goto(f"{study.server.url}{found[1].replace(chr(92), '')}#timeseries")
    cards = page.locator("metrics-filtered-view scalar-card tb-truncated-path")
    cards.nth(3).wait_for()
    shown = [card.get_attribute("title") for card in cards.all()]
    assert shown == ["train/accuracy", "train/loss", "val/accuracy", "val/loss"]


def test_custom_scalars_draw_each_group_for_all_runs(study: Study, tab: Open) -> None:
    """The failed run has a geometry and no accuracy; the interrupted one no test of it."""
    page = tab("custom_scalars")
    cards = page.locator(
        "tf-custom-scalar-multi-line-chart-card, tf-custom-scalar-margin-chart-card"
    )
    finished, begun, runs = len(study.finished), len(study.finished) + 1, len(study.runs)
    expected = {
        "train, val and test": 2 * begun + finished,
        "val and test": begun + finished,
        "train, samples/s": begun,
        "eval, samples/s": begun,
        "step, ms": begun,
        "height": runs,
        "width": runs,
    }
    cards.nth(len(expected) - 1).wait_for()
    titles = cards.evaluate_all("cards => cards.map(card => card.title)")
    assert sorted(titles) == sorted(expected)
    for title, card in zip(titles, cards.all(), strict=True):
        card.get_by_text(f"Matches ({expected[title]})").wait_for()
        card.locator(".plot path.symbol").first.wait_for(state="attached")
        drawn = card.locator(".plot path.line").evaluate_all(
            "paths => paths.map(path => path.getBoundingClientRect().width)"
        )
        assert max(drawn) > 100, title
