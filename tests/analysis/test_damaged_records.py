"""One value of a record or of a history changed: the run is shown or skipped, nothing raises."""

import contextlib
import copy
import dataclasses
import io
import json
import math
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from werkzeug.test import Client

import convscope
from convscope import report
from convscope.analysis.frame import Reader
from convscope.cli.compare import main
from convscope.errors import UserError
from convscope.geometry import convs_from_config
from convscope.lesson.page import write_page
from convscope.plots import FIGURES
from convscope.plots.curves import load_curves
from convscope.runs.identity import identity
from convscope.runs.record import RunRecord, read_record, write_record
from convscope.sweep.plan import plan_runs
from convscope.tensorboard_plugin import ConvScopePlugin
from convscope.training.request import RunRequest
from convscope.training.show import show_run
from convscope.training.train import train

from ..convs import stack_geometry

VALUES: tuple[Any, ...] = (
    *(10**400, -(10**400), 2**64, 2**53, 10**12, 1, 0, -1, 0.5, 1.5, -0.5, 1e308, 1e-300),
    *(float("inf"), float("-inf"), float("nan"), None, True, False),
    *("", "359", "same", "k3-s1-p1", "2026-01-31T12:00:00Z", "x" * 10_000),
    *("a\x1b[31mb\n\r\t\0", "\u202e<script>|=1+cmd", "\udcff"),
    *([], {}, [1], [None], [[1, 1]], ["a", "b"], {"a": 1}, {"threads": 1}, {"": {"": []}}),
)
KEYS = ("status", "record", "variant", "group", "label", "seed", "test_accuracy", "a\x1b|<b>", "")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values within a JSON value."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def changed(document: dict[str, Any], dice: random.Random) -> tuple[str, dict[str, Any]]:
    """A record with one change, and the words for it."""
    document = copy.deepcopy(document)
    *way, last = path = dice.choice(list(places(document)))
    node: Any = document
    for key in way:
        node = node[key]
    action = dice.choice(("replace",) * 8 + ("remove", "add"))
    value = nested(900) if dice.random() < 0.02 else dice.choice(VALUES)
    if action == "replace":
        node[last] = value
    elif action == "remove":
        del node[last]
    elif isinstance(node[last], dict):
        node[last][dice.choice(KEYS)] = value
    elif isinstance(node[last], list):
        node[last].append(value)
    else:
        node[last] = [node[last], value]
    return f"{action} {'.'.join(map(str, path))} by {repr(value)[:60]}", document


@dataclass(frozen=True)
class Study:
    request: RunRequest
    record: RunRecord

    @property
    def run(self) -> Path:
        return self.request.directory.path

    @property
    def folder(self) -> Path:
        return self.run.parent


