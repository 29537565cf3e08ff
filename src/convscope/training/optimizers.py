"""The optimizers of `optim=adamw|sgd|muon`; a CUDA graph can capture the steps of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from typing_extensions import override

from convscope.config.schema import OptimConfig

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def make_optimizer(network: nn.Module, optim: OptimConfig, device: torch.device) -> Optimizer:
    """Return the optimizer of a network; on CUDA its learning rate is a tensor, for a CUDA graph.

    Weight decay applies to all parameters: as L2 regularisation in SGD, decoupled in the others.
    """
    on_cuda = device.type == "cuda"
    common: dict[str, Any] = {
        "lr": torch.tensor(optim.lr, device=device) if on_cuda else optim.lr,
        "weight_decay": optim.weight_decay,
        "fused": device.type in ("cpu", "cuda", "mps"),
    }
    if optim.name == "sgd":
        return SGD(
            network.parameters(), momentum=optim.momentum, nesterov=optim.momentum > 0, **common
        )
    optimizer = (
        Muon(network.parameters(), momentum=optim.momentum, capturable=on_cuda, **common)
        if optim.name == "muon"
        else AdamW(network.parameters(), capturable=on_cuda, **common)
    )
    # The first steps run eagerly on purpose: PyTorch would advise against it.
    optimizer._warned_capturable_if_run_uncaptured = True
    return optimizer


class Muon(AdamW):
    """Muon for the weights of convolutions, AdamW for all other parameters.

    A weight of shape (out_channels, in_channels, height, width) is one matrix with a row per output
    channel; its step is the nearest orthogonal matrix to its Nesterov momentum (Jordan, 2024,
    https://kellerjordan.github.io/posts/muon/). The step is scaled to the size of AdamW's (Liu et
    al., 2025, arXiv:2502.16982), so that one learning rate and one weight decay suit both.

    `torch.optim.Muon` computes the same for matrices only, and a CUDA graph cannot capture it.

    Args:
        parameters: of a network.
        momentum: share of the moving average of gradients that remains after a step.
        adamw: arguments of AdamW.
    """

    def __init__(self, parameters: Iterable[Tensor], momentum: float, **adamw: Any) -> None:
        parameters = list(parameters)
        others: dict[str, Any] = {"params": [one for one in parameters if one.ndim != 4]}
        filters = {"params": [one for one in parameters if one.ndim == 4], "momentum": momentum}
        super().__init__([others, filters], **adamw)

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take a step; see `torch.optim.Optimizer.step`."""
        others, filters = groups = self.param_groups
        self.param_groups = [others]
        loss = super().step(closure)
        self.param_groups = groups
        for weight in filters["params"]:
            if weight.grad is not None:
                self._step(weight, weight.grad, filters)
        return loss

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a state; AdamW's own method expects AdamW's state of every parameter."""
        Optimizer.__setstate__(self, state)

    def _step(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        lr, momentum = group["lr"], group["momentum"]
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        matrix = gradient.lerp(mean, momentum).flatten(1)
        step = orthogonal(matrix).view_as(gradient)
        weight.mul_(1 - lr * group["weight_decay"])
        weight.sub_(step * (lr * 0.2 * max(matrix.shape) ** 0.5))


def orthogonal(matrix: Tensor) -> Tensor:
    """Return roughly the nearest orthogonal matrix, by five Newton-Schulz iterations in bfloat16.

    Its singular values lie between about 0.7 and 1.2: coefficients and number of iterations are
    Jordan's, who found that Muon does not gain from more exact ones.

    Args:
        matrix: (rows, columns).
    """
    a, b, c = _COEFFICIENTS
    wide = matrix.bfloat16() if matrix.shape[0] <= matrix.shape[1] else matrix.bfloat16().T
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return (wide if matrix.shape[0] <= matrix.shape[1] else wide.T).to(matrix.dtype)
