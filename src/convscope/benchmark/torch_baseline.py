"""Contender (b): a PyTorch loop over a tensor in memory, written by hand and only for speed.

It uses the same network, images and hyperparameters as the project's training step, but none of its
code.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._dynamo import reset as forget_compiled
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR
from typing_extensions import override

from convscope.benchmark.cases import Case
from convscope.config.schema import OptimConfig
from convscope.data.images import Images
from convscope.modules import build_network
from convscope.training.callbacks.throughput import synchronizer
from convscope.training.devices import autocast_dtype

_WARMUP_STEPS = 10
_BEFORE_CAPTURE = 3
"""Steps before a capture, as PyTorch's notes require: some kernels are chosen on first use."""
_TRIALS = 3
_TRIAL_STEPS = 50
_MIN_SPEEDUP = 1.02
"""Speedup from which `torch.compile` is used, so that noise does not decide."""


class TensorData:
    """The training images as one uint8 tensor on the device, a row each, and their labels."""

    def __init__(self, images: Images, device: torch.device) -> None:
        count, *self.size = images.train_images.shape
        self.rows = torch.tensor(images.train_images.reshape(count, -1)).to(device)
        self.labels = torch.tensor(images.train_labels).to(device)
        pixels = self.size[0] * self.size[1]
        scale = 1 / torch.tensor(images.std, dtype=torch.float64)
        self._mean = torch.tensor(images.mean).repeat(pixels).to(device)
        self._scale = scale.float().repeat(pixels).to(device)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch: images (B, C, H, W) float32, normalised, channels_last; labels (B,)."""
        rows = self.rows.index_select(0, indices).float().sub_(self._mean).mul_(self._scale)
        images = rows.view(-1, *self.size).permute(0, 3, 1, 2)
        return images, self.labels.index_select(0, indices)


class TorchLoop:
    """Trains a network step by step.

    Args:
        network: from images (B, C, H, W) to class scores (B, classes); trained in place.
        data: the training images.
        shuffled: from an epoch's number to its batches, (steps, B) int64 indices on the CPU.
        optim: learning rate, weight decay and warm-up.
        total_steps: length of the one-cycle schedule.
        dtype: bfloat16 trains with autocast.
        compiled: whether to use `torch.compile`.

    Attributes:
        losses: (total_steps,) losses of the steps so far, on the device.
        taken: number of steps so far.
        prepared_seconds: time until it was warm, see `warm_loop`.
    """

    def __init__(
        self,
        network: nn.Module,
        data: TensorData,
        shuffled: Callable[[int], Tensor],
        optim: OptimConfig,
        total_steps: int,
        dtype: torch.dtype,
        compiled: bool = False,
    ) -> None:
        self.data = data
        self.optim = optim
        self.dtype = dtype
        self.compiled = compiled
        self.device = data.rows.device
        self.synchronize = synchronizer(self.device)
        network.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._scores = torch.compile(network) if compiled else network
        self._shuffled = shuffled
        self._epoch = 0
        self._batches = shuffled(0).to(self.device)
        self._row = 0
        self._rates = one_cycle(optim, total_steps)
        self.losses = torch.zeros(total_steps, device=self.device)
        self.taken = 0
        self.prepared_seconds = 0.0
        self._optimizer = self._make_optimizer(list(network.parameters()))

    def _make_optimizer(self, weights: list[nn.Parameter]) -> torch.optim.AdamW:
        return torch.optim.AdamW(weights, weight_decay=self.optim.weight_decay, fused=True)

    def samples_per_second(self, steps: int) -> float:
        """Take the next steps and return training samples/s."""
        self.synchronize()
        began = time.perf_counter()
        self.run(steps)
        self.synchronize()
        return steps * self._batches.shape[1] / (time.perf_counter() - began)

    def run(self, steps: int) -> None:
        """Take the next steps; the device may still be at work when this returns."""
        for _ in range(steps):
            if self._row == len(self._batches):
                self._begin_epoch()
            self._step()
            self._row += 1
            self.taken += 1

    def _begin_epoch(self) -> None:
        self._epoch += 1
        self._batches.copy_(self._shuffled(self._epoch))
        self._row = 0

    def _step(self) -> None:
        self._optimizer.param_groups[0]["lr"] = self._rates[self.taken]
        self.losses[self.taken] = self._train_on(self._batches[self._row])

    def _train_on(self, indices: Tensor) -> Tensor:
        images, labels = self.data.batch(indices)
        mixed = self.dtype != torch.float32
        with torch.autocast(self.device.type, self.dtype, enabled=mixed, cache_enabled=False):
            loss = functional.cross_entropy(self._scores(images), labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.detach()


class GraphLoop(TorchLoop):
    """The loop on CUDA: the whole step is one graph, so a step costs only its replay.

    As in PyTorch's notes on CUDA semantics, "Whole-network capture": warm up on a side stream,
    capture with static buffers. Batch index, learning rate and losses are on the device too, so the
    host writes nothing between two replays.
    """

    _graph: torch.cuda.CUDAGraph | None = None

    @override
    def _make_optimizer(self, weights: list[nn.Parameter]) -> torch.optim.AdamW:
        self._device_rates = torch.tensor(self._rates, device=self.device)
        self._device_row = torch.zeros(1, dtype=torch.long, device=self.device)
        self._device_taken = torch.zeros_like(self._device_row)
        self._rate = torch.zeros((), device=self.device)
        decay = self.optim.weight_decay
        return torch.optim.AdamW(
            weights, lr=self._rate, weight_decay=decay, fused=True, capturable=True
        )

    def capture(self) -> None:
        """Take the first steps without a graph, then capture the step; call it once."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.run(_BEFORE_CAPTURE)
        torch.cuda.current_stream().wait_stream(side)
        # So gradients are allocated in the graph's memory and overwritten by each replay.
        self._optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._device_step()
        self._graph = graph

    @override
    def _begin_epoch(self) -> None:
        super()._begin_epoch()
        self._device_row.zero_()

    @override
    def _step(self) -> None:
        if self._graph is None:
            self._device_step()
        else:
            self._graph.replay()

    def _device_step(self) -> None:
        self._rate.copy_(self._device_rates.index_select(0, self._device_taken)[0])
        loss = self._train_on(self._batches.index_select(0, self._device_row)[0])
        self.losses.scatter_(0, self._device_taken, loss.view(1))
        self._device_row += 1
        self._device_taken += 1


