"""What TensorBoard shows of a run costs no run that was tested, whatever classes are called."""

import signal
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from convscope.streams import log_to_terminal
from convscope.training import results
from convscope.training.request import RunRequest
from convscope.training.signals import Interrupted
from convscope.training.tensorboard.logger import RunTensorBoardLogger
from convscope.training.train import train

Ask = Callable[..., RunRequest]

CLASSES = ("$1_$", "$\\frac$", "<b>[red]=1+2|`", "猫" * 20, "x" * 200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in classes whose names are formulas, markup, and in letters that fonts lack."""
    root = tmp_path_factory.mktemp("images")
    shade = np.random.default_rng(0)
    for part, many in (("train", 16), ("test", 2)):
        for name in CLASSES:
            for number in range(many):
                path = root / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = shade.integers(0, 255, (12, 12), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
    return root


def test_names_of_classes_are_no_formulas(
    ask: Ask, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a matplotlibrc may have it: there is no LaTeX here.
    monkeypatch.setitem(mpl.rcParams, "text.usetex", True)
    asked = ask(
        tmp_path,
        "data=image_folder",
        f"data.root={folder}",
        "data.batch_size=8",
        "model.channels=[4,8]",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=1.0",
    )
    told: list[str] = []
    with log_to_terminal(told.append):
        record = train(asked)
    assert record.status == "finished", record.reason
    assert [line for line in told if "missing" in line] == []
    log = asked.directory.train_log.read_text()
    assert "missing" not in log
    assert "Glyph" not in log


def fails(*_: object, **__: object) -> None:
    raise ValueError("no\nroom for it")


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("confusion_picture", "confusion/test missing in TensorBoard: ValueError: no room for it"),
        (
            "run_pictures",
            "filters/ and feature_maps/ missing in TensorBoard: ValueError: no room for it",
        ),
        ("end_row", "test/ and summary/ missing in TensorBoard: ValueError: no room for it"),
    ],
)
def test_what_cannot_be_shown_is_told_and_the_run_is_finished(
    what: str, told: str, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = RunTensorBoardLogger if what == "end_row" else results
    monkeypatch.setattr(owner, what, fails)
    asked = ask(tmp_path, "trainer.max_epochs=1", "trainer.limit_train_batches=2")
    lines: list[str] = []
    with log_to_terminal(lines.append):
        record = train(asked)
    assert record.status == "finished", record.reason
    assert 0 <= record.metrics["test_accuracy"] <= 1
    assert lines[-1] == told
    logged = asked.directory.train_log.read_text().splitlines()
    assert [line.endswith(f" WARNING {told}") for line in logged].count(True) == 1


def test_a_signal_still_ends_it(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(results, "confusion_picture", interrupted)
    asked = ask(tmp_path, "trainer.max_epochs=1", "trainer.limit_train_batches=2")
    record = train(asked)
    assert (record.status, record.reason) == ("interrupted", "SIGTERM")
