"""TensorBoard started for real, its ConvScope tab driven as its user would."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator, Locator, Page

WAIT_MS = 30_000


class Tab:
    """The opened tab. Closing it checks that nothing failed and nothing left the machine."""

    def __init__(self, page: "Page", address: str, **state: str) -> None:
        self.page = page
        self.noise: list[str] = []
        page.on("console", lambda said: self.noise.append(said.text) if said.type == "error" else 0)
        page.on("pageerror", lambda error: self.noise.append(str(error)))
        page.on("dialog", lambda dialog: (self.noise.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.asked(request.url))
        page.on("response", lambda got: self.noise.append(got.url) if got.status >= 400 else 0)
        page.on("requestfailed", lambda request: self.failed(request.url, request.failure))
        self.address = address.partition("#")[0]
        values = "".join(f"&p.convscope.{key}={quote(text)}" for key, text in state.items())
        page.goto(address if "#" in address else f"{address}#convscope{values}")

    def asked(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.noise.append(f"request for {url}")

    def failed(self, url: str, reason: str | None) -> None:
        # What was under way when the page was left.
        if reason != "net::ERR_ABORTED":
            self.noise.append(f"{url} failed: {reason}")

    @property
    def frame(self) -> "FrameLocator":
        return self.page.frame_locator("iframe")

    def find(self, selector: str, **how: Any) -> "Locator":
        return self.frame.locator(selector, **how)

    @property
    def variants(self) -> list[str]:
        """Names of the table's rows, of variants alone."""
        self.find(".runs tbody tr").first.wait_for()
        return self.find(".runs tr.group .name").all_inner_texts()

    def row(self, variant: str) -> "Locator":
        name = self.frame.get_by_role("button", name=variant, exact=True)
        return self.find("tr.group").filter(has=name)

    def cell(self, variant: str, key: str) -> str:
        return self.row(variant).locator(f"[data-key='{key}']").inner_text()

    def view(self, title: str) -> None:
        self.frame.get_by_role("navigation").get_by_role("button", name=title).click()

    def filter(self, expression: str) -> None:
        box = self.frame.get_by_role("searchbox", name="Filter")
        box.fill(expression)
        box.press("Enter")

    def figure(self, name: str) -> Any:
        """What Plotly has drawn: its traces, arrays as lists."""
        root = self.find(f"figure[data-name={name}]:not([aria-busy])")
        root.locator(".plot:not([hidden]) .main-svg, .note:not(:empty)").first.wait_for()
        assert root.locator(".note").text_content() == ""
        return root.locator(".plot").evaluate(
            """plot => plot._fullData.map(({ type, mode, x, y, customdata }) =>
                ({ type, mode, x: x && [...x], y: y && [...y], customdata }))"""
        )

    @property
    def hash(self) -> str:
        return urlsplit(self.page.url).fragment


OpenTab = Callable[..., Tab]


@pytest.fixture(scope="module")
def served() -> "Iterator[Callable[[Path], str]]":
    """`served(logdir)` gives the address of a TensorBoard that shows it."""
    started: list[subprocess.Popen[str]] = []

    def start(logdir: Path) -> str:
        options = ("--logdir", str(logdir), "--port", "0", "--load_fast", "false")
        command = [sys.executable, "-m", "tensorboard.main", *options]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        assert started[-1].stderr is not None
        for line in started[-1].stderr:
            if " at http" in line:
                return line.split(" at ")[1].split()[0]
        raise AssertionError("TensorBoard did not start")

    yield start
    for process in started:
        process.terminate()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture
def open_tab(browser: "Browser") -> Iterator[OpenTab]:
    """`open_tab(address, width=500, color_scheme="dark", view="cost", …)`."""
    opened: list[Tab] = []

    def open_one(address: str, width: int = 1300, color_scheme: str = "light", **state: str) -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=color_scheme,  # type: ignore[arg-type]
        )
        context.set_default_timeout(WAIT_MS)
        opened.append(Tab(context.new_page(), address, **state))
        return opened[-1]

    yield open_one
    noise = [line for tab in opened for line in tab.noise]
    for tab in opened:
        tab.page.context.close()
    assert noise == []
