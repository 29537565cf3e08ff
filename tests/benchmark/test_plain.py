"""The yardstick learns, and learns what the project's own training learns."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from convscope.benchmark.cases import ALIKE, Case
from convscope.benchmark.graph import GraphLoop
from convscope.benchmark.plain import PlainLoop, Recipe, TensorData, one_cycle
from convscope.config.schema import OptimConfig
from convscope.data.order import permutation
from convscope.training.model import ConvNet
from convscope.training.resolve import Resolver
from convscope.training.train import train

MakeCase = Callable[..., Case]
EPOCHS, PER_EPOCH = 3, 20
STEPS = EPOCHS * PER_EPOCH


def loop_of(
    case: Case,
    kind: type[PlainLoop] = PlainLoop,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> tuple[PlainLoop, ConvNet]:
    """A loop with the start and the batches of a run of the case, and its network."""
    request, batch_size = case.request, case.batch_size
    images, indices = request.images, torch.from_numpy(request.train_indices)

    def shuffled(epoch: int) -> Tensor:
        order = indices[permutation(len(indices), request.config.seed, epoch)]
        return order[: PER_EPOCH * batch_size].view(PER_EPOCH, batch_size)

    torch.manual_seed(request.config.seed)
    network = ConvNet(request.geometry)
    data = TensorData(
        images.train_images, images.train_labels, images.mean, images.std, torch.device(device)
    )
    return kind(network, data, Recipe(STEPS, request.config.optim, dtype), shuffled), network


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
    make_case: MakeCase, resolver: Resolver, tmp_path: Path, conv: tuple[str, ...]
) -> None:
    case = make_case(*conv, "trainer.precision=32-true", "optim.weight_decay=0.1")
    words = [
        *(*case.overrides, *ALIKE, f"output_dir={tmp_path}"),
        *(f"trainer.max_epochs={EPOCHS}", f"trainer.limit_train_batches={PER_EPOCH}"),
    ]
    request = resolver.request(*resolver.prepare([words]))
    assert train(request, lambda line: None).status == "finished"
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


@pytest.mark.parametrize("kind", [PlainLoop, GraphLoop])
def test_it_learns(make_case: MakeCase, kind: type[PlainLoop]) -> None:
    loop, network = loop_of(make_case("conv.stride=2", "model.channels=[16,32]"), kind)
    loop.run(STEPS)
    first, last = loop.losses[:5].mean(), loop.losses[-5:].mean()
    # Ten classes are guessed at a loss of ln 10.
    assert float(first) == pytest.approx(math.log(10), abs=0.4)
    assert last < 0.7 * first
    assert network.features.norm1.num_batches_tracked == STEPS


def test_bfloat16_is_for_the_forward_pass_alone(make_case: MakeCase) -> None:
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
    images = torch.arange(2 * 2 * 3 * 2, dtype=torch.uint8).view(2, 2, 3, 2).numpy()
    data = TensorData(
        images, torch.tensor([7, 8]).numpy(), (10.0, 20.0), (2.0, 4.0), torch.device("cpu")
    )
    batch, labels = data.batch(torch.tensor([1, 1, 0]))
    assert batch.shape == (3, 2, 2, 3)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    # Pixel (1, 2) of the second image: 22 and 23.
    assert batch[0, :, 1, 2].tolist() == [(22 - 10) / 2, (23 - 20) / 4]
    assert labels.tolist() == [8, 8, 7]


def test_its_schedule_is_the_one_cycle_over_all_steps() -> None:
    """Up from a 25th of the peak to it, then down: 4 + 1 points, of which 0.4 climb."""
    rates = one_cycle(OptimConfig(lr=0.5, weight_decay=0.0, warmup=0.4), 4)
    last = 0.02 / 1e4
    middle = [last + (0.5 - last) / 2 * (1 + math.cos(math.pi * share)) for share in (1 / 3, 2 / 3)]
    assert rates == pytest.approx([0.02, 0.5, *middle])
