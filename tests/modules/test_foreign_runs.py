"""Runs and sweeps of networks that are traced."""

import importlib
import os
import pickle
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

import convscope
from convscope.data.batches import TrainBatches
from convscope.errors import UserError
from convscope.modules import build_network, foreign
from convscope.runs.record import read_record
from convscope.training.request import RunRequest, to_remote
from convscope.training.train import train

from ..conftest import Ask, Command

NETS = Path(__file__).with_name("user_nets.py")
CUSTOM = ("model=custom", "model.target=own_nets:mixed", "model.channels=[]")


@pytest.fixture
def own_nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's file in the working directory, imported anew by each test."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    monkeypatch.setattr("sys.path", [str(folder), *sys.path])
    return Path(shutil.copy(NETS, folder / "own_nets.py"))


def test_a_run_of_a_user_s_network(own_nets: Path, ask: Ask, tmp_path: Path) -> None:
    request = ask(tmp_path, *CUSTOM, "model.vary=[depthwise]", "conv.kernel_size=5",
                  "conv.padding=half", "trainer.max_epochs=1")  # fmt: skip
    record = train(request)
    assert record.status == "finished"
    assert record.variant == "k5-s1-p2"
    assert record.config["model"]["vary"] == ["depthwise"]
    assert request.directory.name.startswith("digits-k5-s1-p2-own_nets_mixed-vary_depthwise-")
    trained = convscope.load(request.directory.path)
    labels = trained.predict(np.zeros((3, 28, 28), np.uint8))
    assert set(labels) <= set(trained.classes)
    scores = trained.scores(np.zeros((1, 28, 28), np.uint8))
    assert scores.shape == (1, 10)


def test_another_network_in_the_file_is_another_run(
    own_nets: Path, ask: Ask, tmp_path: Path, fresh: Callable[[], None]
) -> None:
    def identity() -> str:
        fresh()
        return ask(tmp_path, *CUSTOM).id

    first = identity()
    assert identity() == first
    own_nets.write_text(own_nets.read_text().replace("F.gelu", "F.relu6"))
    second = identity()
    own_nets.write_text(own_nets.read_text() + "\n# The same layers.\n")
    assert len({first, second, identity()}) == 3


def test_load_refuses_other_layers(
    own_nets: Path, ask: Ask, tmp_path: Path, fresh: Callable[[], None]
) -> None:
    request = ask(tmp_path, *CUSTOM, "trainer.max_epochs=1")
    train(request)
    fresh()
    own_nets.write_text(own_nets.read_text() + "\n# The same layers.\n")
    convscope.load(request.directory.path)
    fresh()
    own_nets.write_text(own_nets.read_text().replace("F.gelu", "F.relu6"))
    with pytest.raises(UserError, match="was trained with other layers than own_nets:mixed has"):
        convscope.load(request.directory.path)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget the user's file and its networks, as another process would not know them."""

    def forget() -> None:
        foreign._traced.cache_clear()
        sys.modules.pop("own_nets", None)
        importlib.invalidate_caches()

    forget()
    return forget


def test_dropout_is_resumed_bit_for_bit(
    own_nets: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = (
        ask(tmp_path / folder, *CUSTOM[:1], "model.target=own_nets:Dropping", "model.channels=[]")
        for folder in ("whole", "cut")
    )
    assert train(whole).status == "finished"
    make, calls = TrainBatches.make, iter(range(1000))

    def interrupt(*args: object) -> object:
        if next(calls) == 14:
            os.kill(os.getpid(), signal.SIGINT)
        return make(*args)

    monkeypatch.setattr(TrainBatches, "make", interrupt)
    assert train(cut).status == "interrupted"
    assert train(cut).status == "finished"
    mine, theirs = (
        torch.load(one.directory.last, weights_only=True)["state_dict"] for one in (cut, whole)
    )
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name


def test_what_travels_to_a_worker_makes_the_network_there(
    own_nets: Path, ask: Ask, tmp_path: Path, fresh: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    request = ask(tmp_path, *CUSTOM)
    remote = pickle.loads(pickle.dumps(to_remote(request)))
    fresh()
    monkeypatch.setattr("sys.path", [one for one in sys.path if "own" not in one])
    monkeypatch.chdir(tmp_path)
    there: RunRequest = remote.materialize(request.hardware)
    network = build_network(there.geometry)
    assert network(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
    assert asdict(there.geometry.graph) == asdict(request.geometry.graph)


def test_a_sweep_skips_what_is_impossible(command: Command, tmp_path: Path) -> None:
    shutil.copy(NETS, Path.cwd() / "own_nets.py")
    ended = command(
        *("-m", *CUSTOM[:2], "model.vary=[depthwise]", "conv.kernel_size=3,5", "data=digits"),
        *("trainer.max_steps=1", "trainer.max_epochs=null", f"output_dir={tmp_path / 'out'}"),
    )
    assert ended.code == 0, ended.err
    found = [read_record(path) for path in (tmp_path / "out").glob("default/*/run.json")]
    records = {record.status: record for record in found if record is not None}
    assert records.keys() == {"finished", "skipped"}
    assert records["skipped"].reason.startswith(
        "cat cannot concatenate 14x14 of max_pool2d, 12x12 of depthwise and 14x14 of dilated;"
        " conv.padding=2 would make it possible"
    )


@pytest.mark.parametrize("name", ["raises", "Deciding", "wrong_width"])
def test_what_is_refused_leaves_nothing(command: Command, tmp_path: Path, name: str) -> None:
    shutil.copy(NETS, Path.cwd() / "own_nets.py")
    ended = command(
        *("model=custom", f"model.target=own_nets:{name}", "data=digits"),
        f"output_dir={tmp_path / 'out'}",
    )
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
