"""Steps from static buffers, as a CUDA graph holds them, against steps one by one."""

import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.config.schema import OptimConfig
from convscope.data.augment import Augmentation
from convscope.data.batches import DeviceImages, TrainBatches
from convscope.data.order import BatchOrder
from convscope.modules import build_network
from convscope.streams import log_to_terminal
from convscope.training.optimizers import make_optimizer
from convscope.training.process_group import SINGLE_PROCESS, ProcessGroup
from convscope.training.schedule import one_cycle
from convscope.training.train_step import (
    Capture,
    CudaGraphRunner,
    EagerRunner,
    StepRunner,
    TrainStep,
    step_runner,
)

from ..convs import parse_conv, stack_geometry

CHUNKS = [range(10), range(10, 17), range(17, 29), range(29, 40), range(40, 41), range(41, 53)]
"""Of many lengths, across an epoch's end at step 40."""

AUGMENTED = Augmentation(flip=True, shift=2, cutout=3)

ADAMW, SGD, MUON = OPTIMIZERS = (
    OptimConfig("adamw", 0.02, 0.0, 0.01, 0.3, 0.0),
    OptimConfig("sgd", 0.02, 0.9, 0.01, 0.3, 0.0),
    OptimConfig("muon", 0.02, 0.9, 0.01, 0.3, 0.0),
)


def train_batches(augmentation: Augmentation | None) -> TrainBatches:
    source = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (640, 12, 12, 1), generator=source).to(torch.uint8)
    labels = torch.randint(5, (640,), generator=source)
    images = DeviceImages(pixels.numpy(), labels.numpy(), [120.0], [60.0])
    return TrainBatches(images, BatchOrder(torch.arange(640), 16, seed=3), augmentation)


def network(kernel_size: int = 3, stride: int = 1) -> nn.Module:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    convs = parse_conv(kernel_size, stride, "half", 2)
    return build_network(stack_geometry((1, 12, 12), convs, [4, 8], [1], 5))


Taken = tuple[nn.Module, Tensor, Tensor]


def learning_rate(step: int) -> float:
    return one_cycle(step, 53, 0.02, 0.3)


def trained(
    net: nn.Module,
    batches: TrainBatches,
    capture: Capture | None,
    after_step: Callable[[], None] = lambda: None,
    ranks: ProcessGroup = SINGLE_PROCESS,
    optim: OptimConfig = ADAMW,
) -> Taken:
    """Train a copy through all chunks: the network, every loss, every accuracy."""
    net = deepcopy(net)
    optimizer = make_optimizer(net, optim, torch.device("cpu"))
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(0.02)  # As on CUDA.
    eager = EagerRunner(TrainStep(net, optimizer, None, ranks), batches, learning_rate, after_step)
    runner: StepRunner = eager if capture is None else CudaGraphRunner(eager, 12, capture)
    losses, accuracies = zip(*map(runner.run, CHUNKS), strict=True)
    return net, torch.cat(losses), torch.cat(accuracies)


class Replays:
    """Captures as CUDA does, except that a replay computes: counts both."""

    def __init__(self) -> None:
        self.captured = 0
        self.replayed = 0

    def __call__(self, step: Callable[[], None]) -> Callable[[], None]:
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            step()

        return replay


@pytest.mark.parametrize("augmentation", [None, AUGMENTED], ids=["plain", "augmented"])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (3, 2), (5, 2)])
def test_replayed_steps_are_the_plain_ones_bit_for_bit(
    augmentation: Augmentation | None, kernel_size: int, stride: int
) -> None:
    batches, net, replays = train_batches(augmentation), network(kernel_size, stride), Replays()
    plain, losses, accuracies = trained(net, batches, capture=None)
    replayed, *found = trained(net, batches, replays)
    assert torch.equal(found[0], losses)
    assert torch.equal(found[1], accuracies)
    for name, value in plain.state_dict().items():
        assert torch.equal(replayed.state_dict()[name], value), name
    assert not torch.equal(plain.head.weight, net.head.weight)
    assert (replays.captured, replays.replayed) == (1, 53 - 10)


@pytest.mark.parametrize("optim", [SGD, MUON], ids=lambda optim: optim.name)
def test_replayed_steps_of_the_other_optimizers_are_the_plain_ones(optim: OptimConfig) -> None:
    batches, net, replays = train_batches(None), network(), Replays()
    plain, losses, _ = trained(net, batches, capture=None, optim=optim)
    replayed, found, _ = trained(net, batches, replays, optim=optim)
    assert torch.equal(found, losses)
    assert torch.equal(replayed.head.weight, plain.head.weight)
    assert replays.replayed == 53 - 10
    adamw, _, _ = trained(net, batches, capture=None)
    assert not torch.equal(adamw.head.weight, plain.head.weight)


def test_label_smoothing_spreads_a_share_of_the_target_over_all_classes() -> None:
    """Against the definition; the share of right answers is not concerned."""
    net, (images, labels) = network(), train_batches(None).batch(0)
    logs = deepcopy(net)(images).log_softmax(1)
    target = 0.8 * functional.one_hot(labels, 5) + 0.2 / 5
    optimizer = make_optimizer(net, ADAMW, torch.device("cpu"))
    loss, accuracy = TrainStep(net, optimizer, None, label_smoothing=0.2)((images, labels))
    torch.testing.assert_close(loss, -(target * logs).sum(1).mean())
    assert accuracy == (logs.argmax(1) == labels).float().mean()


