"""Executors that train runs as jobs of submitit: in SLURM's queue, or as processes on this machine.

Every machine needs ConvScope, the images under the same `data.root`, and `output_dir` and the jobs'
folder on a shared disk.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import submitit
from submitit.core.utils import FailedJobError
from submitit.helpers import Checkpointable
from typing_extensions import override

from convscope.config.errors import LAUNCHER
from convscope.config.schema import TrainerConfig
from convscope.cores import cores
from convscope.errors import UserError
from convscope.runs.record import RunRecord
from convscope.sweep.executors.choice import LocalOptions, SlurmOptions
from convscope.sweep.executors.executor import Executor, JobFailure, Outcome
from convscope.sweep.executors.job import run_job
from convscope.training.devices import resolve_hardware
from convscope.training.hardware import Hardware
from convscope.training.request import RunRequest, to_remote

log = logging.getLogger(__name__)

Job = submitit.Job[Any]

_POLL_S = 0.2
_RESULT_S = 10.0
"""Longest delay, in seconds, with which a shared disk shows the result of an ended job."""
_CANCEL_S = 60.0
"""Seconds that cancelled runs have to end, which they do between two steps."""
_YEAR_MIN = 365 * 24 * 60
"""A year: submitit requires a time limit in minutes."""
_TIMEOUT_S = 8.0
_QUERY_S = 3.0
"""Seconds between two queries of SLURM's queue."""
_ACTIVE = {
    *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "SPECIAL_EXIT", "STAGE_OUT"),
}


class RequeuedJob(Checkpointable):
    """Calls `run_job`; submitit queues it again when it is preempted or out of time.

    The run then resumes from its last finished epoch.
    """

    def __call__(self, *arguments: Any) -> RunRecord | None:
        """Call `run_job` with these arguments."""
        record = run_job(*arguments)
        if record is not None and record.status == "interrupted":
            # Exit without a result: the cluster may be about to start the job again.
            sys.exit(1)
        return record


class _SubmititExecutor(Executor):
    """Submits jobs and polls for their results."""

    in_process = False

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        """Jobs by their run's identity."""

    @property
    @override
    def max_concurrent(self) -> int:
        return self.capacity(exclusive=False)

    @abstractmethod
    def threads(self, exclusive: bool) -> int:
        """Return the number of a job's CPUs, which is that of its threads."""

    @property
    @abstractmethod
    def is_shared(self) -> bool:
        """Whether a job's machine may have other jobs at the same time."""

    @abstractmethod
    def start(self, exclusive: bool, function: Callable[..., Any], *arguments: Any) -> Job:
        """Start a job.

        Raises:
            UserError: the cluster refuses it.
        """

    @abstractmethod
    def end_reason(self, job: Job) -> str | None:
        """Return briefly how a job ended; None while it waits or runs."""

    @override
    def submit(self, request: RunRequest, exclusive: bool) -> None:
        job = RequeuedJob()  # type: ignore[no-untyped-call]
        shared = not exclusive and self.is_shared
        arguments = to_remote(request), self.threads(exclusive), shared, exclusive
        self._jobs[request.id] = self.start(exclusive, job, *arguments)

    @override
    def next_ended(self, timeout: float) -> tuple[str, Outcome] | None:
        deadline = time.monotonic() + timeout
        while True:
            for key, job in self._jobs.items():
                if self._has_ended(job):
                    outcome = self._result(job)
                    del self._jobs[key]
                    return key, outcome
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_S)

    @override
    def cancel(self) -> None:
        for job in self._jobs.values():
            job.cancel(check=False)
        deadline = time.monotonic() + _CANCEL_S
        while time.monotonic() < deadline:
            if all(self._has_ended(job) for job in self._jobs.values()):
                return
            time.sleep(_POLL_S)

    @override
    def close(self) -> None:
        """Do nothing: running jobs continue, and the same command waits for them."""

    def _has_ended(self, job: Job) -> bool:
        return job.paths.result_pickle.exists() or self.end_reason(job) is not None

    def _result(self, job: Job) -> Any:
        """Return what an ended job's function returned, or its JobFailure.

        The files of a successful job are removed.
        """
        deadline = time.monotonic() + _RESULT_S
        while not job.paths.result_pickle.exists():
            if time.monotonic() > deadline:
                end = self.end_reason(job)
                reason = f"its job {job.job_id} ended: {end} (see {job.paths.stderr})"
                return JobFailure(reason, retryable=True)
            time.sleep(_POLL_S)
        try:
            result = job.result()
        except FailedJobError as error:
            return JobFailure(_raised_line(str(error)), retryable=False)
        folder = job.paths.folder
        for path in folder.glob(f"{job.job_id}_*"):
            path.unlink(missing_ok=True)
        for link in folder.glob(".submission_file_*"):
            if not link.exists():
                link.unlink(missing_ok=True)
        return result


