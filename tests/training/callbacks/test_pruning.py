"""Which runs of a study end at a rung, and what becomes of a run that did."""

import dataclasses
import hashlib
import itertools
import logging
import math
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata

from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.runs.record import RunRecord, read_record, write_record
from convscope.training.callbacks import checkpoints
from convscope.training.callbacks.pruning import LEAST, is_pruned, reason_to_prune, rungs
from convscope.training.request import RunRequest
from convscope.training.train import train

Ask = Callable[..., RunRequest]
EPOCHS = "trainer.max_epochs=2"
EIGHT = "trainer.max_epochs=8"
TIMED = ("samples_per_sec", "step_ms", "peak_mb")


def test_rungs_are_half_of_the_epochs_and_a_quarter_of_eight_or_more() -> None:
    assert {epochs: sorted(rungs(epochs)) for epochs in (1, 2, 3, 4, 5, 7, 8, 10, 200)} == {
        1: [],
        2: [1],
        3: [2],
        4: [2],
        5: [3],
        7: [4],
        8: [2, 4],
        10: [3, 5],
        200: [50, 100],
    }


def pruned(own: float, *others: float) -> bool:
    return is_pruned(own, {str(number): value for number, value in enumerate(others)})


def test_the_lower_half_is_what_lies_below_the_median() -> None:
    values = (0.91, 0.93, 0.95, 0.97)
    assert [pruned(own, *(v for v in values if v != own)) for own in values] == [
        True,
        True,
        False,
        False,
    ]
    # The one in the middle of an odd number stays.
    values = (0.91, 0.93, 0.95, 0.97, 0.99)
    assert [pruned(own, *(v for v in values if v != own)) for own in values] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_nobody_is_pruned_for_a_tie() -> None:
    assert not pruned(0.95, 0.95, 0.95, 0.95)
    assert not pruned(0.95, 0.95, 0.97, 0.91)
    assert not pruned(0.95, 0.95, 0.95, 0.97)
    # Two equal ones below two others are both in the lower half.
    assert pruned(0.95, 0.95, 0.97, 0.97)


def test_nobody_is_pruned_among_few() -> None:
    assert LEAST == 4
    assert not pruned(0.1)
    assert not pruned(0.1, 0.9)
    assert not pruned(0.1, 0.9, 0.9)
    assert pruned(0.1, 0.9, 0.9, 0.9)


def test_a_validation_accuracy_that_is_no_number_ends_no_run_here() -> None:
    """Its loss is none either, and the run fails with that reason."""
    assert not pruned(math.nan, 0.9, 0.9, 0.9)


@pytest.mark.parametrize("seed", range(20))
def test_it_decides_as_optuna_does(seed: int) -> None:
    """Optuna keeps the best half, rounded down: the same where the number of runs is even."""
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    draw = random.Random(seed)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=2)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    reached: dict[str, float] = {}
    for number in range(1, 13):
        accuracy = draw.randint(0, 9) / 10  # With ties.
        trial = study.ask()
        trial.report(accuracy, step=2)
        theirs = trial.should_prune()
        ours = is_pruned(accuracy, reached)
        reached[str(number)] = accuracy
        if number >= LEAST and number % 2 == 0:
            assert ours == theirs, reached
        elif number >= LEAST:
            # Only the one in the middle stays here and ends there.
            assert theirs or not ours, reached


