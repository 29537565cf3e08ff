"""What a report says, as a page and as Markdown; how it is written."""

import json
import math
import re
import statistics
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from markdown_it import MarkdownIt
from pandas import DataFrame
from scipy import stats

from convscope import report
from convscope.analysis.frame import Reader
from convscope.errors import UserError
from convscope.plots import accuracy_against
from convscope.report.contents import MOST_COMMANDS, MOST_SETTINGS, by_seed
from convscope.runs.directory import UnreadableRun
from convscope.runs.study import read_study
from convscope.text import escape_markdown

MakeStudy = Callable[..., Path]
HOSTILE = "<img src=x onerror=alert(1)>"
COMMAND = "python scripts/compare.py mnist --report report.html"
PNG = b"\x89PNG\r\n\x1a\n"


class Page(HTMLParser):
    """The text of each element of a page, and its tables' cells, as a browser would have them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.texts: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag not in ("meta",):
            self._open.append(tag)
            self.texts.append((tag, ""))
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data
        if self._open:
            self.texts.append((self._open[-1], data))

    def of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag and text.strip()]


class Report(NamedTuple):
    folder: Path
    page: Page
    text: str


def planted(variant: str, seed: int) -> dict[str, float]:
    """Larger kernels are better, by more than seeds differ."""
    accuracy = {"k3": 0.97, "k5": 0.98, "k7": 0.985}.get(variant[:2], 0.9)
    return {
        "test_accuracy": accuracy + (0.0, 0.0005, 0.0011)[seed % 3],
        "best_val_accuracy": accuracy,
        "test_loss": 0.05,
        "train_samples_per_sec": 20_000.0 + 100 * seed,
        "step_ms": 12.8,
    }


def read(*folders: Path) -> tuple[DataFrame, list[UnreadableRun]]:
    return Reader(folders).read()


@pytest.fixture(scope="module")
def study(make_study: MakeStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kernels 3, 5, 7 at strides 1, 2 and paddings 0, half, 3 seeds; three of 12 are impossible."""
    return make_study(tmp_path_factory.mktemp("studies") / "mnist", metrics=planted)