def _raised_line(message: str) -> str:
    """Return the exception's line from submitit's message, which has a traceback between rules."""
    lines = message.split("----------------------")[1].strip().splitlines()
    # It follows the last indented line; further lines of the message may follow it.
    above = [number for number, line in enumerate(lines) if line.startswith(" ")]
    return lines[max(above) + 1].removeprefix("convscope.errors.UserError: ")


class LocalExecutor(_SubmititExecutor):
    """Trains as many runs side by side as the machine has cores for, each in a process.

    Raises:
        UserError: a run needs more cores than the machine has.
    """

    def __init__(self, options: LocalOptions) -> None:
        super().__init__()
        self.max_retries = options.max_retries
        self._cpus, self._cores = options.cpus_per_task, cores()
        if self._cpus > self._cores:
            raise UserError(
                f"{LAUNCHER}cpus_per_task must be at most the {self._cores} cores of this machine,"
                f" got {self._cpus}"
            )
        self._executor = submitit.LocalExecutor(folder=options.folder)
        self._executor.update_parameters(timeout_min=_YEAR_MIN)

    @override
    def capacity(self, exclusive: bool) -> int:
        return 1 if exclusive else self._cores // self._cpus

    @override
    def threads(self, exclusive: bool) -> int:
        return self._cores if exclusive else self._cpus

    @property
    @override
    def is_shared(self) -> bool:
        return self.max_concurrent > 1

    @override
    def hardware(self, trainer: TrainerConfig) -> Hardware:
        hardware = resolve_hardware(trainer)
        if hardware.accelerator != "cpu":
            raise UserError(
                "hydra/launcher=submitit_local trains on the CPU: add trainer.accelerator=cpu\n"
                "hydra/launcher=ray shares GPUs out"
            )
        return hardware

    @override
    def start(self, exclusive: bool, function: Callable[..., Any], *arguments: Any) -> Job:
        return self._executor.submit(function, *arguments)

    @override
    def end_reason(self, job: Job) -> str | None:
        return "its process died" if job.done() else None


