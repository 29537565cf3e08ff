"""One run's network, data, callbacks and Trainer, wired together."""

from __future__ import annotations

import signal

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch.utils.tensorboard import SummaryWriter

from convscope.checkpoint import read_best, read_last
from convscope.data.batches import EvalBatches
from convscope.runs.history import History
from convscope.runs.lock import Claim
from convscope.text import counted
from convscope.training.batches import test_images, train_batches, train_images
from convscope.training.checkpoints import WholeCheckpoints, checkpoint_callbacks
from convscope.training.distributed.lightning import EqualWeights, UnwrappedDDP
from convscope.training.interruption import ClaimCheck, Interruption
from convscope.training.model import ConvNet
from convscope.training.module import VariantModule
from convscope.training.process_group import ALONE, Ranks
from convscope.training.progress import EpochProgress
from convscope.training.request import RunRequest
from convscope.training.results import describe, summarise, write_pictures, write_summary
from convscope.training.signals import Interrupted, Signals
from convscope.training.step.schedule import one_cycle
from convscope.training.step.stepper import Stepper, graph_capture
from convscope.training.step.update import Update
from convscope.training.steps import StepChunks, longest_chunk
from convscope.training.tracking.throughput import Throughput
from convscope.training.tracking.tracker import RunTracker


class Experiment:
    """Everything between a request and its metrics.

    Args:
        signals: what they raise ends the run between two steps.
        claim: on the run's folder; None where nothing is written.
        ranks: whose part of the run is trained here; the first alone writes.
    """

    def __init__(
        self,
        request: RunRequest,
        signals: Signals,
        claim: Claim | None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.request = request
        self._ranks = ranks
        self._signals = signals
        self._claim = claim
        config = request.config
        device = request.hardware.torch_device
        seed_everything(config.seed, verbose=False)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._load_images(device)
        self.network = ConvNet(request.geometry).to(memory_format=torch.channels_last)
        if config.compile:
            self.network.compile()
        self._throughput = Throughput(device, ranks=ranks)
        self._module = VariantModule(
            self.network,
            classes=request.geometry.classes,
            optim=config.optim,
            clip_norm=config.trainer.gradient_clip_val,
            make_stepper=self._stepper,
            ranks=ranks,
        )
        self._tracker = RunTracker(
            request.directory,
            self._throughput,
            config.data.batch_size,
            self._learning_rate,
            config.optim.lr,
            self._describe,
        )
        self.resumed_from_epoch = self._finished_epochs()
        self._trainer = self._make_trainer()

    def _load_images(self, device: torch.device) -> None:
        request, ranks = self.request, self._ranks
        train, self._test = train_images(request, device), test_images(request, device)
        self._batches = train_batches(request, train, ranks)
        # As many batches as one device would have.
        size = request.config.data.batch_size // ranks.size
        self._val_loader, self._test_loader = (
            EvalBatches(images, indices, size, ranks.rank, ranks.size)
            for images, indices in (
                (train, torch.from_numpy(request.val_indices)),
                (self._test, torch.arange(len(self._test))),
            )
        )

    def _stepper(self, update: Update) -> Stepper:
        trainer = self.request.config.trainer
        return Stepper(
            update,
            self._batches,
            self._learning_rate,
            capacity=longest_chunk(trainer.log_every_n_steps),
            capture=graph_capture(self._batches),
            after_step=self._after_step,
        )

    def _learning_rate(self, step: int) -> float:
        optim = self.request.config.optim
        return one_cycle(step, self.request.steps.total, optim.lr, optim.warmup)

    def _after_step(self) -> None:
        self._progress.step()
        self._signals.check()

    def _finished_epochs(self) -> int:
        """Epochs that a run before this one left in last.ckpt."""
        directory, run = self.request.directory, self.request.id
        if self._develops or not directory.last.exists():
            return 0
        # Read at the run's end: better refused now than when all epochs are trained.
        read_best(directory, run)
        state = read_last(directory, run)["callbacks"]
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
            trainer.enable_progress_bar,
        )
        callbacks: list[Callback] = []
        if self._claim is not None:
            callbacks.append(ClaimCheck(self._claim))
        if trainer.max_time is not None:
            # Before the others: they are to know that a chunk is the last one.
            callbacks.append(Timer(trainer.max_time))
        callbacks += [self._throughput, self._progress]
        strategy: str | UnwrappedDDP = "auto"
        if self._ranks.size > 1:
            callbacks.append(EqualWeights(self._ranks))
            strategy = UnwrappedDDP()
        if not self._develops:
            callbacks += [self._tracker] * self._ranks.is_first
            callbacks += checkpoint_callbacks(self.request.directory)
        return Trainer(
            callbacks=[*callbacks, Interruption(self._signals)],
            # StepChunks ends the last epoch at max_steps: Lightning, told of max_steps, would
            # resume from the end of an epoch as if it were in its middle.
            max_epochs=steps.epochs,
            accelerator=self.request.hardware.accelerator,
            devices=trainer.devices,
            strategy=strategy,
            precision=self.request.hardware.precision,  # type: ignore[arg-type]
            limit_val_batches=trainer.fast_dev_run or self.request.val_batches,
            limit_test_batches=trainer.fast_dev_run or self.request.test_batches,
            deterministic=trainer.deterministic,
            # Named: Lightning would take a SLURM job's tasks for devices of this run.
            plugins=[
                WholeCheckpoints(self.request.directory, self.request.id),
                LightningEnvironment(),
            ],
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
        threads = (
            f", {counted(hardware.threads, 'thread')}" if hardware.accelerator == "cpu" else ""
        )
        times = f"{hardware.devices} x " * (hardware.devices > 1)
        return (
            f"{request.directory.name}: {len(request.train_indices):,} training images,"
            f" {counted(request.steps.epochs, 'epoch')} of"
            f" {counted(request.steps.per_epoch, 'step')},"
            f" {times}{hardware.device} ({hardware.precision}{threads}){resumed}"
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
            if self._develops or not self._ranks.is_first:
                return summarise(self.request, self._trainer.callback_metrics, [])
            rows = History(self.request.directory.history).read()
            metrics = summarise(self.request, self._trainer.callback_metrics, rows)
            writer, step = self._tracker.writer, self._trainer.global_step
            write_pictures(
                writer,
                step,
                self.network,
                self.request,
                self._example(),
                self._module.confusion,
            )
            write_summary(writer, step, metrics)
            return metrics
        except Interrupted:
            raise
        except SIGTERMException as stop:
            # Lightning's own, where it looks at a signal before we do.
            raise Interrupted(signal.SIGTERM) from stop
        except Exception:
            self._tracker.fail()
            raise
        finally:
            self._progress.close()
            self._tracker.close()

    def _describe(self, writer: SummaryWriter) -> None:
        describe(writer, self.network, self.request, self._example())

    def _example(self) -> torch.Tensor:
        """The one test image whose feature maps are shown: (1, channels, height, width)."""
        image, _ = self._test.batch(torch.zeros(1, dtype=torch.long))
        return image