@pytest.fixture(scope="module")
def study(ask: Callable[..., RunRequest], tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A trained run, two other seeds of it, and another variant with two."""
    request = ask(tmp_path_factory.mktemp("damaged") / "outputs", "trainer.max_epochs=1")
    record = train(request)
    assert record.status == "finished", record.reason
    for seed, stride in ((1, 1), (2, 1), (0, 2), (1, 2)):
        config = copy.deepcopy(record.config) | {"seed": seed}
        config["conv"]["stride"] = [[stride, stride]] * 2
        geometry = stack_geometry(
            record.dataset["input_shape"],
            convs_from_config(config["conv"]),
            config["model"]["channels"],
            config["model"]["pool_after"],
            len(record.dataset["classes"]),
        )
        other = dataclasses.replace(
            record,
            id=identity(config),
            name=f"k3-s{stride}-seed{seed}",
            variant=f"k3-s{stride}-p1",
            config=config,
            geometry=geometry.as_records(),
            params=geometry.params,
            macs=geometry.macs,
            metrics={**record.metrics, "test_accuracy": 0.5 + seed / 10 - stride / 20},
        )
        folder = request.directory.path.parent / other.name
        folder.mkdir()
        write_record(folder / "run.json", other)
    return Study(request, record)


def answers(study: Study) -> None:
    """The tab asks for all that it shows."""
    apps = ConvScopePlugin(SimpleNamespace(logdir=str(study.folder.parent))).get_plugin_apps()

    def ask(route: str, **parameters: str) -> Any:
        answer = Client(apps[route]).get(route, query_string=parameters)
        assert answer.status_code == 200
        return json.loads(answer.data, parse_constant=pytest.fail)

    told = ask("/runs")
    ask("/leaders")
    ask("/words")
    for name in ("accuracy_against", "heat", "effects", "parallel", "map_sizes", "curves"):
        ask("/figure", name=name)
    if len(told["runs"]) > 1:
        first, second = told["runs"][0], told["runs"][-1]
        ask("/diff", first=first["id"], second=second["id"])
        ask("/diff", first=first["group"], second=second["group"])


FORMATS = ("table", "csv", "json", "markdown", "latex")


def commands(study: Study, patch: pytest.MonkeyPatch, folder: Path) -> None:
    """compare.py in all its forms."""
    other = str(study.folder / "k3-s1-seed1")
    for arguments in (
        *([str(study.folder), "--format", kind] for kind in FORMATS),
        *([str(study.folder), "--runs", "--format", kind] for kind in FORMATS),
        [str(study.folder), "--report", str(folder / "report.html")],
        [str(study.folder), "--report", str(folder / "report.md")],
        ["diff", str(study.run), other],
        ["diff", other, str(study.run), "--format", "json"],
    ):
        patch.setattr(sys, "argv", ["compare.py", *arguments])
        # Real files: the command writes to their descriptors with streams of its own.
        with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            code = main()
        assert code in (0, 2), arguments
        lines = (folder / "stderr").read_text("utf-8").splitlines()
        assert (code == 2) == any(line.startswith("error: ") for line in lines), lines


def told(use: Callable[[], object]) -> str:
    """What a UserError says, or nothing."""
    try:
        use()
    except UserError as error:
        return str(error)
    return ""


def single(study: Study, folder: Path) -> None:
    """What reads the one record."""
    for use in (
        lambda: convscope.load(study.run),
        lambda: write_page(folder / "page.html", run=study.run),
        lambda: plan_runs([study.request]),
        lambda: show_run(train(study.request), Console(file=io.StringIO())),
    ):
        assert "\n" not in told(use)


def hold(study: Study, changes: int, seed: int, folder: Path, patch: pytest.MonkeyPatch) -> int:
    """Change the record of the trained run again and again; returns how many are skipped."""
    path = study.request.directory.record
    whole = json.loads(path.read_bytes())
    before = [(r.id, r.status) for r in Reader([study.folder]).read()[0]["record"]]
    unreadable = 0
    dice = random.Random(seed)
    try:
        for number in range(changes):
            what, document = changed(whole, dice)
            path.write_text(json.dumps(document))
            try:
                runs, left = Reader([study.folder]).read()
                assert len(runs) + len(left) == len(before)
                assert len(left) <= 1, left
                if left:
                    unreadable += 1
                    assert left[0].path == study.run
                    assert "\n" not in left[0].reason
                    assert len(left[0].reason) < 2 * len(str(study.run)) + 300
                single(study, folder)
                if not left:
                    answers(study)
                    commands(study, patch, folder)
            except Exception as error:
                raise AssertionError(f"change {number} of seed {seed}: {what}") from error
    finally:
        path.write_text(json.dumps(whole))
    return unreadable


def damaged(history: bytes, dice: random.Random) -> bytes:
    """A history with one cell, line or byte changed."""
    lines = history.decode().split("\n")
    line, action = dice.randrange(len(lines)), dice.choice(("cell", "cell", "line", "byte", "cut"))
    if action == "cell":
        cells = lines[line].split(",")
        cells[dice.randrange(len(cells))] = dice.choice(
            ("", "nan", "-inf", "1e999", "1e308", "-1", "0", "x", '"', "9" * 400, "9" * 5000, "1_0")
        )
        lines[line] = ",".join(cells)
    elif action == "line":
        lines[line : line + dice.randrange(2)] = [dice.choice(lines), "\0" * dice.randrange(9)]
    content = "\n".join(lines).encode()
    if action == "cut":
        return content[: dice.randrange(len(content))]
    if action == "byte":
        place = dice.randrange(len(content))
        return content[:place] + bytes([dice.randrange(256)]) + content[place + 1 :]
    return content


def hold_history(study: Study, changes: int, seed: int, folder: Path) -> None:
    """Damage the history of the trained run again and again."""
    path = study.request.directory.history
    whole, record = path.read_bytes(), study.request.directory.record
    finished = record.read_bytes()
    stopped = dataclasses.replace(study.record, status="interrupted", reason="SIGTERM")
    runs = Reader([study.folder]).read()[0]
    write_record(record, stopped)
    dice = random.Random(seed)
    try:
        for number in range(changes):
            path.write_bytes(content := damaged(whole, dice))
            try:
                for metric in ("train/loss", "val/accuracy"):
                    curves, unreadable = load_curves(runs, metric)
                    assert all("\n" not in line for line in unreadable)
                    assert all(
                        map(math.isfinite, curves[next(iter(curves))].means) if curves else ()
                    )
                (planned,) = plan_runs([study.request])
                assert planned.epochs_done >= 0
                if number % 20 == 0:
                    assert "\n" not in told(lambda: FIGURES["curves"].draw(runs).to_json())
                    report.write(runs, [], folder / "report.html", None)
            except Exception as error:
                raise AssertionError(f"change {number} of seed {seed}: {content!r}") from error
    finally:
        path.write_bytes(whole)
        record.write_bytes(finished)


def test_a_record_with_one_value_changed_is_shown_or_skipped(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable = hold(study, 12, 0, tmp_path, monkeypatch)
    assert 0 < unreadable < 12


def test_a_study_whose_name_is_longer_than_a_path_has_its_results_shown(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.training.show.print_stderr", pytest.fail)
    console = Console(record=True, width=200)
    record = dataclasses.replace(read_record(study.request.directory.record), study="x" * 5000)
    show_run(record, console)
    shown = console.export_text()
    assert f"test accuracy {100 * record.metrics['test_accuracy']:.2f} %" in shown
    assert "xxx" not in shown


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("geometry", 0, "name"), "x" * 10_000, "name is xxx"),
        (("geometry", 1, "kind"), "x" * 10_000, "kind is xxx"),
        (("config",), {"a": 1}, "does not say what was trained: KeyError"),
    ],
)
def test_what_a_record_is_skipped_for_is_short(
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
    path: tuple[Any, ...],
    value: object,
    reason: str,
) -> None:
    monkeypatch.setattr("convscope.training.show.print_stderr", pytest.fail)
    record = study.request.directory.record
    whole = record.read_bytes()
    document = json.loads(whole)
    *way, last = path
    node: Any = document
    for key in way:
        node = node[key]
    node[last] = value
    try:
        record.write_text(json.dumps(document))
        _, (left,) = Reader([study.folder]).read()
        assert reason in left.reason
        assert len(left.reason) < 2 * len(str(study.run)) + 300
        with contextlib.suppress(UserError):
            show_run(read_record(record), Console(file=io.StringIO()))
    finally:
        record.write_bytes(whole)


def test_a_record_whose_data_set_has_no_name_is_drawn_as_of_an_unknown_one(study: Study) -> None:
    path = study.request.directory.record
    whole = path.read_bytes()
    document = json.loads(whole)
    document["dataset"]["name"] = None
    try:
        path.write_text(json.dumps(document))
        runs, _ = Reader([study.folder]).read()
        assert "unknown" in set(runs["dataset"])
        assert FIGURES["accuracy_against"].draw(runs, "macs").data
    finally:
        path.write_bytes(whole)


def test_a_damaged_history_is_told_of(study: Study, tmp_path: Path) -> None:
    hold_history(study, 60, 0, tmp_path)


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(1, 7))
def test_records_with_one_value_changed_are_shown_or_skipped(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    hold(study, 500, seed, tmp_path, monkeypatch)
    hold_history(study, 1000, seed, tmp_path)


@pytest.mark.parametrize("accuracy", ["1.5", "-0.25", "1e308"])
def test_an_accuracy_of_a_history_that_is_none_is_told(study: Study, accuracy: str) -> None:
    path = study.request.directory.history
    whole = path.read_bytes()
    header, row = whole.decode().splitlines()[:2]
    cells = row.split(",")
    cells[header.split(",").index("val/accuracy")] = accuracy
    runs = Reader([study.folder]).read()[0]
    try:
        path.write_text(f"{header}\n{','.join(cells)}\n")
        curves, (said,) = load_curves(runs, "val/accuracy")
        assert said == (
            f"{path} epoch 1: val/accuracy must be a share, 0 to 1, got {float(accuracy)}"
        )
        assert curves == {}
    finally:
        path.write_bytes(whole)