def test_the_losses_are_those_of_the_batches_in_order() -> None:
    """By hand: the loss of each step's batch before the step, for two steps."""
    batches, net = train_batches(AUGMENTED), network()
    _, losses, accuracies = trained(net, batches, capture=None)
    images, labels = batches.batch(0)
    scores = deepcopy(net)(images)
    assert losses[0] == nn.functional.cross_entropy(scores, labels)
    assert accuracies[0] == (scores.argmax(1) == labels).sum() / 16


def test_a_step_that_cannot_be_captured_is_taken_plainly_and_told_once() -> None:
    def refuse(step: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("CUDA error: operation not permitted\nwhen stream is capturing")

    batches, net = train_batches(None), network()
    plain, losses, _ = trained(net, batches, capture=None)
    told: list[str] = []
    with log_to_terminal(told.append):
        refused, found, _ = trained(net, batches, refuse)
    assert told == [
        "the step could not be captured in a CUDA graph and runs eagerly:"
        " CUDA error: operation not permitted"
    ]
    assert torch.equal(found, losses)
    assert torch.equal(refused.head.weight, plain.head.weight)


class OthersCannot(ProcessGroup):
    """The first of two, whose other rank has the same batches and could not capture its step."""

    def all_reduce_mean(self, tensors: Iterable[Tensor]) -> None:
        pass

    def all_true(self, condition: bool, device: torch.device) -> bool:
        return False


def test_a_step_is_captured_on_all_devices_or_on_none() -> None:
    batches, net, replays = train_batches(None), network(), Replays()
    plain, losses, _ = trained(net, batches, capture=None)
    shared, found, _ = trained(net, batches, replays, ranks=OthersCannot(0, 2))
    assert (replays.captured, replays.replayed) == (1, 0)
    assert torch.equal(found, losses)
    assert torch.equal(shared.head.weight, plain.head.weight)


@pytest.mark.parametrize("replays", [None, Replays()], ids=["plain", "replayed"])
def test_every_step_is_told_of(replays: Replays | None) -> None:
    taken = []
    trained(network(), train_batches(None), replays, after_step=lambda: taken.append(1))
    assert len(taken) == 53


def test_a_learning_rate_restored_elsewhere_is_on_the_device_when_a_step_is_captured() -> None:
    """A checkpoint is read into the CPU's memory, which a graph cannot write to."""
    net, source = network(), train_batches(None)
    pixels = source.images._rows.view(-1, 12, 12, 1).numpy()
    images = DeviceImages(pixels, source.images._labels.numpy(), [120.0], [60.0], device="meta")
    restored = torch.optim.AdamW(net.parameters(), lr=torch.tensor(0.02), fused=True)
    captured = []

    def capture(step: Callable[[], None]) -> Callable[[], None]:
        captured.extend(group["lr"].device.type for group in restored.param_groups)
        return step

    batches = TrainBatches(images, source.order)
    eager = EagerRunner(TrainStep(net, restored, None), batches, learning_rate, lambda: None)
    CudaGraphRunner(eager, 12, capture).capture_step(source.inputs(range(2)))
    assert captured == ["meta"]


def test_nothing_is_captured_off_cuda() -> None:
    train_step = TrainStep(network(), torch.optim.AdamW([torch.zeros(1)]), None)
    eager = EagerRunner(train_step, train_batches(None), learning_rate, lambda: None)
    assert step_runner(eager, 12) is eager


def test_the_optimizer_is_fused_and_has_a_plain_learning_rate_on_the_cpu() -> None:
    optimizer = make_optimizer(network(), ADAMW, torch.device("cpu"))
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["fused"]) == (0.02, 0.01, True)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@needs_cuda
@pytest.mark.parametrize("optim", OPTIMIZERS, ids=lambda optim: optim.name)
@pytest.mark.parametrize("augmentation", [None, AUGMENTED], ids=["plain", "augmented"])
def test_a_cuda_graph_takes_the_plain_steps(
    augmentation: Augmentation | None, optim: OptimConfig
) -> None:
    source = train_batches(augmentation)
    pixels = source.images._rows.view(-1, 12, 12, 1).numpy()
    images = DeviceImages(pixels, source.images._labels.numpy(), [120.0], [60.0], "cuda")
    order = BatchOrder(torch.arange(640), 16, seed=3, device=images.index_device)
    batches = TrainBatches(images, order, augmentation)

    def weights(*, captured: bool) -> Taken:
        net = network().cuda()
        optimizer = make_optimizer(net, optim, torch.device("cuda"))
        eager = EagerRunner(TrainStep(net, optimizer, None), batches, learning_rate, lambda: None)
        runner = step_runner(eager, 12)
        assert isinstance(runner, CudaGraphRunner)
        losses, accuracies = zip(*map((runner if captured else eager).run, CHUNKS), strict=True)
        return net, torch.cat(losses), torch.cat(accuracies)

    # Else convolutions add in an order of their own.
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)  # type: ignore[no-untyped-call]
    with exact, warnings.catch_warnings():
        warnings.simplefilter("error")
        captured, losses, _ = weights(captured=True)
        plain, expected, _ = weights(captured=False)
    torch.testing.assert_close(losses, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(captured.head.weight, plain.head.weight, atol=1e-5, rtol=0)