class SlurmExecutor(_SubmititExecutor):
    """Trains runs as jobs in SLURM's queue, each on one node.

    Raises:
        UserError: SLURM is not installed or does not answer, or sbatch lacks a parameter.
    """

    def __init__(self, options: SlurmOptions) -> None:
        super().__init__()
        self.is_local = False
        self.options = options
        self.max_retries = options.max_retries
        _check_controller()
        self._queue = SlurmQueue()
        self._executors = {exclusive: _sbatch(options, exclusive) for exclusive in (False, True)}

    @override
    def capacity(self, exclusive: bool) -> int:
        return self.options.at_once

    @override
    def threads(self, exclusive: bool) -> int:
        return self.options.cpus_per_task

    @property
    @override
    def is_shared(self) -> bool:
        # A node's other jobs may be those of other users.
        return True

    @override
    def hardware(self, trainer: TrainerConfig) -> Hardware:
        """Return the hardware that a job finds: the login node may have no GPU."""
        job = self.start(False, resolve_hardware, trainer)
        log.info(f"SLURM's job {job.job_id} detects the hardware of the runs")
        while not self._has_ended(job):
            time.sleep(_QUERY_S / 10)
        found: Hardware | JobFailure = self._result(job)
        if isinstance(found, JobFailure):
            raise UserError(f"the job that detects the hardware failed: {found.reason}")
        return found

    @override
    def start(self, exclusive: bool, function: Callable[..., Any], *arguments: Any) -> Job:
        try:
            # submitit prints sbatch's error, which the exception contains too.
            with contextlib.redirect_stderr(io.StringIO()):
                job = self._executors[exclusive].submit(function, *arguments)
        except FailedJobError as error:
            raise UserError(f"sbatch takes no such job: {_sbatch_error(str(error))}") from error
        self._queue.forget()
        return job

    @override
    def end_reason(self, job: Job) -> str | None:
        states = self._queue.states()
        if self._queue.is_unreachable:
            return None
        state = states.get(job.job_id, "not in the queue any more")
        return None if state in _ACTIVE else state


class SlurmQueue:
    """States of this user's jobs in SLURM, queried at most every few seconds.

    Uses squeue: sacct, which submitit uses, needs a database that some clusters lack.
    """

    def __init__(self) -> None:
        self._queried_at = -float("inf")
        self._states: dict[str, str] = {}
        self.is_unreachable = False
        """Whether SLURM did not answer the last query."""

    def forget(self) -> None:
        """Query again next time, because a new job was submitted."""
        self._queried_at = -float("inf")

    def states(self) -> Mapping[str, str]:
        """Return states by job id; the last known ones if SLURM does not answer."""
        if time.monotonic() - self._queried_at > _QUERY_S:
            self._query()
            self._queried_at = time.monotonic()
        return self._states

    def _query(self) -> None:
        command = ["squeue", "--me", "--noheader", "--states=all", "--format=%A %T"]
        try:
            output = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
            ).stdout
        except (subprocess.SubprocessError, OSError) as error:
            if not self.is_unreachable:
                log.info(f"SLURM does not answer ({_reason(error)}): waiting until it does")
            self.is_unreachable = True
            return
        self.is_unreachable = False
        self._states = dict(line.split() for line in output.splitlines())


def _check_controller() -> None:
    """Check that SLURM's controller answers; sbatch itself would try for minutes."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "hydra/launcher=submitit_slurm needs SLURM's sbatch, which is not on this machine\n"
            "hydra/launcher=submitit_local and ray need no SLURM"
        )
    try:
        subprocess.run(
            ["scontrol", "ping"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise UserError(f"SLURM's controller does not answer: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return " ".join(f"{error.stdout}{error.stderr}".split()) or f"exit code {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {error.timeout:g} s"
    return str(error)


def _sbatch(options: SlurmOptions, exclusive: bool) -> submitit.SlurmExecutor:
    executor = submitit.SlurmExecutor(folder=options.folder)
    cpus = options.cpus_per_task
    executor.update_parameters(
        job_name="convscope",
        time=options.timeout_min,
        # By default, an exclusive machine gets as many tasks as it has CPUs.
        ntasks_per_node=1,
        cpus_per_task=cpus,
        # Since 22.05 srun does not inherit this from sbatch.
        srun_args=[f"--cpus-per-task={cpus}"],
        gpus_per_node=options.gpus_per_node or None,
        partition=options.partition,
        exclusive=True if exclusive else None,
        additional_parameters=options.additional_parameters or {},
    )
    return executor


def _sbatch_error(message: str) -> str:
    """Return sbatch's first error, without its prefix."""
    prefix = "sbatch: error:"
    errors = [line for line in message.splitlines() if line.startswith(prefix)]
    return errors[0].removeprefix(prefix).strip() if errors else message.splitlines()[0]