@pytest.fixture(scope="module")
def grid(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of `study`."""
    return written(tmp_path_factory.mktemp("report"), study, command=COMMAND)


def written_page(folder: Path, *folders: Path, command: str | None = None) -> Page:
    report.write(*read(*folders), folder / "report.html", command)
    return Page(folder / "report.html")


def written(folder: Path, *folders: Path, command: str | None = None) -> Report:
    """As a page, and as Markdown, whose pictures take seconds."""
    page = written_page(folder, *folders, command=command)
    report.write(*read(*folders), folder / "report.md", command)
    return Report(folder, page, (folder / "report.md").read_text("utf-8"))


def test_a_page_has_its_parts_in_order(grid: Report) -> None:
    _, page, text = grid
    headings = [
        "In short",
        "Variants",
        "Without a result",
        "Figures",
        "How it was measured",
        "What to keep in mind",
        "What wrote this report",
        "What trained its runs",
    ]
    assert page.of("h1") == ["Kernel size, stride and padding compared: mnist"]
    assert page.of("h2") == headings
    assert re.findall("^# (.*)", text, re.MULTILINE) == page.of("h1")
    assert re.findall("^## (.*)", text, re.MULTILINE) == headings
    assert page.of("code")[0] == COMMAND
    assert f"```sh\n{COMMAND}\n```" in text


def test_the_table_has_every_variant_with_its_spread(grid: Report) -> None:
    _, page, text = grid
    head, *rows = page.rows
    assert head[:5] == ["variant", "val accuracy", "test accuracy", "seeds", "95 % interval"]
    assert len(rows) == 9
    by_name = {row[0].split()[0]: row for row in rows}
    values = [planted("k5-s1-p2", seed)["test_accuracy"] for seed in range(3)]
    mean, std = statistics.mean(values), statistics.stdev(values)
    half = stats.t.ppf(0.975, 2) * std / math.sqrt(3)
    assert by_name["k5-s1-p2"][2:5] == [
        f"{100 * mean:.2f} ± {100 * std:.2f} %",
        "3",
        f"{100 * (mean - half):.2f} to {100 * (mean + half):.2f} %",
    ]
    assert f"| {' | '.join(by_name['k5-s1-p2'])} |".replace("~", "\\~") in text


def test_impossible_variants_stand_with_their_reasons(grid: Report) -> None:
    reasons = [line for line in grid.page.of("li") if "skipped, seeds 0, 1, 2: conv" in line]
    assert [reason.split()[0] for reason in reasons] == ["k5-s2-p0", "k7-s1-p0", "k7-s2-p0"]
    assert all("would have an empty output" in reason for reason in reasons)


def test_what_is_unreadable_is_named(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path / "mnist", (3,), (1,), (0,), (0,))
    broken = study / "half" / "run.json"
    broken.parent.mkdir()
    broken.write_text('{"schema": 1,')
    _, page, text = written(tmp_path, study)
    assert "Not read" in page.of("h2")
    assert any(str(broken) in line for line in page.of("li"))
    assert "## Not read" in text


def test_the_same_runs_give_the_same_bytes(grid: Report, study: Path, tmp_path: Path) -> None:
    written(tmp_path, study, command=COMMAND)
    first, second = (
        {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (grid.folder, tmp_path)
    )
    assert {path.name for path in first} > {"report.html", "report.md"}
    assert first == second


def test_a_page_is_whole_by_itself(grid: Report) -> None:
    page = (grid.folder / "report.html").read_text("utf-8")
    # The bundle knows addresses of map tiles; the policy forbids to ask for them.
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"https?://|\bsrc=|\bhref=|url\(|@import", own)
    assert page.count("<script>") == 2
    assert "default-src 'none'" in page[:1500]
    assert len(page.encode()) < 6_000_000


def test_pictures_lie_beside_the_text_that_shows_them(study: Path, tmp_path: Path) -> None:
    runs, unreadable = read(study)
    path = tmp_path / "my report (1).md"
    report.write(runs, unreadable, path, None)
    tokens = MarkdownIt().parse(path.read_text("utf-8"))
    images = [child for token in tokens for child in token.children or [] if child.type == "image"]
    sources = [str(image.attrs["src"]) for image in images]
    assert sources[0] == "my%20report%20%281%29_files/accuracy-samples.png"
    files = sorted((tmp_path / "my report (1)_files").iterdir())
    assert sorted(source.rpartition("/")[2] for source in sources) == [f.name for f in files]
    assert len(files) >= 4
    assert all(file.read_bytes().startswith(PNG) for file in files)
    assert all(image.content for image in images)


def test_names_are_shown_and_run_nothing(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path / HOSTILE, (3, 5), (1, 2), ("half",), metrics=planted)
    _, page, text = written(tmp_path, study)
    assert "".join(page.of("h1")).endswith(HOSTILE)
    assert "img" not in page.tags
    assert "<img" not in re.sub(
        r"<script>.*?</script>", "", (tmp_path / "report.html").read_text("utf-8"), flags=re.DOTALL
    )
    assert "<img" not in MarkdownIt().enable("table").render(text).replace('<img src="report_', "")


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        "a|b",
        "`code` *bold* _it_ **b** ~~gone~~ [x](http://a) ![x](y) <http://a> &amp; &lt;",
        "- item",
        "+ item",
        "1. item",
        "12) item",
        "# heading",
        "$x$ \\ back\\slash",
        "> quote",
        "k3-s1-p1 (lr 0.01, max_epochs 3)",
        "two\nlines",
        "---",
    ],
)
def test_markdown_shows_text_as_it_is(text: str) -> None:
    shown = text.replace("\n", "\\n")
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    (_, paragraph, _) = parser.parse(escape_markdown(text))
    assert "".join(child.content for child in paragraph.children or []) == shown
    assert {child.type for child in paragraph.children or []} <= {"text", "text_special"}
    table = Page.__new__(Page)
    HTMLParser.__init__(table)
    table.texts, table.rows, table.tags, table._open = [], [], [], []
    table.feed(parser.render(f"| a | b |\n| :-- | --: |\n| {escape_markdown(text)} | 1 |"))
    assert table.rows == [["a", "b"], [shown, "1"]]


def test_a_section_per_setting(make_study: MakeStudy, tmp_path: Path) -> None:
    for rate in (0.01, 0.02):
        config = {"optim": {"lr": rate}}
        make_study(tmp_path / "mixed", (3, 5), (1, 2), ("half",), config=config, metrics=planted)
    config = {"trainer": {"max_epochs": 9}}
    make_study(tmp_path / "mixed", (3,), (1,), ("half",), config=config, metrics=planted)
    _, page, text = written(tmp_path, tmp_path / "mixed")
    first, second = "lr 0.01, max_epochs 5", "lr 0.02, max_epochs 5"
    assert [heading for heading in page.of("h2") if heading.startswith("With ")] == [
        f"With {first}",
        f"With {second}",
        "With other settings",
    ]
    # The variants of each setting, and the settings of the variant that has several.
    begun = [line.partition(": ")[0] for line in page.of("li")[:3]]
    assert sorted(begun) == ["k3-s1-p1", first, second]
    assert "1 more setting, of fewer variants: see the table." in page.of("p")
    assert "report_files/heat-2.png" in text


def test_settings_of_one_variant_each_share_their_figures(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    for number in range(MOST_SETTINGS + 1):
        config = {"optim": {"lr": 0.01 * 2**number}}
        make_study(tmp_path / "rates", (3,), (1,), ("half",), config=config, metrics=planted)
    page = written_page(tmp_path, tmp_path / "rates")
    assert [heading for heading in page.of("h2") if heading.startswith("Figures")] == ["Figures"]


def test_figures_are_bounded(make_study: MakeStudy, tmp_path: Path) -> None:
    for number in range(MOST_SETTINGS + 2):
        config = {"optim": {"lr": 0.01 * 2**number}}
        make_study(tmp_path / "m", (3, 5), (1,), ("half",), (0,), config=config, metrics=planted)
    page = written_page(tmp_path, tmp_path / "m")
    parts = [heading for heading in page.of("h2") if heading.startswith("With ")]
    assert len(parts) == MOST_SETTINGS + 1
    assert "2 more settings, of fewer variants: see the table." in page.of("p")


@pytest.mark.parametrize(
    ("conv", "said"),
    [
        (((3,), (1,), ("half",), (0,)), "effects need finished runs of at least 2 variants"),
        (((7,), (2,), (0,), (0,)), "got 0 in 0 finished runs"),
    ],
    ids=["one run", "an impossible one"],
)
def test_what_cannot_be_drawn_says_why(
    make_study: MakeStudy, tmp_path: Path, conv: Any, said: str
) -> None:
    study = make_study(tmp_path / "small", *conv, metrics=planted)
    _, page, text = written(tmp_path, study)
    (sentence,) = (line for line in page.of("p") if said in line)
    assert sentence.startswith("Not drawn: ")
    assert escape_markdown(sentence) in text


def test_commands_that_differ_in_their_seed_alone_are_one_sweep() -> None:
    commands = [
        *(f"python scripts/train.py conv.stride=2 seed={seed} study=a" for seed in (10, 2, 0)),
        "python scripts/train.py conv.stride=1 seed=3",
        "python scripts/train.py conv.stride=3",
        "python scripts/train.py conv.stride=3",
        "python scripts/train.py my_seed=1 seed=0",
    ]
    assert by_seed(commands) == [
        "python scripts/train.py -m conv.stride=2 seed=0,2,10 study=a",
        "python scripts/train.py conv.stride=1 seed=3",
        "python scripts/train.py conv.stride=3",
        "python scripts/train.py my_seed=1 seed=0",
    ]


def test_commands_are_bounded_and_cannot_leave_their_block(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    make_study(tmp_path / "s", (3,), (1,), ("half",), command="a ```` b\n```\n# out")
    _, page, text = written(tmp_path, tmp_path / "s")
    assert "`````sh\na ```` b\\n```\\n# out\n`````" in text
    assert page.of("code") == ["a ```` b\\n```\\n# out"]

    runs, unreadable = read(tmp_path / "s")
    runs = DataFrame([runs.iloc[0]] * (MOST_COMMANDS + 5))
    runs["command"] = [f"python scripts/train.py conv.stride={n}" for n in range(len(runs))]
    report.write(runs, unreadable, tmp_path / "many.html", None)
    page = Page(tmp_path / "many.html")
    assert page.of("code")[-1].count("\n") == MOST_COMMANDS - 1
    assert "5 more are not shown: each run's own is in its run.json." in page.of("p")


def test_what_cannot_be_written_leaves_the_old_one(study: Path, tmp_path: Path) -> None:
    runs, unreadable = read(study)
    with pytest.raises(UserError, match=r"^a report must end in \.html or \.md, got report\.pdf$"):
        report.write(runs, unreadable, tmp_path / "report.pdf", None)
    with pytest.raises(UserError, match=r"^a report must have a run to tell of, got none$"):
        report.write(runs[:0], unreadable, tmp_path / "report.html", None)
    with pytest.raises(UserError, match=r"nowhere/report\.html could not be written: No such"):
        report.write(runs, unreadable, tmp_path / "nowhere" / "report.html", None)
    with pytest.raises(UserError, match=r"nowhere/report_files cannot be made: No such"):
        report.write(runs, unreadable, tmp_path / "nowhere" / "report.md", None)
    (tmp_path / "report.md").write_text("old")
    (tmp_path / "report_files").write_text("a file")
    with pytest.raises(UserError, match="report_files cannot be made: File exists"):
        report.write(runs, unreadable, tmp_path / "report.md", None)
    assert (tmp_path / "report.md").read_text() == "old"


def test_a_page_knows_the_runs_it_is_of(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path / "mnist", (3,), (1,), (0,), (0, 1))
    page = tmp_path / "report.html"
    assert not report.is_current(page, *read_study(study))
    report.write(*read(study), page, None)
    assert report.is_current(page, *read_study(study))
    record = next(study.glob("*k3-s1-p0-seed0*")) / "run.json"
    before = record.read_text()
    record.write_text(before.replace("12:00:30Z", "12:00:31Z"))
    assert not report.is_current(page, *read_study(study))
    record.write_text(before)
    assert report.is_current(page, *read_study(study))
    (study / "new").mkdir()
    (study / "new" / "run.json").touch()
    assert not report.is_current(page, *read_study(study))


def test_figures_hold_what_the_functions_draw(grid: Report, study: Path) -> None:
    (text,) = (text for text in grid.page.of("script") if text.startswith('{"accuracy-samples"'))
    # What a browser would take for the element's end, or a comment's beginning.
    assert "<" not in text
    figures: Mapping[str, Any] = json.loads(text)
    drawn = json.loads(accuracy_against(read(study)[0]).to_json())
    assert figures["accuracy-samples"]["light"]["data"] == drawn["data"]
    assert list(figures) == [
        "accuracy-samples",
        "accuracy-macs",
        "heat",
        "effects",
        "map-sizes",
    ]
