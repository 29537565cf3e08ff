"""One run's network, data, callbacks and Trainer, wired together."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import Timer
from torch.utils.tensorboard import SummaryWriter

from convscope.data.augment import Augmentation
from convscope.data.batches import DeviceImages, EvalBatches, TrainBatches
from convscope.data.order import BatchOrder
from convscope.model import ConvNet
from convscope.module import VariantModule
from convscope.runs.history import History
from convscope.tables import layer_table, markdown
from convscope.tracking.events import write_hparams, write_text
from convscope.tracking.pictures import check_shapes, confusion_picture, run_pictures
from convscope.tracking.throughput import Throughput
from convscope.tracking.tracker import RunTracker
from convscope.training.checkpoints import WholeCheckpoints, checkpoint_callbacks, read_checkpoint
from convscope.training.interruption import Interruption
from convscope.training.progress import EpochProgress
from convscope.training.request import RunRequest
from convscope.training.steps import StepChunks


class Experiment:
    """Everything between a request and its metrics.

    Args:
        interruption: stops the run between two steps.
        notify: is told a line per epoch.
    """

    def __init__(
        self, request: RunRequest, interruption: Interruption, notify: Callable[[str], None]
    ) -> None:
        self.request = request
        self._interruption = interruption
        self._notify = notify
        config = request.config
        device = request.hardware.torch_device
        seed_everything(config.seed, verbose=False)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._load_images(device)
        self.network = ConvNet(request.geometry).to(memory_format=torch.channels_last)
        if config.compile:
            self.network.compile()
        self._throughput = Throughput(device)
        self._module = VariantModule(
            self.network,
            train_batch=self._train_batch,
            total_steps=request.steps.total,
            classes=request.geometry.classes,
            optim=config.optim,
            clip_norm=config.trainer.gradient_clip_val,
            after_step=self._after_step,
        )
        self._tracker = RunTracker(
            request.directory,
            self._throughput,
            config.data.batch_size,
            config.optim.lr,
            self._describe,
        )
        self.resumed_from_epoch = self._finished_epochs()
        self._trainer = self._make_trainer()

    def _load_images(self, device: torch.device) -> None:
        request, data = self.request, self.request.config.data
        images = request.images
        train, self._test = (
            DeviceImages(pixels, labels, images.mean, images.std, device)
            for pixels, labels in (
                (images.train_images, images.train_labels),
                (images.test_images, images.test_labels),
            )
        )
        order = BatchOrder(
            torch.from_numpy(request.train_indices),
            data.batch_size,
            request.config.seed,
            device=train.index_device,
        )
        self._batches = TrainBatches(
            train, order, Augmentation(flip=data.flip, shift=data.shift, cutout=data.cutout)
        )
        self._val_loader = EvalBatches(
            train, torch.from_numpy(request.val_indices), data.batch_size
        )
        self._test_loader = EvalBatches(self._test, torch.arange(len(self._test)), data.batch_size)

    def _train_batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        # A limited epoch takes the first batches of its order; the next has an order of its own.
        epoch, offset = divmod(step, self.request.steps.per_epoch)
        return self._batches.batch(epoch * self._batches.steps_per_epoch + offset)

    def _after_step(self) -> None:
        self._progress.step()
        self._interruption.check()

    def _finished_epochs(self) -> int:
        """Epochs that a run before this one left in last.ckpt."""
        if self._develops or not self.request.directory.last.exists():
            return 0
        state = read_checkpoint(self.request.directory.last)["callbacks"]
        return int(state[self._tracker.state_key]["epochs"])

    @property
    def _develops(self) -> bool:
        return bool(self.request.config.trainer.fast_dev_run)

    def _make_trainer(self) -> Trainer:
        config = self.request.config
        trainer, steps = config.trainer, self.request.steps
        self._progress = EpochProgress(
            steps.total,
            steps.epochs,
            self._throughput,
            config.data.batch_size,
            self._notify,
            trainer.enable_progress_bar,
        )
        callbacks: list[Callback] = []
        if trainer.max_time is not None:
            # First: the others are to know that a chunk is the last one.
            callbacks.append(Timer(trainer.max_time))
        callbacks += [self._throughput, self._progress]
        if not self._develops:
            callbacks += [self._tracker, *checkpoint_callbacks(self.request.directory)]
        return Trainer(
            callbacks=[*callbacks, self._interruption],
            # StepChunks ends the last epoch at max_steps: Lightning, told of max_steps, would
            # resume from the end of an epoch as if it were in its middle.
            max_epochs=steps.epochs,
            accelerator=self.request.hardware.accelerator,
            devices=trainer.devices,
            strategy=trainer.strategy,
            precision=self.request.hardware.precision,  # type: ignore[arg-type]
            limit_val_batches=trainer.fast_dev_run or trainer.limit_val_batches,
            limit_test_batches=trainer.fast_dev_run or trainer.limit_test_batches,
            deterministic=trainer.deterministic,
            plugins=[WholeCheckpoints()],
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=not self._develops,
            enable_model_summary=False,
            default_root_dir=self.request.directory.path,
        )

    def headline(self) -> str:
        """What is about to be trained, in one line."""
        request, hardware = self.request, self.request.hardware
        resumed = f", resumed after epoch {self.resumed_from_epoch}" * bool(self.resumed_from_epoch)
        threads = f", {hardware.threads} threads" if hardware.accelerator == "cpu" else ""
        return (
            f"{request.directory.name}: {len(request.train_indices):,} training images,"
            f" {request.steps.epochs} epochs of {request.steps.per_epoch} steps,"
            f" {hardware.device} ({hardware.precision}{threads}){resumed}"
        )

    def run(self) -> dict[str, float]:
        """Train, test the best weights once, and write what TensorBoard shows of them.

        Returns:
            The summary's metrics, by the tags of `summary/` without that prefix.
        """
        try:
            chunks = StepChunks(
                self.request.steps,
                self.request.config.trainer.log_every_n_steps,
                lambda: self._trainer.global_step,
            )
            self._trainer.fit(
                self._module,
                chunks,
                self._val_loader,
                ckpt_path=self.request.directory.last if self.resumed_from_epoch else None,
                weights_only=True,
            )
            self._trainer.test(
                self._module,
                self._test_loader,
                ckpt_path=None if self._develops else self.request.directory.best,
                weights_only=True,
                verbose=False,
            )
            metrics = self._summary()
            if not self._develops:
                self._write_results(self._tracker.writer, metrics)
            return metrics
        finally:
            self._progress.close()
            self._tracker.close()

    def _describe(self, writer: SummaryWriter) -> None:
        """What is known before the first step: the geometry, held against the network."""
        geometry = self.request.geometry
        images, _ = self._test.batch(torch.zeros(1, dtype=torch.long))
        check_shapes(self.network, geometry, images)
        for layer in geometry.layers:
            for name, size in zip(("channels", "height", "width"), layer.out_shape, strict=True):
                writer.add_scalar(f"feature_map/{layer.name}/{name}", size, new_style=True)
        write_text(writer, "geometry", markdown(layer_table(geometry.as_records())))

    def _summary(self) -> dict[str, float]:
        geometry = self.request.geometry
        metrics = {
            "test_accuracy": float(self._trainer.callback_metrics["test/accuracy"]),
            "test_loss": float(self._trainer.callback_metrics["test/loss"]),
            "params": geometry.params,
            "macs": geometry.macs,
            "final_map": geometry.final_map[0] * geometry.final_map[1],
        }
        if self._develops:
            return metrics
        rows = History(self.request.directory.history).read()
        metrics["best_val_accuracy"] = max(float(row["val/accuracy"] or 0) for row in rows)
        for name, tag in (
            ("train_samples_per_sec", "throughput/train_samples_per_sec"),
            ("step_ms", "throughput/step_ms"),
            ("peak_mb", "memory/peak_mb"),
        ):
            measured = [value for row in rows if (value := row[tag]) is not None]
            if measured:
                metrics[name] = statistics.median(measured)
        return metrics

    def _write_results(self, writer: SummaryWriter, metrics: dict[str, float]) -> None:
        request, step = self.request, self._trainer.global_step
        for name in ("loss", "accuracy"):
            writer.add_scalar(f"test/{name}", metrics[f"test_{name}"], step, new_style=True)
        image, _ = self._test.batch(torch.zeros(1, dtype=torch.long))
        for tag, picture in run_pictures(self.network, request.geometry, image).items():
            writer.add_image(tag, picture, step)
        confusion = confusion_picture(self._module.confusion, request.images.classes)
        writer.add_figure("confusion/test", confusion, step)
        summary = {
            f"summary/{name}": value for name, value in metrics.items() if name != "test_loss"
        }
        write_hparams(writer, hyperparameters(request), summary)


def hyperparameters(request: RunRequest) -> dict[str, str | float]:
    """The HPARAMS columns: what tells the runs of a study apart, one type per column."""
    config, geometry = request.config, request.geometry
    first = geometry.convs[0]
    return {
        "dataset": request.images.name,
        "model": "-".join(map(str, config.model.channels)),
        "variant": geometry.variant,
        "padding_policy": geometry.padding_policy,
        "kernel_size": first.kernel_size[0],
        "stride": first.stride[0],
        "padding": first.padding[0][0],
        "seed": config.seed,
        "batch_size": config.data.batch_size,
        "lr": config.optim.lr,
        "epochs": request.steps.epochs,
    }
