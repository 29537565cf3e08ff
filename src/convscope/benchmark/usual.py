"""(c): the usual pipeline, as tutorials write it.

torchvision's data set, a transform per image, a DataLoader with workers, and a LightningModule that
logs its loss at every step, in a Trainer with its defaults.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
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
from convscope.benchmark.screen import unseen_terminal
from convscope.config.schema import OptimConfig
from convscope.cores import cores
from convscope.training.log import logged_to
from convscope.training.model import ConvNet
from convscope.training.tracking.throughput import Rate, Stopwatch, synchronizer

_WARMUP_STEPS = 10
_DATA_SETS = {
    "mnist": datasets.MNIST,
    "fashion_mnist": datasets.FashionMNIST,
    "cifar10": datasets.CIFAR10,
    "cifar100": datasets.CIFAR100,
}


class UsualModule(LightningModule):
    """Cross-entropy, AdamW, a one-cycle schedule: automatic optimisation."""

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
        optim = self.optim
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=optim.lr, weight_decay=optim.weight_decay
        )
        schedule = OneCycleLR(
            optimizer, optim.lr, total_steps=self.total_steps + 1, pct_start=optim.warmup
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class Window(Callback):
    """Times the last `steps` of a training, all after its first ones."""

    def __init__(self, device: torch.device, batch_size: int, steps: int) -> None:
        self.rate: Rate | None = None
        self._stopwatch = Stopwatch(time.perf_counter, synchronizer(device))
        self._batch_size = batch_size
        self._end = _WARMUP_STEPS + steps

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._stopwatch.count(self._batch_size)
        if trainer.global_step == _WARMUP_STEPS:
            self._stopwatch.start()
        elif trainer.global_step == self._end:
            self.rate = self._stopwatch.stop()


class UsualPipeline:
    """The pipeline of a case.

    Args:
        images: a torchvision data set that gives (image, label).
    """

    def __init__(self, case: Case, images: Dataset[Any]) -> None:
        self._case = case
        self._images = Subset(images, case.request.train_indices.tolist())

    def samples_per_second(self, steps: int, workers: int) -> float:
        """Train from scratch, and time so many steps; workers are started before them."""
        case = self._case
        request, batch_size = case.request, case.batch_size
        total_steps = _WARMUP_STEPS + steps
        window = Window(request.hardware.torch_device, batch_size, steps)
        module = UsualModule(ConvNet(request.geometry), request.config.optim, total_steps)
        loader: DataLoader[Any] = DataLoader(
            self._images,
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=request.hardware.accelerator == "cuda",
        )
        with (
            tempfile.TemporaryDirectory(prefix="convscope-benchmark-") as folder,
            unseen_terminal(),
            logged_to(None),
        ):
            trainer = Trainer(
                default_root_dir=folder,
                max_steps=total_steps,
                accelerator=request.hardware.accelerator,
                devices=1,
                callbacks=[window],
            )
            try:
                trainer.fit(module, loader)
            except SystemExit as end:
                # What Lightning makes of Ctrl-C.
                raise (end.__context__ or KeyboardInterrupt()) from None
        assert window.rate is not None
        return window.rate.per_second

    def best_workers(self, steps: int) -> dict[int, float]:
        """samples/s by number of workers: none, then one, and twice as many up to the cores."""
        return {n: self.samples_per_second(steps, n) for n in worker_counts(cores())}


def usual_images(case: Case) -> Dataset[Any] | None:
    """torchvision's own reader of the case's data set; None where it has none, or no file of it."""
    request = case.request
    kind = _DATA_SETS.get(request.images.name)
    if kind is None:
        return None
    mean, std = ([value / 255 for value in of] for of in (request.images.mean, request.images.std))
    steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    try:
        images: Dataset[Any] = kind(request.config.data.root, train=True, transform=steps)
    except RuntimeError:
        return None
    return images


def worker_counts(cores: int) -> Iterable[int]:
    """0, 1, 2, 4, … and the number of cores."""
    doubled = [2**power for power in range(cores.bit_length()) if 2**power < cores]
    return [0, *doubled, cores]
