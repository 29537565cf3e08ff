"""Chunks of steps, taken as fast as the device allows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from convscope.data.batches import BatchInputs, TrainBatches
from convscope.training.step.captured import Capture, CapturedSteps, cuda_graph
from convscope.training.step.eager import EagerSteps
from convscope.training.step.update import Update

log = logging.getLogger(__name__)


class Stepper:
    """Takes a process's first chunk step by step; what follows is captured where that is possible.

    Args:
        update: the step; its optimizer is `make_optimizer`'s.
        learning_rate: of an optimizer step, from 0.
        capacity: steps of the longest chunk.
        capture: how a step is captured; None where it cannot be.
        after_step: called after each step; must not read the device.
    """

    def __init__(
        self,
        update: Update,
        batches: TrainBatches,
        learning_rate: Callable[[int], float],
        capacity: int,
        capture: Capture | None,
        after_step: Callable[[], None],
    ) -> None:
        self.update = update
        self.batches = batches
        self.learning_rate = learning_rate
        self.capacity = capacity
        self.capture = capture
        self.after_step = after_step
        self._eager = EagerSteps(update, batches, after_step)
        self._captured: CapturedSteps | None = None
        self._settled = False
        """Whether it is known if a step can be captured."""

    def take(self, chunk: range) -> tuple[Tensor, Tensor]:
        """Take these optimizer steps, counted from 0 over the whole run.

        Returns:
            losses (steps,) and shares of right answers (steps,), on the device.
        """
        inputs = self.batches.inputs(chunk)
        rates = [self.learning_rate(step) for step in chunk]
        if self._captured is not None:
            return self._captured.take(inputs, rates)
        if self._settled:
            return self._eager.take(inputs, rates)
        device = self.batches.images.device
        with _aside(device):
            taken = self._eager.take(inputs, rates)
        captured = None if self.capture is None else self._try_capture(self.capture, inputs)
        # NCCL's part of the step must be captured on every device or on none.
        if self.update.ranks.all(captured is not None, device):
            self._captured = captured
        self._settled = True
        return taken

    def _try_capture(self, capture: Capture, like: BatchInputs) -> CapturedSteps | None:
        try:
            return CapturedSteps(
                self.update, self.batches, like, self.capacity, capture, self.after_step
            )
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            log.warning(
                "the step could not be captured in a CUDA graph and runs eagerly: %s", reason
            )
            return None


def graph_capture(batches: TrainBatches) -> Capture | None:
    """A CUDA graph, where the images lie on a CUDA device; those on the host are chosen there."""
    on_cuda = batches.images.device.type == "cuda" and batches.images.location == "device"
    return cuda_graph if on_cuda else None


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all runs: cuBLAS and PyTorch's allocator keep memory for each that was used."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def _aside(device: torch.device) -> Iterator[None]:
    """On CUDA a stream of its own, as steps before a capture want it."""
    if device.type != "cuda":
        yield
        return
    stream = _side_stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream), warnings.catch_warnings():
        # PyTorch's advice to those who never capture.
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
        yield
    torch.cuda.current_stream(device).wait_stream(stream)
