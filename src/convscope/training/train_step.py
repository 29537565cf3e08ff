"""The train step: one optimizer step on one batch, and what runs many of them, chunk by chunk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.data.batches import Batch, BatchInputs, TrainBatches, to_device_async
from convscope.training.process_group import SINGLE_PROCESS, ProcessGroup

log = logging.getLogger(__name__)

Replay = Callable[[], None]
Capture = Callable[[Replay], Replay]


@dataclass(frozen=True)
class TrainStep:
    """Forward pass, backward pass and optimizer step; reads nothing back from the device.

    The forward pass runs in the precision of the autocast around it, the rest outside of it.

    Args:
        network: images (batch, channels, height, width) to class scores (batch, classes).
        clip_norm: largest norm of the gradient, if it is clipped.
        process_group: processes that share the batch; each computes its part of it.
        label_smoothing: share of the target that is spread evenly over all classes.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    clip_norm: float | None
    process_group: ProcessGroup = SINGLE_PROCESS
    label_smoothing: float = 0.0

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Take the step.

        Returns:
            The loss before the step and the share of right answers, of this process's part of the
            batch: scalars on the device.
        """
        images, labels = batch
        scores = self.network(images)
        with torch.autocast(images.device.type, enabled=False):
            loss = functional.cross_entropy(
                scores.float(), labels, label_smoothing=self.label_smoothing
            )
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            # The mean over equal parts of a batch is the mean over the batch.
            self.process_group.all_reduce_mean(
                weight.grad for weight in self.network.parameters() if weight.grad is not None
            )
            if self.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
            self.optimizer.step()
        right = scores.detach().argmax(1) == labels
        return loss.detach(), right.float().mean()


class StepRunner(Protocol):
    """Runs the train steps of a chunk."""

    def run(self, chunk: range) -> tuple[Tensor, Tensor]:
        """Run these optimizer steps, counted from 0 over the whole run.

        Returns:
            Losses (steps,) and shares of right answers (steps,), on the device.
        """


@dataclass(frozen=True)
class EagerRunner:
    """Runs steps one after the other, as plain PyTorch does.

    Args:
        learning_rate: of an optimizer step, from 0.
        after_step: called after each step; must not read the device.
    """

    train_step: TrainStep
    batches: TrainBatches
    learning_rate: Callable[[int], float]
    after_step: Callable[[], None]

    def run(self, chunk: range) -> tuple[Tensor, Tensor]:
        """See `StepRunner.run`."""
        inputs = self.batches.inputs(chunk)
        losses, accuracies = [], []
        for number, step in enumerate(chunk):
            _set_learning_rate(self.train_step.optimizer, self.learning_rate(step))
            loss, accuracy = self.train_step(self.batches.make(inputs.step(number)))
            losses.append(loss)
            accuracies.append(accuracy)
            self.after_step()
        return torch.stack(losses), torch.stack(accuracies)


class CudaGraphRunner:
    """Runs a process's first chunk eagerly, then replays a step that was captured in a CUDA graph.

    A graph replays the same kernels on the same memory. What differs from step to step (which
    images, their augmentation, the learning rate) is put into buffers for a whole chunk beforehand,
    and a counter on the device chooses among them. See "CUDA Graphs" in PyTorch's notes on CUDA
    semantics. Where the step cannot be captured, a warning says so and all chunks run eagerly.

    Args:
        eager: runs the first chunk: what the optimizer allocates in it must not be part of the
            graph. Its images are on the device.
        capacity: steps of the longest chunk.
        capture: makes of a step one that can be replayed.
    """

    def __init__(self, eager: EagerRunner, capacity: int, capture: Capture) -> None:
        self.eager = eager
        self.capacity = capacity
        self.capture = capture
        self._is_first = True
        self._replay: Replay | None = None

    def run(self, chunk: range) -> tuple[Tensor, Tensor]:
        """See `StepRunner.run`."""
        if self._replay is not None:
            return self._run_captured(chunk, self._replay)
        if not self._is_first:
            return self.eager.run(chunk)
        self._is_first = False
        device = self.eager.batches.images.device
        with _on_side_stream(device):
            results = self.eager.run(chunk)
        replay = self._try_capture(self.eager.batches.inputs(chunk))
        # NCCL's part of the step must be captured on every device or on none.
        if self.eager.train_step.process_group.all_true(replay is not None, device):
            self._replay = replay
        return results

    def _try_capture(self, like: BatchInputs) -> Replay | None:
        try:
            return self.capture_step(like)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            log.warning(
                "the step could not be captured in a CUDA graph and runs eagerly: %s", reason
            )
            return None

    def capture_step(self, like: BatchInputs) -> Replay:
        """Allocate the buffers and capture a step.

        From here on the optimizer reads its learning rate from a tensor on the device, which a
        checkpoint need not have restored there.

        Args:
            like: inputs of the shape of all that will come.

        Raises:
            RuntimeError: something in the step cannot be captured.
        """
        device, capacity = self.eager.batches.images.device, self.capacity
        self._inputs = like.map(lambda values: values.new_zeros(capacity, *values.shape[1:]))
        self._rates = torch.zeros(capacity, device=device)
        self._results = torch.zeros(2, capacity, device=device)
        """Loss and accuracy of each step."""
        self._steps = torch.arange(capacity, device=device)
        self._rate = torch.zeros((), device=device)
        for group in self.eager.train_step.optimizer.param_groups:
            group["lr"] = self._rate
        self._number = torch.zeros(1, dtype=torch.long, device=device)
        """Number of the step within its chunk."""
        return self.capture(self._step)

    def _step(self) -> None:
        number = self._number
        self._rate.copy_(self._rates.index_select(0, number)[0])
        inputs = self._inputs.map(lambda values: values.index_select(0, number)[0])
        loss, accuracy = self.eager.train_step(self.eager.batches.make(inputs))
        # Not index_copy_: where algorithms must be deterministic, it may wait for the device.
        values = torch.stack([loss, accuracy])[:, None]
        torch.where(self._steps == number, values, self._results, out=self._results)
        number += 1

    def _run_captured(self, chunk: range, replay: Replay) -> tuple[Tensor, Tensor]:
        steps = len(chunk)
        inputs = self.eager.batches.inputs(chunk)
        rates = torch.tensor([self.eager.learning_rate(step) for step in chunk])
        self._number.zero_()
        self._rates[:steps].copy_(to_device_async(rates, self._rates.device))
        for buffer, values in zip(self._inputs.tensors(), inputs.tensors(), strict=True):
            buffer[:steps].copy_(values)
        for _ in range(steps):
            replay()
            self.eager.after_step()
        losses, accuracies = self._results[:, :steps].clone()
        return losses, accuracies


def step_runner(eager: EagerRunner, capacity: int) -> StepRunner:
    """Return a CUDA graph's runner where the images are on a CUDA device, else the eager one.

    Args:
        eager: takes the steps before a graph is captured.
        capacity: steps of the longest chunk.
    """
    images = eager.batches.images
    # Images on the host are chosen there, which no graph can do.
    if images.device.type == "cuda" and images.location == "device":
        return CudaGraphRunner(eager, capacity, cuda_graph)
    return eager


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
        # A capture that failed may leave its own stream current.
        torch.cuda.set_stream(stream)
        raise
    return graph.replay


def _set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all runs: cuBLAS and PyTorch's allocator keep memory for each that was used."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def _on_side_stream(device: torch.device) -> Iterator[None]:
    """Run on a CUDA stream of its own, as steps before a capture must."""
    if device.type != "cuda":
        yield
        return
    stream = _side_stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)
