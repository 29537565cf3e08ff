"""Diagnostics of a run, from the command line to record, files and TensorBoard."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import convscope
from convscope.data.sources import load
from convscope.diagnostics.subject import Measured, Subject
from convscope.metrics import diagnostics
from convscope.runs.predictions import read_arrays, read_predictions, write_predictions
from convscope.runs.record import RunRecord, read_record, write_record
from convscope.streams import log_to_terminal
from convscope.training import diagnosis
from convscope.training.diagnose import with_diagnostics
from convscope.training.request import RunRequest
from convscope.training.train import train

from ..cli.conftest import Called, call  # noqa: F401 (a fixture)
from ..conftest import TINY, Scalars

Ask = Callable[..., RunRequest]
SCRIPTS = Path(__file__).parents[2] / "scripts"


def trained(ask: Ask, folder: Path, *overrides: str) -> RunRecord:
    request = ask(folder, *overrides)
    assert train(request).status == "finished"
    return read_record(request.directory.record)


def test_predictions_are_those_of_the_checkpoint(ask: Ask, tmp_path: Path) -> None:
    record = trained(ask, tmp_path, "conv.stride=2", "trainer.precision=32-true")
    assert record.path is not None
    found = read_predictions(record.path / "predictions.npz")
    images = load("digits", "")
    probabilities = convscope.load(record).scores(images.test_images).double().numpy()
    labels = images.test_labels
    own = probabilities[np.arange(len(labels)), labels]
    assert (found.predicted == probabilities.argmax(axis=1)).all()
    np.testing.assert_allclose(found.probability, own, atol=1e-6)
    np.testing.assert_allclose(found.loss, -np.log(own), rtol=1e-5)
    assert (found.predicted == labels).mean() == pytest.approx(record.metrics["test_accuracy"])
    assert found.loss.mean() == pytest.approx(record.metrics["test_loss"], rel=1e-6)
    assert (record.path / "predictions.npz").stat().st_size < 300_000


def test_predictions_of_part_of_the_test(ask: Ask, tmp_path: Path) -> None:
    record = trained(ask, tmp_path, "trainer.limit_test_batches=2", "data.batch_size=50")
    assert record.path is not None
    found = read_predictions(record.path / "predictions.npz")
    labels = load("digits", "").test_labels[:100]
    assert (found.predicted == labels).mean() == pytest.approx(record.metrics["test_accuracy"])


def test_what_a_run_says_of_itself(
    ask: Ask, tmp_path: Path, scalars: Callable[[Path], Scalars]
) -> None:
    record = trained(ask, tmp_path, "diagnostics=standard")
    assert record.path is not None
    about = record.environment["diagnostics"]
    assert (about["level"], about["images"], about["device"]) == (
        *("standard", 50_000 // 28**2),
        record.environment["device"],
    )
    found = scalars(record.path)
    names = [name for name in diagnostics() if name in record.metrics]
    assert {"shift_change", "erf_side", "ece"} <= set(names)
    for name in names:
        value = pytest.approx(record.metrics[name], rel=1e-6)
        assert found[f"diagnostics/{name}"] == [(24, value)]
        assert found[f"summary/{name}"] == [(0, value)]
    arrays = read_arrays(record.path / "diagnostics.npz")
    assert arrays["calibration_images"].sum() == 359
    page = (SCRIPTS.parent / "docs" / "diagnostics.md").read_text("utf-8")
    assert set(arrays) == set(re.findall(r"`(\w+)`", page[page.index("| array |") :]))


def test_the_same_command_adds_what_is_missing(ask: Ask, tmp_path: Path) -> None:
    before = trained(ask, tmp_path)
    assert "diagnostics" not in before.environment
    assert not set(diagnostics()) & set(before.metrics)
    assert before.path is not None
    checkpoint = (before.path / "checkpoints" / "best.ckpt").read_bytes()
    told: list[str] = []
    with log_to_terminal(told.append):
        after = train(ask(tmp_path, "diagnostics=standard"))
    assert told == [f"{before.name} is already finished; rerun=true retrains it"]
    assert after.metrics.items() > before.metrics.items()
    assert (before.path / "checkpoints" / "best.ckpt").read_bytes() == checkpoint
    assert before == dataclasses.replace(
        read_record(before.path / "run.json"),
        metrics=before.metrics,
        environment=before.environment,
    )


def test_full_measures_all_images_and_is_not_replaced(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled: list[bool] = []

    def measure(subject: Subject) -> Measured:
        sampled.append(subject.is_sampled)
        return Measured()

    monkeypatch.setattr(diagnosis, "MEASURES", (measure,))
    record = trained(ask, tmp_path, "diagnostics=standard")
    assert record.environment["diagnostics"]["images"] == 63
    full = train(ask(tmp_path, "diagnostics=full"))
    assert full.environment["diagnostics"]["images"] == 359
    assert train(ask(tmp_path, "diagnostics=standard")).environment == full.environment
    assert sampled == [True, False]


@pytest.mark.parametrize(
    ("overrides", "images"),
    [
        # 1,293 training images in batches of 64 are 20 steps: 12,800 samples of 10 epochs.
        (("trainer.max_epochs=10",), 12_800 // 150),
        (("trainer.max_epochs=1", "trainer.limit_train_batches=1"), 63),
        (("trainer.max_epochs=1", "trainer.limit_test_batches=1"), 32),
    ],
)
def test_how_many_images(
    ask: Ask,
    tmp_path: Path,
    overrides: tuple[str, ...],
    images: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diagnosis, "MEASURES", ())
    size = 32 if images == 32 else 64
    typed = (*overrides, f"data.batch_size={size}", "diagnostics=standard")
    if images > 63:
        typed = (*typed, "trainer.limit_train_batches=1.0")
    assert trained(ask, tmp_path, *typed).environment["diagnostics"]["images"] == images


def test_an_error_in_a_measure_is_told_in_one_line(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(subject: Subject) -> Measured:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(diagnosis, "MEASURES", (measure,))
    record = trained(ask, tmp_path)
    told: list[str] = []
    with log_to_terminal(told.append):
        assert train(ask(tmp_path, "diagnostics=standard")) == record
    assert told[1:] == [f"{record.name} has no diagnostics: RuntimeError: out of memory"]


def test_the_images_are_evenly_spaced(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an image_folder, the first images are all of the first class."""
    measured: list[Subject] = []

    def measure(subject: Subject) -> Measured:
        measured.append(subject)
        return Measured()

    monkeypatch.setattr(diagnosis, "MOST_IMAGES", 4)
    monkeypatch.setattr(diagnosis, "MEASURES", (measure,))
    trained(ask, tmp_path, "diagnostics=standard", "data.test_flip=true")
    images = load("digits", "")
    chosen = [0, 89, 179, 269]
    pixels = torch.from_numpy(images.test_images[chosen]).permute(0, 3, 1, 2).double()
    (subject,) = measured
    torch.testing.assert_close(
        subject.images.double(), (pixels - images.mean[0]) / images.std[0], rtol=1e-6, atol=1e-6
    )
    assert subject.labels.tolist() == images.test_labels[chosen].tolist()
    assert subject.black.item() == pytest.approx(-images.mean[0] / images.std[0])
    assert subject.test_flip


