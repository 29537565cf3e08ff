"""One run's network, data, callbacks, loggers and Trainer, wired together."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import LambdaCallback, Timer
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import SIGTERMException
from typing_extensions import override

from convscope.checkpoint import read_best, read_last
from convscope.data.batches import EvalBatches
from convscope.data.order import generator
from convscope.modules import build_network
from convscope.runs.history import History
from convscope.runs.lock import Claim
from convscope.runs.predictions import write_predictions
from convscope.text import counted
from convscope.training.batches import test_images, train_batches, train_images
from convscope.training.callbacks.checkpoints import WholeCheckpoints, checkpoint_callbacks
from convscope.training.callbacks.claim_check import ClaimCheck
from convscope.training.callbacks.equal_weights import EqualWeights
from convscope.training.callbacks.interruption import Interruption
from convscope.training.callbacks.metrics import RunMetrics
from convscope.training.callbacks.progress import EpochProgress
from convscope.training.callbacks.pruning import Pruning
from convscope.training.callbacks.throughput import Throughput
from convscope.training.module import VariantModule
from convscope.training.process_group import SINGLE_PROCESS, ProcessGroup
from convscope.training.request import RunRequest
from convscope.training.results import describe, summarise, write_results
from convscope.training.schedule import StepChunks, longest_chunk, one_cycle
from convscope.training.signals import Interrupted, Signals
from convscope.training.tensorboard.logger import RunTensorBoardLogger, cut_back
from convscope.training.train_step import EagerRunner, StepRunner, TrainStep, step_runner


class UnwrappedDDP(DDPStrategy):
    """Lightning's DDP without its wrapper around the module.

    The wrapper averages gradients after one forward pass of the module, and a chunk has many: the
    train step averages them itself.
    """

    @override
    def configure_ddp(self) -> None:
        """Do not wrap the module."""


class Experiment:
    """Everything between a request and its metrics.

    Args:
        signals: what they raise ends the run between two steps.
        claim: on the run's folder; None where nothing is written.
        loggers: those of the first rank; others log nothing.
        process_group: processes that share the run; only the first writes.
    """

    def __init__(
        self,
        request: RunRequest,
        signals: Signals,
        claim: Claim | None,
        loggers: Sequence[Logger] = (),
        process_group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.request = request
        self._process_group = process_group
        self._signals = signals
        self._claim = claim
        self._loggers = loggers if not request.config.trainer.fast_dev_run else []
        config = request.config
        device = torch.device(request.hardware.accelerator)
        self._develops = bool(config.trainer.fast_dev_run)
        """Whether nothing is left on disk."""
        seed_everything(config.seed, verbose=False)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._load_images(device)
        self.network = build_network(request.geometry).to(memory_format=torch.channels_last)
        if config.compile:
            self.network.compile()
        self._throughput = Throughput(device, process_group=process_group)
        self._module = VariantModule(
            self.network,
            classes=request.geometry.classes,
            optim=config.optim,
            clip_norm=config.trainer.gradient_clip_val,
            test_flip=config.data.test_flip,
            make_runner=self._runner,
            process_group=process_group,
        )
        self._metrics = RunMetrics(
            request.directory,
            self._throughput,
            config.data.batch_size,
            self._learning_rate,
            config.optim.lr,
            self._loggers,
        )
        self._progress = EpochProgress(
            request.steps.total,
            request.steps.epochs,
            self._throughput,
            config.data.batch_size,
            config.trainer.enable_progress_bar,
        )
        self._pruning = Pruning(request)
        self._checkpointed = self._read_checkpoint()
        self._trainer = self._make_trainer()

    @property
    def resumed_from_epoch(self) -> int:
        """Epochs that an interrupted run left in last.ckpt."""
        return int(self._checkpointed.get("epochs", 0))

    @property
    def pruned(self) -> str | None:
        """Why the run was ended in favour of others; None if it was not."""
        return self._pruning.reason

    def _load_images(self, device: torch.device) -> None:
        request, group = self.request, self._process_group
        train, self._test = train_images(request, device), test_images(request, device)
        self._batches = train_batches(request, train, group)
        # As many batches as one device would have.
        size = request.config.data.batch_size // group.world_size
        self._val_loader, self._test_loader = (
            EvalBatches(images, indices, size, group.rank, group.world_size)
            for images, indices in (
                (train, torch.from_numpy(request.val_indices)),
                (self._test, torch.arange(len(self._test))),
            )
        )

    def _runner(self, train_step: TrainStep) -> StepRunner:
        eager = EagerRunner(train_step, self._batches, self._learning_rate, self._after_step)
        return step_runner(eager, longest_chunk(self.request.config.trainer.log_every_n_steps))

    def _learning_rate(self, step: int) -> float:
        optim = self.request.config.optim
        return one_cycle(step, self.request.steps.total, optim.lr, optim.warmup)

    def _after_step(self) -> None:
        self._progress.step()
        self._signals.check()

    def _read_checkpoint(self) -> dict[str, Any]:
        """Return the state of `RunMetrics` in last.ckpt; {} without one."""
        directory, run = self.request.directory, self.request.id
        if self._develops or not directory.last.exists():
            return {}
        # Read at the run's end: better refused now than when all epochs are trained.
        read_best(directory, run)
        state: dict[str, Any] = read_last(directory, run)["callbacks"][self._metrics.state_key]
        return state

    def _make_trainer(self) -> Trainer:
        trainer, group = self.request.config.trainer, self._process_group
        callbacks: list[Callback] = []
        if self._claim is not None:
            callbacks.append(ClaimCheck(self._claim))
        if trainer.max_time is not None:
            # Before the others: they are to know that a chunk is the last one.
            callbacks.append(Timer(trainer.max_time))
        callbacks += [
            LambdaCallback(on_train_epoch_start=self._seed_epoch),
            *(self._throughput, self._progress),
        ]
        strategy: str | UnwrappedDDP = "auto"
        if group.world_size > 1:
            callbacks.append(EqualWeights(group))
            strategy = UnwrappedDDP()
        if not self._develops:
            if group.is_first:
                callbacks += [LambdaCallback(on_fit_start=self._describe), self._metrics]
                if self.request.config.prune:
                    callbacks.append(self._pruning)
            callbacks += checkpoint_callbacks(self.request.directory)
        return Trainer(
            callbacks=[*callbacks, Interruption(self._signals)],
            # StepChunks ends the last epoch at max_steps: Lightning, told of max_steps, would
            # resume from the end of an epoch as if it were in its middle.
            max_epochs=self.request.steps.epochs,
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
            logger=list(self._loggers),
            enable_checkpointing=not self._develops,
            enable_model_summary=False,
            default_root_dir=self.request.directory.path,
        )

    def _seed_epoch(self, trainer: Trainer, *_: Any) -> None:
        """Make random numbers of a network's own, as of dropout, a function of seed and epoch.

        So a resumed run draws the same as an uninterrupted one.
        """
        position = trainer.current_epoch * self._process_group.world_size + self._process_group.rank
        seed = generator("network", self.request.config.seed, position).initial_seed()
        seed_everything(seed % 2**32, verbose=False)

    def headline(self) -> str:
        """Return what is about to be trained, in one line."""
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
        """Train, test the best weights once, and log the results.

        Returns:
            The summary's metrics, by the tags of `summary/` without that prefix; none if the run
            was pruned, which is not tested.
        """
        try:
            if self._process_group.is_first and not self._develops:
                self._cut_back()
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
            if self.pruned is not None:
                for logger in self._event_loggers():
                    logger.end_row(succeeded=False)
                return {}
            self._trainer.test(
                self._module,
                self._test_loader,
                ckpt_path=None if self._develops else self.request.directory.best,
                weights_only=True,
                verbose=False,
            )
            if self._develops or not self._process_group.is_first:
                return summarise(self.request, self._trainer.callback_metrics, [])
            write_predictions(self.request.directory.predictions, self._module.predictions)
            rows = History(self.request.directory.history).read()
            metrics = summarise(self.request, self._trainer.callback_metrics, rows)
            write_results(
                self._loggers,
                self._trainer.global_step,
                metrics,
                self.network,
                self.request,
                self._example(),
                self._module.confusion,
            )
            return metrics
        except Interrupted:
            raise
        except SIGTERMException as stop:
            # Lightning's own, where it looks at a signal before we do.
            raise Interrupted(signal.SIGTERM) from stop
        except Exception:
            for logger in self._event_loggers():
                if logger.is_open:
                    logger.end_row(succeeded=False)
            raise
        finally:
            self._progress.close()
            for logger in self._event_loggers():
                logger.close()

    def _cut_back(self) -> None:
        """Cut event files and history back to the checkpoint, or to nothing without one."""
        if self._claim is not None:
            self._claim.check()
        directory = self.request.directory
        cut_back(directory.path, self._checkpointed.get("event_sizes", {}))
        History(directory.history).cut_back(self.resumed_from_epoch + 1)

    def _event_loggers(self) -> list[RunTensorBoardLogger]:
        return [one for one in self._loggers if isinstance(one, RunTensorBoardLogger)]

    def _describe(self, *_: Any) -> None:
        describe(self._loggers, self.network, self.request, self._example())

    def _example(self) -> torch.Tensor:
        """Return the test image whose feature maps are shown: (1, channels, height, width)."""
        image, _ = self._test.batch(torch.zeros(1, dtype=torch.long))
        return image