def one_cycle(optim: OptimConfig, total_steps: int) -> list[float]:
    """Return the learning rate of each step, computed by PyTorch's schedule."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=optim.lr)
    schedule = OneCycleLR(
        optimizer,
        optim.lr,
        # The project's schedule ends after the last step, not at it.
        total_steps=total_steps + 1,
        pct_start=optim.warmup,
        cycle_momentum=False,
    )
    rates = []
    for _ in range(total_steps):
        rates.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    return rates


def shuffled_batches(case: Case) -> Callable[[int], Tensor]:
    """Return a function from an epoch's number to its batches, (steps, B) indices of images."""
    indices = torch.from_numpy(case.request.train_indices)
    steps = len(indices) // case.batch_size
    draws = torch.Generator().manual_seed(case.request.config.seed)

    def shuffled(epoch: int) -> Tensor:
        order = torch.randperm(len(indices), generator=draws)[: steps * case.batch_size]
        return indices[order].view(steps, case.batch_size)

    return shuffled


def warm_loop(case: Case, data: TensorData, steps: int, compiled: bool = False) -> TorchLoop:
    """Return a case's loop after its warm-up steps; a `GraphLoop` on CUDA.

    Args:
        case: the variant and batch size.
        data: the training images.
        steps: number of steps after the warm-up.
        compiled: whether to use `torch.compile`.
    """
    request, total_steps = case.request, _WARMUP_STEPS + steps
    began = time.perf_counter()
    torch.manual_seed(request.config.seed)
    kind = GraphLoop if data.rows.device.type == "cuda" else TorchLoop
    loop = kind(
        build_network(request.geometry),
        data,
        shuffled_batches(case),
        request.config.optim,
        total_steps,
        autocast_dtype(request.hardware),
        compiled,
    )
    if isinstance(loop, GraphLoop):
        loop.capture()
    loop.run(_WARMUP_STEPS - loop.taken)
    loop.synchronize()
    loop.prepared_seconds = time.perf_counter() - began
    return loop


def window_steps(case: Case, data: TensorData, seconds: float) -> int:
    """Return the number of optimizer steps that the loop takes in about `seconds`."""
    rate = warm_loop(case, data, _TRIAL_STEPS).samples_per_second(_TRIAL_STEPS)
    return max(_TRIAL_STEPS, round(seconds * rate / case.batch_size))


@dataclass(frozen=True)
class Trial:
    """A trial of one form of the loop.

    Attributes:
        compiled: whether it used `torch.compile`.
        samples_per_second: the highest rate measured; None where it failed.
        prepared_seconds: time until it was warm: building, compilation, capture and first steps.
        failure: why it failed; None where it did not.
    """

    compiled: bool
    samples_per_second: float | None
    prepared_seconds: float
    failure: str | None = None


def compile_choice(
    case: Case, data: TensorData, steps: int, try_compile: bool
) -> tuple[TorchLoop, list[Trial]]:
    """Choose the faster loop, with or without `torch.compile`.

    Args:
        case: the variant and batch size.
        data: the training images.
        steps: number of steps that the returned loop can still take.
        try_compile: whether to try `torch.compile`.

    Returns:
        The faster loop, warmed up, and the trial of each form.
    """
    forget_compiled()
    loops: dict[bool, TorchLoop] = {}
    failures: list[Trial] = []
    for compiled in (False, True) if try_compile else (False,):
        began = time.perf_counter()
        try:
            loops[compiled] = warm_loop(case, data, _TRIALS * _TRIAL_STEPS + steps, compiled)
        except RuntimeError as error:
            # PyTorch's compiler raises these, and so does a capture of compiled code.
            if not compiled:
                raise
            reason = str(error).strip().splitlines()[0]
            failures.append(Trial(compiled, None, time.perf_counter() - began, reason))
    rates = dict.fromkeys(loops, 0.0)
    for _ in range(_TRIALS):
        for compiled, loop in loops.items():
            rates[compiled] = max(rates[compiled], loop.samples_per_second(_TRIAL_STEPS))
    trials = [Trial(form, rates[form], loop.prepared_seconds) for form, loop in loops.items()]
    return loops[rates.get(True, 0) > _MIN_SPEEDUP * rates[False]], trials + failures
