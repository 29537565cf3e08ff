"""`convscope.train` from Python: in a script, in a notebook, beside another program's Hydra."""

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import convscope
from convscope.runs.record import RunRecord, read_record

TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=12",
)


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    GlobalHydra.instance().clear()
    monkeypatch.chdir(tmp_path)


def the_record(study: str = "default") -> RunRecord:
    (run,) = Path("outputs", study).iterdir()
    return read_record(run / "run.json")


def test_it_returns_the_record_that_lies_on_disk() -> None:
    record = convscope.train(*TINY, "conv.stride=2")
    assert record == the_record()
    assert (record.status, record.variant) == ("finished", "k3-s2-p1")
    (run,) = Path("outputs/default").iterdir()
    assert record.name == run.name
    plain = json.loads((run / "run.json").read_text())
    assert plain["metrics"] == record.metrics
    assert 0 <= record.metrics["test_accuracy"] <= 1
    assert not GlobalHydra.instance().is_initialized()


def test_it_works_twice_and_beside_another_programs_hydra(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "train.yaml").write_text("theirs: 1\n")
    first = convscope.train(*TINY, "conv.stride=3", "study=plain")
    with initialize_config_dir(str(theirs), version_base="1.3"):
        beside = convscope.train(*TINY, "conv.stride=3", "study=beside")
        assert compose("train") == {"theirs": 1}
    assert beside.id == first.id
    timed = ("train_samples_per_sec", "step_ms", "peak_mb")
    assert [(k, v) for k, v in beside.metrics.items() if k not in timed] == [
        (k, v) for k, v in first.metrics.items() if k not in timed
    ]
    assert convscope.train(*TINY, "conv.stride=3", "study=beside") == beside


def test_bad_input_is_an_error_of_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    for typed, message in (
        ("conv.stride=0", "conv.stride must be at least 1, got 0"),
        ("conv.strid=2", "conv.strid is not a key of the config\ndid you mean conv.stride?"),
        ("data=null", "data must be the name of one of its choices, got null: see --help"),
    ):
        with pytest.raises(convscope.UserError) as refused:
            convscope.train(typed)
        assert str(refused.value) == message
    with pytest.raises(convscope.UserError, match="use conv.padding=half"):
        convscope.train("conv.padding=same", "conv.stride=2", "data=digits")
    assert list(Path().iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_run_that_fails_has_a_record_too() -> None:
    record = convscope.train(*TINY, "optim.lr=1e30")
    assert record.status == "failed"
    assert record.reason is not None
    assert record.reason.startswith("the loss is nan at step 2;")
    assert record == the_record()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("repeat=2", "repeat must be 1 for a single run, got 2"),
        ("plan=true", "plan and sweep are for many runs: use scripts/train.py"),
        ("sweep=grid", "plan and sweep are for many runs: use scripts/train.py"),
    ],
)
def test_what_is_for_many_runs_is_refused(override: str, message: str) -> None:
    with pytest.raises(convscope.UserError) as told:
        convscope.train(*TINY, override)
    assert str(told.value) == message
    assert not Path("outputs").exists()
