"""Many steps from buffers that stay where they are, so that a CUDA graph can hold a whole step.

A captured graph replays the same kernels on the same memory: what differs from step to step (which
images, their augmentation, the learning rate) is put into buffers for a whole chunk beforehand, and
a counter on the device chooses among them. See "CUDA Graphs" in PyTorch's notes on CUDA semantics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from convscope.data.batches import BatchInputs, TrainBatches, to_device_async
from convscope.training.step.update import Update

Replay = Callable[[], None]
Capture = Callable[[Replay], Replay]


class CapturedSteps:
    """Takes the steps of a chunk by replaying one that was captured.

    Args:
        update: its optimizer has taken a step before: what it allocates then must not be part of
            the graph. From here on it has its learning rate from a tensor on the device, which a
            checkpoint need not have restored there.
        batches: of images that are held on the device.
        like: inputs of the shape of all that will come.
        capacity: steps that a chunk may have.
        capture: makes of a step one that can be replayed.
        after_step: called after each; must not read the device.
    """

    def __init__(
        self,
        update: Update,
        batches: TrainBatches,
        like: BatchInputs,
        capacity: int,
        capture: Capture,
        after_step: Callable[[], None],
    ) -> None:
        device = batches.images.device
        self.update = update
        self.batches = batches
        self.after_step = after_step
        self._inputs = like.map(lambda values: values.new_zeros(capacity, *values.shape[1:]))
        self._rates = torch.zeros(capacity, device=device)
        self._measured = torch.zeros(2, capacity, device=device)
        """Loss and accuracy of each step."""
        self._places = torch.arange(capacity, device=device)
        self._rate = torch.zeros((), device=device)
        for group in update.optimizer.param_groups:
            group["lr"] = self._rate
        self._number = torch.zeros(1, dtype=torch.long, device=device)
        """Of the step within its chunk."""
        self._replay = capture(self._step)

    def _step(self) -> None:
        number = self._number
        self._rate.copy_(self._rates.index_select(0, number)[0])
        inputs = self._inputs.map(lambda values: values.index_select(0, number)[0])
        loss, accuracy = self.update(self.batches.make(inputs))
        # Not index_copy_: where algorithms must be deterministic, it may wait for the device.
        values = torch.stack([loss, accuracy])[:, None]
        torch.where(self._places == number, values, self._measured, out=self._measured)
        number += 1

    def take(self, inputs: BatchInputs, learning_rates: Sequence[float]) -> tuple[Tensor, Tensor]:
        """As `EagerSteps.take`."""
        steps = len(learning_rates)
        self._number.zero_()
        self._rates[:steps].copy_(to_device_async(torch.tensor(learning_rates), self._rates.device))
        for buffer, values in zip(self._inputs.tensors(), inputs.tensors(), strict=True):
            buffer[:steps].copy_(values)
        for _ in range(steps):
            self._replay()
            self.after_step()
        losses, accuracies = self._measured[:, :steps].clone()
        return losses, accuracies


def cuda_graph(step: Replay) -> Replay:
    """Capture a step on the current CUDA device; nothing is computed before the first replay.

    Raises:
        RuntimeError: something in the step cannot be captured.
    """
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph):
            step()
    except RuntimeError:
        # A capture that was spoilt leaves its own stream in place.
        torch.cuda.set_stream(stream)
        raise
    return graph.replay
