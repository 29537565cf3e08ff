"""SLURM as submitit's cluster."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import submitit
from submitit.core.utils import FailedJobError

from convscope.config.schema import TrainerConfig
from convscope.errors import UserError
from convscope.sweep.executors.engine import Death
from convscope.sweep.executors.options import SlurmOptions
from convscope.sweep.executors.submitit import Job, has_ended, result_of
from convscope.training.devices import resolve_hardware
from convscope.training.hardware import Hardware
from convscope.training.request import HandedRequest

log = logging.getLogger(__name__)


_ANSWER_S = 8.0
_ASK_S = 3.0
"""Between two looks at the queue."""
_NOT_OVER = {
    *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "SPECIAL_EXIT", "STAGE_OUT"),
}


class SlurmCluster:
    """Jobs in SLURM's queue, each on one node.

    Raises:
        UserError: SLURM is not installed here or does not answer, or sbatch has no such parameter.
    """

    def __init__(self, options: SlurmOptions) -> None:
        self.options = options
        _check_answers()
        self._queue = Queue()
        self._executors = {alone: _executor(options, alone) for alone in (False, True)}

    def at_once(self, alone: bool) -> int:
        return self.options.at_once

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        """Asked of a job: where the command is typed there may be no GPU."""
        job = self.submit(False, resolve_hardware, trainer)
        log.info(f"SLURM's job {job.job_id} tells what runs are computed on")
        while not has_ended(job, self):
            time.sleep(_ASK_S / 10)
        found: Hardware | Death = result_of(job, self)
        if isinstance(found, Death):
            raise UserError(f"a job that was to tell its hardware did not: {found.reason}")
        return found

    def submit(self, alone: bool, function: Callable[..., Any], *arguments: Any) -> Job:
        try:
            # submitit prints what sbatch says, which is told below.
            with contextlib.redirect_stderr(io.StringIO()):
                job = self._executors[alone].submit(function, *arguments)
        except FailedJobError as error:
            raise UserError(f"sbatch takes no such job: {_first_error(str(error))}") from error
        self._queue.forget()
        return job

    def work(self, handed: HandedRequest, alone: bool) -> tuple[Any, ...]:
        return handed, self.options.cpus_per_task, not alone, alone

    def end_of(self, job: Job) -> str | None:
        states = self._queue.states()
        if self._queue.is_silent:
            return None
        state = states.get(job.job_id, "not in the queue any more")
        return None if state in _NOT_OVER else state


class Queue:
    """SLURM's states of this user's jobs, asked for no more often than every few seconds.

    By squeue: sacct, which submitit asks, needs a database that not every cluster has.
    """

    def __init__(self) -> None:
        self._asked = -float("inf")
        self._states: dict[str, str] = {}
        self.is_silent = False
        """Whether SLURM did not answer the last time."""

    def forget(self) -> None:
        """Ask anew at the next look: a job has come that is not known yet."""
        self._asked = -float("inf")

    def states(self) -> Mapping[str, str]:
        """By job id; the last that was told, where SLURM does not answer."""
        if time.monotonic() - self._asked > _ASK_S:
            self._ask()
            self._asked = time.monotonic()
        return self._states

    def _ask(self) -> None:
        command = ["squeue", "--me", "--noheader", "--states=all", "--format=%A %T"]
        try:
            told = subprocess.run(
                command, capture_output=True, text=True, timeout=_ANSWER_S, check=True
            ).stdout
        except (subprocess.SubprocessError, OSError) as error:
            if not self.is_silent:
                log.info(f"SLURM does not answer ({_why(error)}): waiting until it does")
            self.is_silent = True
            return
        self.is_silent = False
        self._states = dict(line.split() for line in told.splitlines())


def _check_answers() -> None:
    """sbatch itself would try for minutes to reach a controller that does not answer."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "hydra/launcher=submitit_slurm needs SLURM's sbatch, which is not on this machine\n"
            "hydra/launcher=submitit_local and ray need no SLURM"
        )
    try:
        subprocess.run(
            ["scontrol", "ping"], capture_output=True, text=True, timeout=_ANSWER_S, check=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise UserError(f"SLURM's controller does not answer: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return " ".join(f"{error.stdout}{error.stderr}".split()) or f"exit code {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {error.timeout:g} s"
    return str(error)


def _executor(options: SlurmOptions, alone: bool) -> submitit.SlurmExecutor:
    executor = submitit.SlurmExecutor(folder=options.folder)
    cpus = options.cpus_per_task
    executor.update_parameters(
        job_name="convscope",
        time=options.timeout_min,
        # A machine for one job alone would else be given as many tasks as it has CPUs.
        ntasks_per_node=1,
        cpus_per_task=cpus,
        # Since 22.05 srun does not take it over from sbatch.
        srun_args=[f"--cpus-per-task={cpus}"],
        gpus_per_node=options.gpus_per_node or None,
        partition=options.partition,
        exclusive=True if alone else None,
        additional_parameters=options.additional_parameters or {},
    )
    return executor


def _first_error(message: str) -> str:
    """What sbatch said, less its name."""
    said = [line for line in message.splitlines() if line.startswith("sbatch: error:")]
    return said[0].removeprefix("sbatch: error:").strip() if said else message.splitlines()[0]
