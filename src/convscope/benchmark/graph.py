"""(b) on CUDA: the whole step captured in one graph, so that a replay is all that a step costs.

As in PyTorch's notes on CUDA semantics, "Whole-network capture": warm up on a side stream, capture
with static buffers. Position, learning rate and losses are on the device too; between two replays
the host writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from typing_extensions import override

from convscope.benchmark.plain import PlainLoop, Recipe, TensorData

_WARM_UP = 3
"""Steps before capture, which PyTorch's notes ask for: some kernels are chosen on first use."""


class GraphLoop(PlainLoop):
    """The plain loop with nothing left to do for the host; `capture` makes a graph of its step."""

    def __init__(
        self,
        network: nn.Module,
        data: TensorData,
        recipe: Recipe,
        shuffled: Callable[[int], Tensor],
    ) -> None:
        super().__init__(network, data, recipe, shuffled)
        self._rates_there = torch.tensor(self._rates, device=self.device)
        self._row_there, self._taken_there = (
            torch.zeros(1, dtype=torch.long, device=self.device) for _ in range(2)
        )
        self._graph: torch.cuda.CUDAGraph | None = None

    @override
    def _make_optimizer(self, weights: list[nn.Parameter]) -> torch.optim.AdamW:
        self._rate = torch.zeros((), device=self.device)
        decay = self.recipe.optim.weight_decay
        return torch.optim.AdamW(
            weights, lr=self._rate, weight_decay=decay, fused=True, capturable=True
        )

    def capture(self) -> None:
        """Take the first steps as they are, then put the step into a graph; call it once."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.run(_WARM_UP)
        torch.cuda.current_stream().wait_stream(side)
        # Gradients are then made in the graph's own memory, and written anew by each replay.
        self._optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step_there()
        self._graph = graph

    @override
    def _begin_epoch(self) -> None:
        super()._begin_epoch()
        self._row_there.zero_()

    @override
    def _step(self) -> None:
        if self._graph is None:
            self._step_there()
        else:
            self._graph.replay()

    def _step_there(self) -> None:
        self._rate.copy_(self._rates_there.index_select(0, self._taken_there)[0])
        loss = self._train_on(self._batches.index_select(0, self._row_there)[0])
        self.losses.scatter_(0, self._taken_there, loss.view(1))
        self._row_there += 1
        self._taken_there += 1
