"""The optimizers, step by step, against PyTorch's own."""

import io
from collections.abc import Iterator
from copy import deepcopy
from itertools import compress

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.config.compose import compose_config
from convscope.config.schema import OptimConfig
from convscope.training.optimizers import make_optimizer, orthogonal

CPU = torch.device("cpu")
STEPS = 6


def config(name: str) -> OptimConfig:
    return compose_config([f"optim={name}"]).optim


@pytest.fixture
def network() -> nn.Module:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),  # Wide: 8 x 27.
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 24, 1),  # Tall: 24 x 8.
        nn.Conv2d(24, 24, 3, groups=24),
        nn.Flatten(),
        nn.Linear(24 * 16, 5),
    )
    return made.to(memory_format=torch.channels_last)


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    source = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        images = torch.randn(16, 3, 8, 8, generator=source)
        yield images, torch.randint(5, (16,), generator=source)


def train(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Take the steps, each with a learning rate of its own."""
    for number, (images, labels) in enumerate(batches(), start=1):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * number
        loss = functional.cross_entropy(network(images), labels)
        network.zero_grad()
        loss.backward()
        optimizer.step()


def assert_close(ours: nn.Module, theirs: nn.Module, **bounds: float) -> None:
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, msg=lambda text, at=name: f"{at}: {text}", **bounds)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_sgd_is_that_of_pytorch_with_nesterov_momentum(network: nn.Module, momentum: float) -> None:
    theirs, optim = deepcopy(network), config("sgd")
    optim.momentum = momentum
    train(network, make_optimizer(network, optim, CPU))
    plain = torch.optim.SGD(
        theirs.parameters(), momentum=momentum, nesterov=momentum > 0, weight_decay=5e-4
    )
    train(theirs, plain)
    assert_close(network, theirs)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_muon_is_that_of_pytorch_for_convolutions_and_adamw_for_the_rest(
    network: nn.Module, weight_decay: float
) -> None:
    """With gradients that do not depend on the weights: Muon rounds to bfloat16."""
    ours, optim = deepcopy(network), config("muon")
    optim.weight_decay = weight_decay
    optimizer = make_optimizer(ours, optim, CPU)

    is_filter = [one.ndim == 4 for one in network.parameters()]
    theirs = [
        nn.Parameter(one.detach().flatten(1).clone() if one.ndim == 4 else one.detach().clone())
        for one in network.parameters()
    ]
    muon = torch.optim.Muon(
        list(compress(theirs, is_filter)),
        momentum=0.95,
        nesterov=True,
        weight_decay=weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    others = compress(theirs, (not one for one in is_filter))
    adamw = torch.optim.AdamW(others, weight_decay=weight_decay)
    source = torch.Generator().manual_seed(1)
    for number in range(1, STEPS + 1):
        for mine, other in zip(ours.parameters(), theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=source)
            other.grad = mine.grad.view_as(other).clone()
        for group in (*optimizer.param_groups, *muon.param_groups, *adamw.param_groups):
            group["lr"] = 0.01 * number
        for one in (optimizer, muon, adamw):
            one.step()
    for mine, other in zip(ours.parameters(), theirs, strict=True):
        torch.testing.assert_close(mine, other.view_as(mine), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 27), (24, 8), (16, 16), (1, 9), (5, 1)])
def test_the_orthogonal_matrix_has_the_directions_of_the_given_one(shape: tuple[int, int]) -> None:
    """Against the singular value decomposition: the same vectors, all values about 1."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonal(matrix) @ right.T
    assert 0.6 < found.diagonal().min() <= found.diagonal().max() < 1.3
    assert (found - found.diagonal().diag()).abs().max() < 0.05
    assert orthogonal(torch.zeros(shape)).abs().max() == 0


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_a_restored_optimizer_takes_the_same_steps_bit_for_bit(
    network: nn.Module, name: str
) -> None:
    optimizer = make_optimizer(network, config(name), CPU)
    train(network, optimizer)
    saved = io.BytesIO()
    torch.save(optimizer.state_dict(), saved)
    saved.seek(0)
    other = deepcopy(network)
    restored = make_optimizer(other, config(name), CPU)
    restored.load_state_dict(torch.load(saved, weights_only=True))
    train(network, optimizer)
    train(other, restored)
    assert_close(network, other, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_a_tensor_as_learning_rate_as_on_cuda_gives_the_same_steps(
    network: nn.Module, name: str
) -> None:
    other = deepcopy(network)
    train(network, make_optimizer(network, config(name), CPU))
    optimizer = make_optimizer(other, config(name), CPU)
    rate = torch.tensor(0.0)
    for group in optimizer.param_groups:
        group["lr"] = rate
    for number, (images, labels) in enumerate(batches(), start=1):
        rate.fill_(0.01 * number)
        other.zero_grad()
        functional.cross_entropy(other(images), labels).backward()
        optimizer.step()
    assert_close(network, other, rtol=1e-5, atol=1e-6)
