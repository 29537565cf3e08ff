"""Runs as jobs that submitit starts: in SLURM's queue, or as processes of this machine.

Every machine has ConvScope installed, the images under the same `data.root`, and `output_dir` and
the jobs' folder on a disk that all of them share.
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
_LATE_S = 10.0
"""By which a shared disk may show a job's result after the job has ended."""
_END_S = 60.0
"""Seconds that runs have to end between two steps."""
_YEAR_MIN = 365 * 24 * 60
"""submitit wants to know after how many minutes a process is to be killed."""
_ANSWER_S = 8.0
_ASK_S = 3.0
"""Between two looks at SLURM's queue."""
_NOT_OVER = {
    *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "SPECIAL_EXIT", "STAGE_OUT"),
}


class RequeuedJob(Checkpointable):
    """Does `run_job`; being Checkpointable, it is queued again when preempted or out of time.

    What is started anew resumes from the run's last finished epoch.
    """

    def __call__(self, *arguments: Any) -> RunRecord | None:
        """Do `run_job` with these arguments."""
        record = run_job(*arguments)
        if record is not None and record.status == "interrupted":
            # No result: where the cluster has stopped the job to start it again, it is not over.
            sys.exit(1)
        return record


class _SubmititExecutor(Executor):
    """Submits jobs and looks for what they return."""

    in_process = False

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        """By their runs' identity."""

    @property
    @override
    def max_concurrent(self) -> int:
        return self.capacity(exclusive=False)

    @abstractmethod
    def threads(self, exclusive: bool) -> int:
        """Threads of a job, which are its CPUs."""

    @property
    @abstractmethod
    def is_shared(self) -> bool:
        """Whether a job's machine may have others meanwhile."""

    @abstractmethod
    def start(self, exclusive: bool, function: Callable[..., Any], *arguments: Any) -> Job:
        """Start a job.

        Raises:
            UserError: the cluster refuses it.
        """

    @abstractmethod
    def end_of(self, job: Job) -> str | None:
        """Return how a job ended, in a word or two; None while it waits or runs."""

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
        deadline = time.monotonic() + _END_S
        while time.monotonic() < deadline:
            if all(self._has_ended(job) for job in self._jobs.values()):
                return
            time.sleep(_POLL_S)

    @override
    def close(self) -> None:
        """Do nothing: jobs that still run go on, and the same command waits for them."""

    def _has_ended(self, job: Job) -> bool:
        return job.paths.result_pickle.exists() or self.end_of(job) is not None

    def _result(self, job: Job) -> Any:
        """Return what the function of a job that has ended returned, or its JobFailure.

        Of one that ended well, nothing stays in the jobs' folder.
        """
        deadline = time.monotonic() + _LATE_S
        while not job.paths.result_pickle.exists():
            if time.monotonic() > deadline:
                end = self.end_of(job)
                reason = f"its job {job.job_id} ended: {end} (see {job.paths.stderr})"
                return JobFailure(reason, retryable=True)
            time.sleep(_POLL_S)
        try:
            result = job.result()
        except FailedJobError as error:
            return JobFailure(_last_of_trace(str(error)), retryable=False)
        folder = job.paths.folder
        for path in folder.glob(f"{job.job_id}_*"):
            path.unlink(missing_ok=True)
        for link in folder.glob(".submission_file_*"):
            if not link.exists():
                link.unlink(missing_ok=True)
        return result


def _last_of_trace(message: str) -> str:
    """Return the line that says what was raised, of a message with a trace between rules."""
    lines = message.split("----------------------")[1].strip().splitlines()
    # It follows the last indented one, and may itself be followed by what to do.
    above = [number for number, line in enumerate(lines) if line.startswith(" ")]
    return lines[max(above) + 1].removeprefix("convscope.errors.UserError: ")


class LocalExecutor(_SubmititExecutor):
    """As many processes side by side as the machine has cores for.

    Raises:
        UserError: more cores per run than there are.
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
    def end_of(self, job: Job) -> str | None:
        return "its process died" if job.done() else None


class SlurmExecutor(_SubmititExecutor):
    """Jobs in SLURM's queue, each on one node.

    Raises:
        UserError: SLURM is not installed here or does not answer, or sbatch has no such parameter.
    """

    def __init__(self, options: SlurmOptions) -> None:
        super().__init__()
        self.options = options
        self.max_retries = options.max_retries
        _check_answers()
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
        # A node's other jobs need not be of this sweep.
        return True

    @override
    def hardware(self, trainer: TrainerConfig) -> Hardware:
        """Ask a job: where the command is typed there may be no GPU."""
        job = self.start(False, resolve_hardware, trainer)
        log.info(f"SLURM's job {job.job_id} tells what runs are computed on")
        while not self._has_ended(job):
            time.sleep(_ASK_S / 10)
        found: Hardware | JobFailure = self._result(job)
        if isinstance(found, JobFailure):
            raise UserError(f"a job that was to tell its hardware did not: {found.reason}")
        return found

    @override
    def start(self, exclusive: bool, function: Callable[..., Any], *arguments: Any) -> Job:
        try:
            # submitit prints what sbatch says, which is told below.
            with contextlib.redirect_stderr(io.StringIO()):
                job = self._executors[exclusive].submit(function, *arguments)
        except FailedJobError as error:
            raise UserError(f"sbatch takes no such job: {_first_error(str(error))}") from error
        self._queue.forget()
        return job

    @override
    def end_of(self, job: Job) -> str | None:
        states = self._queue.states()
        if self._queue.is_silent:
            return None
        state = states.get(job.job_id, "not in the queue any more")
        return None if state in _NOT_OVER else state


class SlurmQueue:
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
        """Return states by job id; the last known, where SLURM does not answer."""
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
    """Refuse at once where no controller answers: sbatch itself would try for minutes."""
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


def _sbatch(options: SlurmOptions, exclusive: bool) -> submitit.SlurmExecutor:
    executor = submitit.SlurmExecutor(folder=options.folder)
    cpus = options.cpus_per_task
    executor.update_parameters(
        job_name="convscope",
        time=options.timeout_min,
        # An exclusive machine would else be given as many tasks as it has CPUs.
        ntasks_per_node=1,
        cpus_per_task=cpus,
        # Since 22.05 srun does not take it over from sbatch.
        srun_args=[f"--cpus-per-task={cpus}"],
        gpus_per_node=options.gpus_per_node or None,
        partition=options.partition,
        exclusive=True if exclusive else None,
        additional_parameters=options.additional_parameters or {},
    )
    return executor


def _first_error(message: str) -> str:
    """Return what sbatch said, without its name."""
    said = [line for line in message.splitlines() if line.startswith("sbatch: error:")]
    return said[0].removeprefix("sbatch: error:").strip() if said else message.splitlines()[0]
