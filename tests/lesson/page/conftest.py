"""The page in a real browser, read and moved as its user would; and a run made by hand."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convscope.data.images import Images
from convscope.runs.record import RunRecord, write_record

if TYPE_CHECKING:
    import torch
    from playwright.sync_api import Browser, Locator, Page


class Setting:
    """One setting on the page, by its place."""

    def __init__(self, page: "Page", number: int) -> None:
        self.root = page.locator(f"#pane{number}")

    def field(self, label: str) -> "Locator":
        return self.root.get_by_role("textbox", name=label, exact=True)

    def type(self, **values: object) -> None:
        for label, value in values.items():
            self.field(label.replace("_", " ").capitalize()).fill(str(value))

    def text(self, selector: str) -> str:
        return self.root.locator(selector).inner_text().replace("\xa0", " ")

    def output(self) -> list[list[float]]:
        """Every output as the table shows it, exact."""
        details = self.root.locator("details.values")
        if details.get_attribute("open") is None:
            details.locator("summary").click()
            details.locator("table").wait_for()
        rows = (
            "rows => rows.map(row => [...row.querySelectorAll('data')].map(d => Number(d.value)))"
        )
        values: list[list[float]] = details.locator("tr").evaluate_all(rows)
        return values

    @property
    def window(self) -> "Locator":
        return self.root.get_by_role("slider", name="Window on the input")

    @property
    def legend(self) -> dict[str, str]:
        """Shade to what it says: `{"Padding": "1 on each side", …}`."""
        items = self.text(".legend").splitlines()
        return dict(item.split(": ", 1) for item in items if ": " in item)


class Lesson:
    """The open page. Closing it checks that it kept silent: no error, nothing asked for."""

    def __init__(self, page: "Page", path: Path) -> None:
        self.page = page
        self.noise: list[str] = []
        page.on("console", lambda message: self.noise.append(message.text))
        page.on("pageerror", lambda error: self.noise.append(str(error)))
        page.on("request", lambda request: self.asked(request.url))
        self.url = path.as_uri()
        page.goto(self.url)
        self.first, self.second = Setting(page, 1), Setting(page, 2)

    def asked(self, url: str) -> None:
        if url != self.url and not url.startswith("data:"):
            self.noise.append(f"request for {url}")

    def button(self, name: str) -> "Locator":
        return self.page.get_by_role("button", name=name)

    def compare(self) -> None:
        self.page.get_by_label("Compare with a second setting").check()

    def input_size(self, size: str) -> None:
        self.page.get_by_role("textbox", name="Input size", exact=True).fill(size)


Open = Callable[..., Lesson]


@pytest.fixture
def lesson(browser: "Browser") -> Iterator[Open]:
    """Open a page: `lesson(path, width=360, color_scheme="dark", …)`."""
    opened: list[Lesson] = []

    def open_page(path: Path, width: int = 1300, **settings: Any) -> Lesson:
        context = browser.new_context(viewport={"width": width, "height": 800}, **settings)
        context.set_default_timeout(20_000)
        opened.append(Lesson(context.new_page(), path))
        return opened[-1]

    yield open_page
    noise = [line for page in opened for line in page.noise]
    for page in opened:
        page.page.context.close()
    assert noise == []


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Path]:
    """Make a run by hand, of conv1's filters (n, channels, height, width)."""

    def make(
        images: Images,
        filters: "torch.Tensor",
        stride: int = 1,
        padding: int = 1,
        root: Path = Path("nowhere"),
        model: dict[str, Any] | None = None,
        weight: str = "network.features.conv1.weight",
        **changes: Any,
    ) -> Path:
        import torch

        kernel = list(filters.shape[2:])
        run = tmp_path / "run"
        (run / "checkpoints").mkdir(parents=True)
        torch.save({"state_dict": {weight: filters}}, run / "checkpoints" / "best.ckpt")
        fields: dict[str, Any] = {
            "id": "0" * 64,
            "study": "edges",
            "name": "by-hand",
            # With a checkpoint of one layer: answers are those of a finished run.
            "status": "interrupted",
            "reason": "SIGTERM",
            "variant": "k3-s1-p1",
            "command": "none",
            "config": {
                "conv": {
                    "kernel_size": [kernel],
                    "stride": [[stride, stride]],
                    "padding": [[[padding, padding], [padding, padding]]],
                },
                "model": model or {"channels": [len(filters)], "pool_after": []},
                "data": {"name": images.name, "root": str(root), "image_size": None},
            },
            "dataset": {
                "name": images.name,
                "train": len(images.train_images),
                "val": 0,
                "test": len(images.test_images),
                "input_shape": list(images.input_shape),
                "fingerprint": images.fingerprint,
            },
            "geometry": [],
            "params": None,
            "macs": None,
            "environment": dict.fromkeys(("git", "versions", "device", "threads", "precision")),
            "started_at": "2026-01-31T12:00:00Z",
        }
        write_record(run / "run.json", RunRecord(**fields | changes))
        return run

    return make
