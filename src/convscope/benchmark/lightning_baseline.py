"""Contender (c): the usual Lightning pipeline, as tutorials write it.

torchvision's data set, a transform per image, a DataLoader with workers, and a LightningModule that
logs its loss at every step, in a Trainer with its defaults.
"""

from __future__ import annotations

import logging
import tempfile
import time
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets, transforms
from typing_extensions import override

from convscope.benchmark.cases import Case
from convscope.benchmark.project import null_terminal
from convscope.config.schema import OptimConfig
from convscope.cores import cores
from convscope.data.datasets import DATASETS
from convscope.modules import build_network
from convscope.training.callbacks.throughput import synchronizer
from convscope.training.log import logged_to

_WARMUP_STEPS = 10


class BaselineModule(LightningModule):
    """Cross-entropy, AdamW and a one-cycle schedule, with automatic optimisation."""

    def __init__(self, network: nn.Module, optim: OptimConfig, total_steps: int) -> None:
        super().__init__()
        self.network = network
        self.optim = optim
        self.total_steps = total_steps

    @override
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        loss = functional.cross_entropy(self.network(images), labels)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    @override
    def configure_optimizers(self) -> Any:
        lr, weight_decay, warmup = self.optim.lr, self.optim.weight_decay, self.optim.warmup
        optimizer = torch.optim.AdamW(self.parameters(), lr=lr, weight_decay=weight_decay)
        schedule = OneCycleLR(optimizer, lr, total_steps=self.total_steps + 1, pct_start=warmup)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class Clock(Callback):
    """Reads the time after the given steps, once the device has finished them."""

    def __init__(self, device: torch.device, *steps: int) -> None:
        self.readings: list[float] = []
        self._synchronize = synchronizer(device)
        self._steps = steps

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step in self._steps:
            self._synchronize()
            self.readings.append(time.perf_counter())


def samples_per_second(case: Case, images: Dataset[Any], steps: int, workers: int) -> float:
    """Train from scratch and return training samples/s after warm-up steps.

    Args:
        case: the variant and batch size.
        images: a torchvision data set of (image, label).
        steps: number of steps that are timed.
        workers: number of the DataLoader's worker processes.
    """
    request, batch_size = case.request, case.batch_size
    total_steps = _WARMUP_STEPS + steps
    clock = Clock(torch.device(request.hardware.accelerator), _WARMUP_STEPS, total_steps)
    module = BaselineModule(build_network(request.geometry), request.config.optim, total_steps)
    loader: DataLoader[Any] = DataLoader(
        Subset(images, request.train_indices.tolist()),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=request.hardware.accelerator == "cuda",
    )
    with (
        tempfile.TemporaryDirectory(prefix="convscope-benchmark-") as folder,
        null_terminal(),
        logged_to(logging.NullHandler()),
    ):
        trainer = Trainer(
            default_root_dir=folder,
            max_steps=total_steps,
            accelerator=request.hardware.accelerator,
            devices=1,
            callbacks=[clock],
        )
        try:
            trainer.fit(module, loader)
        except SystemExit as end:
            # Lightning turns Ctrl-C into SystemExit.
            raise (end.__context__ or KeyboardInterrupt()) from None
    began, ended = clock.readings
    return steps * batch_size / (ended - began)


def rates_by_workers(case: Case, images: Dataset[Any], steps: int) -> dict[int, float]:
    """Return samples/s by number of workers, see `worker_counts`."""
    return {n: samples_per_second(case, images, steps, n) for n in worker_counts(cores())}


def torchvision_images(case: Case) -> Dataset[Any] | None:
    """Return torchvision's data set of the case; None if it has none or its files are missing."""
    images = case.request.images
    known = DATASETS.get(images.name)
    if known is None or not known.torchvision:
        return None
    mean, std = ([value / 255 for value in values] for values in (images.mean, images.std))
    steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    root = case.request.config.data.root
    try:
        kind = getattr(datasets, known.torchvision)
        found: Dataset[Any] = kind(root, train=True, transform=steps)
    except RuntimeError:
        return None
    return found


def worker_counts(cores: int) -> list[int]:
    """Return the numbers of workers to try: 0, 1, 2, 4, … and the number of cores."""
    return [0, *(2**power for power in range(cores.bit_length()) if 2**power < cores), cores]
