"""The yardstick learns what the project's own training learns, and is timed in its faster form.

A form that cannot run is told, not fatal.
"""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from convscope.benchmark import torch_baseline as module
from convscope.benchmark.cases import COMMON, Case
from convscope.benchmark.torch_baseline import (
    GraphLoop,
    TensorData,
    TorchLoop,
    Trial,
    compile_choice,
    one_cycle,
    shuffled_batches,
    warm_loop,
    window_steps,
)
from convscope.config.schema import OptimConfig
from convscope.data.order import permutation
from convscope.modules import build_network
from convscope.modules.graph_net import GraphNet
from convscope.training.resolve import RunResolver
from convscope.training.train import train

MakeCase = Callable[..., Case]
EPOCHS, PER_EPOCH = 3, 20
STEPS = EPOCHS * PER_EPOCH


def loop_of(
    case: Case,
    kind: type[TorchLoop] = TorchLoop,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> tuple[TorchLoop, GraphNet]:
    """A loop with the start and the batches of a run of the case, and its network."""
    request, batch_size = case.request, case.batch_size
    indices = torch.from_numpy(request.train_indices)

    def shuffled(epoch: int) -> Tensor:
        order = indices[permutation(len(indices), request.config.seed, epoch)]
        return order[: PER_EPOCH * batch_size].view(PER_EPOCH, batch_size)

    torch.manual_seed(request.config.seed)
    network = build_network(request.geometry)
    data = TensorData(request.images, torch.device(device))
    return kind(network, data, shuffled, request.config.optim, STEPS, dtype), network


def apart(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Largest difference of two networks' weights and statistics."""
    assert mine.keys() == theirs.keys()
    return max(float((mine[name].double() - theirs[name].double()).abs().max()) for name in mine)


@pytest.mark.parametrize(
    "conv",
    [
        ("conv.stride=2",),
        ("conv.stride=1", "conv.padding=0"),
        ("conv.kernel_size=4", "conv.stride=1", "conv.padding=same"),
    ],
)
def test_it_ends_with_the_weights_of_a_run(
    make_case: MakeCase, resolver: RunResolver, tmp_path: Path, conv: tuple[str, ...]
) -> None:
    case = make_case(*conv, "trainer.precision=32-true", "optim.weight_decay=0.1")
    words = [
        *(*case.overrides, *COMMON, f"output_dir={tmp_path}"),
        *(f"trainer.max_epochs={EPOCHS}", f"trainer.limit_train_batches={PER_EPOCH}"),
    ]
    request = resolver.request(*resolver.prepare([words]))
    assert train(request).status == "finished"
    checkpoint = torch.load(request.directory.last, weights_only=True)
    assert checkpoint["global_step"] == STEPS
    trained = {
        name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()
    }
    loop, network = loop_of(case)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loop.run(STEPS)
    assert apart(network.state_dict(), trained) <= 1e-5
    assert apart(network.state_dict(), before) > 0.1


def test_the_step_without_the_host_is_the_same_step(make_case: MakeCase) -> None:
    """What CUDA captures, step by step and over the edge of an epoch; here without a graph."""
    case = make_case("conv.stride=2")
    (plain, plain_network), (there, network) = loop_of(case), loop_of(case, GraphLoop)
    for loop in (plain, there):
        loop.run(PER_EPOCH + 3)
        loop.run(STEPS - PER_EPOCH - 3)
    torch.testing.assert_close(there.losses, plain.losses, rtol=0, atol=1e-5)
    assert apart(network.state_dict(), plain_network.state_dict()) <= 1e-5
    assert there.taken == STEPS


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_captured_step_is_the_same_step(make_case: MakeCase) -> None:
    """Convolutions on CUDA add in an order of their own: near at first, apart later."""
    case = make_case("conv.stride=2")
    plain, _ = loop_of(case, device="cuda")
    captured, network = loop_of(case, GraphLoop, device="cuda")
    assert isinstance(captured, GraphLoop)
    captured.capture()
    captured.run(STEPS - captured.taken)
    plain.run(STEPS)
    torch.testing.assert_close(captured.losses[:20], plain.losses[:20], rtol=0.02, atol=0.02)
    assert captured.losses[-5:].mean() == pytest.approx(float(plain.losses[-5:].mean()), abs=0.2)
    assert network.features.norm1.num_batches_tracked == STEPS


@pytest.mark.parametrize("kind", [TorchLoop, GraphLoop])
def test_it_learns(make_case: MakeCase, kind: type[TorchLoop]) -> None:
    loop, network = loop_of(make_case("conv.stride=2", "model.channels=[16,32]"), kind)
    loop.run(STEPS)
    first, last = loop.losses[:5].mean(), loop.losses[-5:].mean()
    # Ten classes are guessed at a loss of ln 10.
    assert float(first) == pytest.approx(math.log(10), abs=0.4)
    assert last < 0.7 * first
    assert network.features.norm1.num_batches_tracked == STEPS


def test_bfloat16_is_only_for_the_forward_pass(make_case: MakeCase) -> None:
    case = make_case("conv.stride=2", "model.channels=[16,32]")
    single, _ = loop_of(case)
    half, network = loop_of(case, dtype=torch.bfloat16)
    for loop in (single, half):
        loop.run(STEPS)
    assert {weights.dtype for weights in network.parameters()} == {torch.float32}
    assert not torch.equal(half.losses, single.losses)
    torch.testing.assert_close(half.losses[0], single.losses[0], rtol=0.02, atol=0)
    assert half.losses[-5:].mean() < 0.7 * half.losses[:5].mean()


def test_images_are_normalised_by_channel_and_lie_channels_last() -> None:
    images = SimpleNamespace(
        train_images=torch.arange(2 * 2 * 3 * 2, dtype=torch.uint8).view(2, 2, 3, 2).numpy(),
        train_labels=torch.tensor([7, 8]).numpy(),
        mean=(10.0, 20.0),
        std=(2.0, 4.0),
    )
    data = TensorData(images, torch.device("cpu"))  # type: ignore[arg-type]
    batch, labels = data.batch(torch.tensor([1, 1, 0]))
    assert batch.shape == (3, 2, 2, 3)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    # Pixel (1, 2) of the second image: 22 and 23.
    assert batch[0, :, 1, 2].tolist() == [(22 - 10) / 2, (23 - 20) / 4]
    assert labels.tolist() == [8, 8, 7]


def test_its_schedule_is_the_one_cycle_over_all_steps() -> None:
    """Up from a 25th of the peak to it, then down: 4 + 1 points, of which 0.4 climb."""
    rates = one_cycle(OptimConfig("adamw", 0.5, 0.0, 0.0, 0.4, 0.0), 4)
    last = 0.02 / 1e4
    middle = [last + (0.5 - last) / 2 * (1 + math.cos(math.pi * share)) for share in (1 / 3, 2 / 3)]
    assert rates == pytest.approx([0.02, 0.5, *middle])


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
    monkeypatch.setattr(module, "warm_loop", Fake)
    monkeypatch.setattr(Fake, "compiled_rates", rates)
    chosen, trials = compile_choice(None, None, 500, try_compile=True)  # type: ignore[arg-type]
    assert isinstance(chosen, Fake)
    assert chosen.compiled is best
    assert chosen.steps == 500
    assert trials == [Trial(False, 100.0, 7.0), Trial(True, max(rates), 7.0)]


def test_where_nothing_compiles_the_loop_as_written_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "warm_loop", Fake)
    chosen, (written, compiled) = compile_choice(None, None, 500, try_compile=True)  # type: ignore[arg-type]
    assert isinstance(chosen, Fake)
    assert not chosen.compiled
    assert written == Trial(False, 100.0, 7.0)
    assert (compiled.samples_per_second, compiled.failure) == (None, "no compiler")


def test_a_window_lasts_as_long_as_is_asked(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3,200 samples/s are 100 steps of 32 in a second."""
    rate = SimpleNamespace(samples_per_second=lambda steps: 3200.0)
    monkeypatch.setattr(module, "warm_loop", lambda *_: rate)
    assert window_steps(make_case(), SimpleNamespace(), 3) == 300  # type: ignore[arg-type]
    assert window_steps(make_case(), SimpleNamespace(), 0.1) == 50  # type: ignore[arg-type]


def test_ten_steps_warm_up_and_the_next_are_counted(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case("conv.stride=2")
    clock = iter([1.0, 3.5, 10.0, 12.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    loop = warm_loop(case, data_of(case), 40)
    assert loop.prepared_seconds == 2.5
    assert loop.samples_per_second(40) == 40 * 32 / 2
    assert loop.losses.shape == (50,)
    assert (loop.losses > 0).all()


def test_each_image_of_the_training_set_comes_once_an_epoch(make_case: MakeCase) -> None:
    case = make_case("conv.stride=2")
    shuffled = shuffled_batches(case)
    first, second = shuffled(0), shuffled(1)
    assert first.shape == (40, 32)
    assert len(np.intersect1d(first, case.request.train_indices)) == 1280
    assert not torch.equal(first, second)


def data_of(case: Case) -> TensorData:
    return TensorData(case.request.images, torch.device("cpu"))