@pytest.fixture(scope="module")
def whole(ask: Ask, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A run of two epochs that nobody ended."""
    request = ask(tmp_path_factory.mktemp("outputs"), EPOCHS)
    record = train(request)
    assert record.status == "finished", record.reason
    return read_record(request.directory.record)


@pytest.fixture(scope="module")
def longer(whole: RunRecord) -> RunRecord:
    """The record as if it were of eight epochs."""
    trainer = whole.config["trainer"] | {"max_epochs": 8}
    return dataclasses.replace(whole, config=whole.config | {"trainer": trainer})


def plant(
    study: Path, like: RunRecord, accuracies: Sequence[float], name: str = "", **changes: object
) -> Path:
    """Write the record and the history of a run that differs in its kernel size at least."""
    key = hashlib.sha256(f"{name}{accuracies}{changes}".encode()).hexdigest()
    conv = like.config["conv"] | {"kernel_size": [[5, 5], [5, 5]]}
    config = like.config | {"conv": conv} | changes.pop("config", {})  # type: ignore[operator]
    run = RunDirectory(study / f"planted-{key[:8]}")
    run.path.mkdir(parents=True)
    record = dataclasses.replace(like, id=key, name=run.name, config=config)
    write_record(run.record, dataclasses.replace(record, **changes))  # type: ignore[arg-type]
    for epoch, accuracy in enumerate(accuracies, start=1):
        row = {"epoch": epoch, "step": 12 * epoch, "val/loss": 1.0, "val/accuracy": accuracy}
        History(run.history).append(row)
    return run.path


def begun(ask: Ask, folder: Path, accuracies: Sequence[float]) -> RunRequest:
    """A run that has finished epochs with these accuracies."""
    request = ask(folder, EIGHT, "prune=true")
    request.directory.path.mkdir(parents=True)
    for epoch, accuracy in enumerate(accuracies, start=1):
        History(request.directory.history).append(
            {"epoch": epoch, "step": 12 * epoch, "val/accuracy": accuracy}
        )
    return request


def test_a_run_is_compared_with_those_of_its_study_setting_and_seed(
    ask: Ask, longer: RunRecord, tmp_path: Path
) -> None:
    request = begun(ask, tmp_path, [0.8, 0.91])
    study = request.directory.path.parent
    assert reason_to_prune(request) is None
    # Running, failed later, pruned: all have finished an epoch.
    plant(study, longer, [0.8, 0.95, 0.1])
    plant(study, longer, [0.8, 0.93], status="running", metrics={}, ended_at=None)
    plant(
        study, longer, [0.8, 0.97], status="failed", reason="the loss is nan at step 30", metrics={}
    )
    # None of these is like it.
    plant(study, longer, [1.0, 0.99], config={"seed": 1})
    plant(study, longer, [1.0, 0.99], config={"optim": longer.config["optim"] | {"lr": 0.02}})
    plant(study, longer, [1.0])
    plant(study, longer, [1.0, math.nan])
    plant(tmp_path / "another-study", longer, [1.0, 0.99])
    why = "after 2 of 8 epochs its validation accuracy, 91.00 %, was in the lower half of {}"
    assert reason_to_prune(request) == why.format("4 variants (median 94.00 %)")
    plant(study, longer, [0.8, 0.90], status="pruned", reason="worse", metrics={})
    plant(study, longer, [0.8, 0.89])
    assert reason_to_prune(request) == why.format("6 variants (median 92.00 %)")
    plant(study, longer, [0.8, 0.88])
    plant(study, longer, [0.8, 0.87])
    assert reason_to_prune(request) is None


def test_variants_of_equal_macs_are_compared_with_each_other(
    ask: Ask, longer: RunRecord, tmp_path: Path
) -> None:
    """The channels of each are scaled by a factor of its own."""
    folder = tmp_path / "outputs"
    request = ask(folder, EIGHT, "prune=true", "match=macs", "conv.stride=2")
    matched = request.config.model
    assert matched.channels != matched.matched_from == [4, 8]
    request.directory.path.mkdir(parents=True)
    for epoch in (1, 2):
        row = {"epoch": epoch, "step": 12 * epoch, "val/accuracy": 0.91}
        History(request.directory.history).append(row)
    study = request.directory.path.parent
    for number in range(3):
        plant(study, longer, [0.8, 0.99], f"unmatched {number}")
    assert reason_to_prune(request) is None
    for channels in ([5, 10], [6, 12], [7, 14]):
        model = longer.config["model"] | {"channels": channels, "matched_from": [4, 8]}
        plant(study, longer, [0.8, 0.95], config={"model": model, "match": "macs"})
    assert str(reason_to_prune(request)).endswith("of 4 variants (median 95.00 %)")


def test_a_run_is_compared_at_rungs_only(ask: Ask, longer: RunRecord, tmp_path: Path) -> None:
    request = begun(ask, tmp_path, [])
    for number in range(5):
        plant(request.directory.path.parent, longer, [0.9] * 8, str(number))
    rows, reasons = [], []
    for epoch in range(1, 9):
        rows.append({"epoch": epoch, "step": 12 * epoch, "val/accuracy": 0.1})
        History(request.directory.history).append(rows[-1])
        reasons.append((reason_to_prune(request) or "").partition(" its")[0])
    ended = "after 2 of 8 epochs", "after 4 of 8 epochs"
    assert reasons == ["", ended[0], "", ended[1], "", "", "", ""]


def test_what_cannot_be_read_is_named_and_left_out(
    ask: Ask, longer: RunRecord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = begun(ask, tmp_path, [0.8, 0.91])
    study = request.directory.path.parent
    for number in range(3):
        plant(study, longer, [0.8, 0.95], str(number))
    damaged = plant(study, longer, [0.8, 0.89], "damaged")
    (damaged / "run.json").write_text("{")
    torn = plant(study, longer, [0.8, 0.89], "torn")
    (torn / "history.csv").write_text("epoch\n")
    with caplog.at_level(logging.WARNING, "convscope"):
        assert str(reason_to_prune(request)).endswith("of 4 variants (median 95.00 %)")
    told = sorted(record.getMessage() for record in caplog.records)
    assert len(told) == 2
    assert all(line.startswith("not compared with this run: ") for line in told)
    assert {str(path) for path in (damaged, torn)} == {
        str(path) for path in (damaged, torn) for line in told if str(path) in line
    }


def three_better(request: RunRequest, whole: RunRecord, accuracy: float = 1.0) -> None:
    for number in range(LEAST - 1):
        plant(request.directory.path.parent, whole, [accuracy] * 2, str(number))


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


@pytest.fixture(scope="module")
def ended(ask: Ask, whole: RunRecord, tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    """A run that was pruned after the first of its two epochs."""
    request = ask(tmp_path_factory.mktemp("outputs"), EPOCHS, "prune=true")
    three_better(request, whole)
    assert train(request).status == "pruned"
    return request


def copied(ask: Ask, ended: RunRequest, folder: Path, *overrides: str) -> RunRequest:
    """The same run, with its study, in another folder."""
    request = ask(folder, EPOCHS, *overrides)
    shutil.copytree(ended.directory.path.parent, request.directory.path.parent)
    assert request.directory.record.exists()
    return request


def test_a_pruned_run_has_a_reason_and_no_result(ended: RunRequest, whole: RunRecord) -> None:
    record = read_record(ended.directory.record)
    (row,) = History(ended.directory.history).read()
    assert record.id == whole.id
    assert (record.status, record.metrics) == ("pruned", {})
    assert record.reason == (
        "after 1 of 2 epochs its validation accuracy,"
        f" {100 * float(row['val/accuracy'] or 0):.2f} %,"
        " was in the lower half of 4 variants (median 100.00 %)"
    )
    assert record.config["prune"] is True
    assert record.ended_at is not None
    assert not ended.directory.predictions.exists()
    assert ended.directory.last.exists()
    assert f"pruned: {record.reason}" in ended.directory.train_log.read_text()


def row_status(folder: Path) -> list[int]:
    """What HPARAMS is told about how the run ended."""
    found = []
    for path in folder.glob("events.out.tfevents.*"):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == metadata.SESSION_END_INFO_TAG:
                    content = value.metadata.plugin_data.content
                    found.append(
                        metadata.parse_session_end_info_plugin_data(content).status  # type: ignore[no-untyped-call]
                    )
    return found


def test_its_row_in_hparams_says_that_it_did_not_succeed(
    ended: RunRequest, scalars: Callable[[Path], Mapping[str, list[tuple[int, float]]]]
) -> None:
    assert row_status(ended.directory.path) == [2]  # STATUS_FAILURE
    found = scalars(ended.directory.path)
    assert [step for step, _ in found["val/accuracy"]] == [12]
    assert not [tag for tag in found if tag.startswith(("summary/", "test/"))]


def test_the_same_command_leaves_it(ask: Ask, ended: RunRequest, tmp_path: Path) -> None:
    request = copied(ask, ended, tmp_path, "prune=true")
    before = contents(tmp_path)
    assert train(request).status == "pruned"
    assert contents(tmp_path) == before


def assert_whole(request: RunRequest, whole: RunRecord, record: RunRecord) -> None:
    """That a run ended as the one that nobody pruned, bit by bit but for the time it took."""
    assert record.status == "finished", record.reason
    assert whole.path is not None
    other = RunDirectory(whole.path)

    def untimed(values: Mapping[str, object]) -> dict[str, object]:
        return {key: one for key, one in values.items() if not key.endswith(TIMED)}

    assert untimed(record.metrics) == untimed(whole.metrics)
    histories = (History(one.history).read() for one in (request.directory, other))
    for mine, theirs in zip(*histories, strict=True):
        assert untimed(mine) == untimed(theirs)
    for name in ("best", "last"):
        files = (one.path / "checkpoints" / f"{name}.ckpt" for one in (request.directory, other))
        mine, theirs = (torch.load(file, weights_only=True) for file in files)
        for key, value in mine["state_dict"].items():
            assert torch.equal(value, theirs["state_dict"][key]), (name, key)
    assert request.directory.predictions.read_bytes() == other.predictions.read_bytes()


def test_without_prune_it_goes_on_and_ends_as_a_run_that_was_never_pruned(
    ask: Ask, ended: RunRequest, whole: RunRecord, tmp_path: Path
) -> None:
    request = copied(ask, ended, tmp_path)
    record = train(request)
    assert record.resumed_from_epoch == 1
    assert record.config["prune"] is False
    assert_whole(request, whole, record)
    # What the pruning had written to its row is cut away.
    assert row_status(request.directory.path) == [1]  # STATUS_SUCCESS


def test_a_run_that_stays_in_the_upper_half_is_the_same_as_without_prune(
    ask: Ask, whole: RunRecord, tmp_path: Path
) -> None:
    request = ask(tmp_path, EPOCHS, "prune=true")
    three_better(request, whole, accuracy=0.0)
    record = train(request)
    assert record.config["prune"] is True
    assert_whole(request, whole, record)


def test_rerun_trains_it_anew(
    ask: Ask, ended: RunRequest, whole: RunRecord, tmp_path: Path
) -> None:
    request = copied(ask, ended, tmp_path, "rerun=true")
    assert_whole(request, whole, train(request))
    replaced = request.directory.path.parent / "replaced" / f"{request.directory.name}-1"
    assert read_record(replaced / "run.json").status == "pruned"


@pytest.mark.parametrize(("place", "epochs"), [("before", 0), ("after", 1)])
def test_a_run_that_is_killed_at_a_rung_is_compared_again(
    ask: Ask,
    whole: RunRecord,
    ended: RunRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    epochs: int,
) -> None:
    """What `kill -9` leaves is what is on the disk when last.ckpt is written, or before."""
    request = ask(tmp_path / "first", EPOCHS, "prune=true")
    three_better(request, whole)
    killed = ask(tmp_path / "killed", EPOCHS, "prune=true")
    replace, saved = checkpoints.replace_file, itertools.count()

    def keep() -> None:
        shutil.copytree(request.directory.path.parent, killed.directory.path.parent)

    def replace_then_keep(path: Path, data: bytes) -> None:
        is_first_last = path.stem == "last" and next(saved) == 0
        if is_first_last and place == "before":
            keep()
        replace(path, data)
        if is_first_last and place == "after":
            keep()

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "replace_file", replace_then_keep)
        train(request)
    assert len(History(killed.directory.history).read()) == 1
    assert read_record(killed.directory.record).status == "running"
    record = train(killed)
    before = read_record(ended.directory.record)
    assert (record.status, record.reason) == ("pruned", before.reason)
    assert record.resumed_from_epoch == epochs
    assert len(History(killed.directory.history).read()) == 1
    assert row_status(killed.directory.path) == [2]
    # And it can still be continued.
    assert_whole(killed, whole, train(ask(tmp_path / "killed", EPOCHS)))