def test_a_run_killed_meanwhile_is_finished(ask: Ask, tmp_path: Path) -> None:
    typed = [*TINY, f"output_dir={tmp_path}", "diagnostics=standard"]
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    code = (
        "import sys; from convscope.training import diagnosis\n"
        f"def measure(subject):\n    {killed}\n"
        "diagnosis.MEASURES = (measure,)\n"
        f"import convscope; convscope.train(*{typed!r})"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (folder,) = (tmp_path / "default").iterdir()
    record = read_record(folder / "run.json")
    assert record.status == "finished"
    assert record.metrics["test_accuracy"] > 0
    assert "diagnostics" not in record.environment
    again = train(ask(tmp_path, "diagnostics=standard"))
    assert again.environment["diagnostics"]["images"] == 63
    assert again.metrics.items() > record.metrics.items()


def test_a_lost_checkpoint_is_told_in_one_line(ask: Ask, tmp_path: Path) -> None:
    record = trained(ask, tmp_path)
    assert record.path is not None
    (record.path / "checkpoints" / "best.ckpt").unlink()
    told: list[str] = []
    with log_to_terminal(told.append):
        assert train(ask(tmp_path, "diagnostics=standard")) == record
    assert told[1:] == [
        f"{record.name} has no diagnostics: cannot read {record.path}/checkpoints/best.ckpt:"
        " missing or damaged checkpoint (No such file or directory); delete the folder"
        f" {record.path} or add rerun=true"
    ]


def test_a_study_without(
    call: Called,  # noqa: F811
    ask: Ask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Runs of an older version have neither predictions nor diagnostics: a dash, never a zero."""
    monkeypatch.chdir(tmp_path)
    runs = [
        trained(ask, Path("outputs"), f"conv.stride={stride}", "study=old") for stride in (1, 2, 3)
    ]
    predictions = [Path(run.path, "predictions.npz").read_bytes() for run in runs if run.path]
    for run in runs:
        assert run.path is not None
        (run.path / "predictions.npz").unlink()
    shutil.move(runs[2].path / "checkpoints" / "best.ckpt", tmp_path)
    code, out, err = call("compare", "old", "--diagnose")
    assert code == 0
    assert re.fullmatch(rf"diagnostics of 3 runs\n{runs[2].name} has no diagnostics: .*\n", err)
    head, _, *lines = out[out.index("   variant") :].splitlines()
    assert "1 px changes" in head
    dashes = {"".join(re.findall(r"k3-s\d-p1", line)): line.count("–") for line in lines[:3]}
    # One seed gives no interval.
    assert (dashes["k3-s1-p1"], dashes["k3-s2-p1"]) == (1, 1)
    assert dashes["k3-s3-p1"] > 1
    for run, before in zip(runs[:2], predictions, strict=False):
        assert Path(run.path, "predictions.npz").read_bytes() == before
    shutil.move(tmp_path / "best.ckpt", runs[2].path / "checkpoints")
    assert call("compare", "old", "--diagnose")[2] == ""
    _, out, _ = call("compare", "old", "--format", "json")
    assert all(row[name] is not None for row in json.loads(out)["rows"] for name in diagnostics())


def test_other_images_are_refused(ask: Ask, tmp_path: Path) -> None:
    record = trained(ask, tmp_path)
    assert record.path is not None
    other = dataclasses.replace(record, dataset=record.dataset | {"fingerprint": "0" * 64})
    config = {**other.config, "data": {**other.config["data"], "fingerprint": "0" * 64}}
    write_record(record.path / "run.json", dataclasses.replace(other, config=config))
    told: list[str] = []
    with log_to_terminal(told.append):
        with_diagnostics([read_record(record.path / "run.json")], "standard", diagnosis.diagnose)
    assert len(told) == 1
    assert "the digits images under data.root=" in told[0]
    assert f"are not those that {record.name} was trained on" in told[0]


def test_a_sweep_and_its_finished_runs(tmp_path: Path) -> None:
    def sweep(*overrides: str) -> str:
        command = [sys.executable, SCRIPTS / "train.py", "-m", *TINY, *overrides]
        environment = os.environ | {"COLUMNS": "200"}
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=True
        )
        return ended.stdout + ended.stderr

    sweep("conv.stride=1,2")
    told = sweep("conv.stride=1,2,3", "diagnostics=standard")
    assert "diagnostics of 2 runs" in told
    records = [read_record(path) for path in tmp_path.glob("outputs/default/*/run.json")]
    assert len(records) == 3
    assert all(record.environment["diagnostics"]["images"] == 63 for record in records)
    assert "1 px changes" in told


def test_answers_are_added_to_older_predictions(
    call: Called,  # noqa: F811
    ask: Ask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--diagnose` adds only what is missing: the diagnostics stay as they were measured."""
    monkeypatch.chdir(tmp_path)
    record = trained(ask, Path("outputs"), "study=old", "diagnostics=full")
    assert record.path is not None
    path = record.path / "predictions.npz"
    before, measured = path.read_bytes(), Path(record.path, "run.json").read_bytes()
    known = read_predictions(path)
    assert known.correct is not None
    assert known.correct.mean() == pytest.approx(record.metrics["test_accuracy"])
    # Two classes tie: what is right cannot be told from the probabilities.
    tie = known.probability.copy()
    tie[~known.correct] = known.confidence[~known.correct]
    write_predictions(path, dataclasses.replace(known, correct=None, probability=tie))
    code, _, err = call("compare", "old", "--diagnose")
    assert (code, err) == (0, "")
    write_predictions(
        path, dataclasses.replace(read_predictions(path), probability=known.probability)
    )
    assert path.read_bytes() == before
    assert Path(record.path, "run.json").read_bytes() == measured
