"""The faster form of the loop is the yardstick; one that cannot run is told, not fatal."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from convscope.benchmark import fastest as module
from convscope.benchmark.cases import Case
from convscope.benchmark.fastest import TimedLoop, Trial, fastest, plain_loop, window_steps
from convscope.benchmark.plain import TensorData

MakeCase = Callable[..., Case]


class Fake:
    """A loop of which the compiled form is as fast as it is told, in its quickest trial."""

    compiled_rates: tuple[float, ...] = ()

    def __init__(self, case: Any, data: Any, steps: int, compiled: bool = False) -> None:
        if compiled and not self.compiled_rates:
            raise TorchDynamoException("no compiler\nmore of it")
        self.compiled = compiled
        self.steps = steps
        self.prepared_seconds = 7.0
        self._rates = iter(self.compiled_rates if compiled else (90.0, 100.0, 80.0))

    def samples_per_second(self, steps: int) -> float:
        self.steps -= steps
        return next(self._rates)


@pytest.mark.parametrize(("rates", "best"), [((50.0, 103.0, 60.0), True), ((101.0,) * 3, False)])
def test_what_is_compiled_is_taken_where_its_quickest_trial_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, rates: tuple[float, ...], best: bool
) -> None:
    monkeypatch.setattr(module, "TimedLoop", Fake)
    monkeypatch.setattr(Fake, "compiled_rates", rates)
    chosen, trials = fastest(None, None, 500, try_compile=True)  # type: ignore[arg-type]
    assert isinstance(chosen, Fake)
    assert chosen.compiled is best
    assert chosen.steps == 500
    assert trials == [Trial(False, 100.0, 7.0), Trial(True, max(rates), 7.0)]


def test_where_nothing_compiles_the_loop_as_written_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TimedLoop", Fake)
    chosen, (written, compiled) = fastest(None, None, 500, try_compile=True)  # type: ignore[arg-type]
    assert isinstance(chosen, Fake)
    assert not chosen.compiled
    assert written == Trial(False, 100.0, 7.0)
    assert (compiled.samples_per_second, compiled.failure) == (None, "no compiler")


def test_a_window_lasts_as_long_as_is_asked(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3,200 samples/s are 100 steps of 32 in a second."""
    rate = SimpleNamespace(samples_per_second=lambda steps: 3200.0)
    monkeypatch.setattr(module, "TimedLoop", lambda *_: rate)
    assert window_steps(make_case(), SimpleNamespace(), 3) == 300  # type: ignore[arg-type]
    assert window_steps(make_case(), SimpleNamespace(), 0.1) == 50  # type: ignore[arg-type]


def test_ten_steps_warm_up_and_the_next_are_counted(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case("conv.stride=2")
    clock = iter([1.0, 3.5, 10.0, 12.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    timed = TimedLoop(case, data_of(case), 40)
    assert timed.prepared_seconds == 2.5
    assert timed.samples_per_second(40) == 40 * 32 / 2
    losses = timed._loop.losses
    assert losses.shape == (50,)
    assert (losses > 0).all()


def test_each_image_of_the_training_set_comes_once_an_epoch(make_case: MakeCase) -> None:
    case = make_case("conv.stride=2")
    loop = plain_loop(case, data_of(case), 1, compiled=False)
    first, second = (loop._shuffled(epoch) for epoch in (0, 1))
    assert first.shape == (40, 32)
    assert len(np.intersect1d(first, case.request.train_indices)) == 1280
    assert not torch.equal(first, second)


def data_of(case: Case) -> TensorData:
    images = case.request.images
    return TensorData(
        images.train_images, images.train_labels, images.mean, images.std, torch.device("cpu")
    )
