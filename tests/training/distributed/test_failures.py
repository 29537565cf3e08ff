"""What the command believes where ranks fail, and what a rank says of unequal weights."""

import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from convscope.errors import UserError
from convscope.streams import log_to_terminal
from convscope.training.callbacks.equal_weights import EqualWeights, fingerprint
from convscope.training.distributed import experiment as under_test
from convscope.training.distributed.experiment import DistributedExperiment
from convscope.training.distributed.messages import Failed, Finished, LogRecord, Started
from convscope.training.distributed.processes import DeviceFailed, Received
from convscope.training.process_group import ProcessGroup
from convscope.training.signals import Signals

ECHO = Failed("RuntimeError: Connection closed by peer", False, "in all_reduce")
EXPLAINED = Failed("the disk is full", True, "in write")
DIED = "the process of device 2 of 2 was killed by SIGKILL"
BEGUN = (0, Started(3, "about to train"))


class Scripted:
    """Ranks that say what is written, and no more."""

    def __init__(self, said: list[Received]) -> None:
        self.said = list(said)
        self.shown: list[int] = []
        self.ended = False

    def start(self, parts: object) -> None:
        pass

    def receive(self, seconds: float) -> Received | None:
        return self.said.pop(0) if self.said else None

    def acknowledge(self, rank: int) -> None:
        self.shown.append(rank)

    def describe_exit(self, rank: int) -> str:
        return "was killed by SIGKILL"

    def end(self) -> None:
        self.ended = True


Play = Callable[[list[Received]], tuple[DistributedExperiment, Scripted, list[str]]]


def logged(text: str) -> LogRecord:
    return LogRecord(logging.makeLogRecord({"name": "convscope", "msg": text, "levelno": 20}))


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    told: list[str] = []

    def make(said: list[Received]) -> tuple[DistributedExperiment, Scripted, list[str]]:
        scripted = Scripted(said)
        monkeypatch.setattr(under_test, "WorkerProcesses", lambda: scripted)
        monkeypatch.setattr(under_test, "SHUTDOWN_GRACE_S", 0.1)
        request = SimpleNamespace(hardware=SimpleNamespace(devices=2))
        return DistributedExperiment(request, Signals(), None), scripted, told  # type: ignore[arg-type]

    with log_to_terminal(told.append):
        yield make


def test_the_metrics_are_those_of_the_first_and_its_lines_are_shown(play: Play) -> None:
    first, second = Finished({"test_accuracy": 0.5}), Finished({})
    experiment, ranks, told = play(
        [BEGUN, (0, logged("epoch 1/1")), (1, second), (1, None), (0, first), (0, None)]
    )
    with experiment:
        assert (experiment.resumed_from_epoch, experiment.headline()) == (3, "about to train")
        assert not ranks.ended
        assert experiment.run() == {"test_accuracy": 0.5}
    assert ranks.ended
    assert (told, ranks.shown) == (["epoch 1/1"], [0])


@pytest.mark.parametrize(
    ("said", "error", "reason"),
    [
        ([(1, None), (0, ECHO), (0, None)], UserError, DIED),
        # The echo may come before the news of the death.
        ([(0, ECHO), (0, None), (1, None)], UserError, DIED),
        # The other waits for the dead one for ever.
        ([(1, None)], UserError, DIED),
        ([(1, ECHO), (1, None), (0, EXPLAINED), (0, None)], UserError, "the disk is full"),
        ([(0, EXPLAINED), (0, None), (1, ECHO), (1, None)], UserError, "the disk is full"),
        ([(1, None), (0, EXPLAINED)], UserError, "the disk is full"),
        ([(0, EXPLAINED)], UserError, "the disk is full"),
        ([(0, ECHO), (0, None), (1, ECHO)], DeviceFailed, ECHO.reason),
        ([(0, Finished({})), (0, None), (1, None)], UserError, DIED),
        ([(0, Finished({})), (1, ECHO), (0, None)], DeviceFailed, ECHO.reason),
    ],
)
def test_why_a_run_failed(
    play: Play, said: list[Received], error: type[Exception], reason: str
) -> None:
    experiment, ranks, _ = play([BEGUN, *said])
    with pytest.raises(error) as raised, experiment:
        experiment.run()
    assert str(raised.value) == reason
    # What the log shows besides.
    traces = {ECHO.reason: "in all_reduce", EXPLAINED.reason: "in write"}
    assert str(raised.value.__cause__) == traces.get(reason, "None")
    assert ranks.ended


def test_ranks_that_fail_before_they_begin_are_ended_too(play: Play) -> None:
    experiment, ranks, _ = play([(1, EXPLAINED), (0, None)])
    with pytest.raises(UserError), experiment:
        pytest.fail("it has not begun")
    assert ranks.ended


def test_a_bit_of_a_weight_or_of_a_running_mean_is_noticed() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = fingerprint(network)
    assert before == fingerprint(network)
    for values in network.state_dict().values():
        kept = values.clone()
        values.view(-1)[-1] += 1
        assert fingerprint(network) != before
        values.copy_(kept)
    assert fingerprint(network) == before
    assert 0 <= before < 2**56


def test_unequal_weights_end_the_run() -> None:
    class Unequal(ProcessGroup):
        def all_equal(self, value: int, device: torch.device) -> bool:
            return False

    module = SimpleNamespace(state_dict=dict, device=torch.device("cpu"))
    with pytest.raises(UserError, match=r"^the weights of the 2 devices differ after epoch 4;"):
        EqualWeights(Unequal(0, 2)).on_validation_start(
            SimpleNamespace(current_epoch=3),  # type: ignore[arg-type]
            module,  # type: ignore[arg-type]
        )
