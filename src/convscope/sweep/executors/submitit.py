"""Runs as jobs that submitit starts: in SLURM's queue, or as processes of this machine.

Every machine has ConvScope installed, the images under the same `data.root`, and `output_dir` and
the jobs' folder on a disk that all of them share.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import submitit
from submitit.core.utils import FailedJobError

from convscope.config.schema import TrainerConfig
from convscope.sweep.executors.engine import Death, Outcome
from convscope.sweep.executors.requeued import RequeuedWork
from convscope.training.hardware import Hardware
from convscope.training.request import HandedRequest

Job = submitit.Job[Any]

_POLL_S = 0.2
_LATE_S = 10.0
"""By which a shared disk may show a job's result after the job has ended."""
_END_S = 60.0
"""That runs have to end between two steps."""


class Cluster(Protocol):
    """Where jobs run."""

    def at_once(self, alone: bool) -> int:
        """Jobs that may be there at a time, all of them alone or none."""

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        """As `Launcher.hardware`."""

    def submit(self, alone: bool, function: Callable[..., Any], *arguments: Any) -> Job:
        """Hand a job over; one alone has a machine for itself.

        Raises:
            UserError: the cluster does not take such a job.
        """

    def work(self, handed: HandedRequest, alone: bool) -> tuple[Any, ...]:
        """Arguments of `worker.work` here."""

    def end_of(self, job: Job) -> str | None:
        """How a job ended, in a word or two; None while it waits or runs."""


class SubmititEngine:
    """Hands jobs over to a cluster and looks for what they return."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._jobs: dict[str, Job] = {}
        """By their runs' identity."""

    @property
    def at_once(self) -> int:
        return self.cluster.at_once(alone=False)

    def takes(self, alone: bool) -> int:
        return self.cluster.at_once(alone)

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        return self.cluster.hardware(trainer)

    def submit(self, handed: HandedRequest, alone: bool) -> None:
        function = RequeuedWork()  # type: ignore[no-untyped-call]
        work = self.cluster.work(handed, alone)
        self._jobs[handed.id] = self.cluster.submit(alone, function, *work)

    def next_ended(self, seconds: float) -> tuple[str, Outcome] | None:
        deadline = time.monotonic() + seconds
        while True:
            for key, job in self._jobs.items():
                if has_ended(job, self.cluster):
                    outcome = result_of(job, self.cluster)
                    del self._jobs[key]
                    return key, outcome
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_S)

    def cancel(self) -> None:
        for job in self._jobs.values():
            job.cancel(check=False)
        deadline = time.monotonic() + _END_S
        while time.monotonic() < deadline:
            if all(has_ended(job, self.cluster) for job in self._jobs.values()):
                return
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Jobs that still run go on: the same command waits for them."""


def has_ended(job: Job, cluster: Cluster) -> bool:
    return job.paths.result_pickle.exists() or cluster.end_of(job) is not None


def result_of(job: Job, cluster: Cluster) -> Any:
    """What the function of a job that has ended returned, or its Death.

    Of one that ended well, nothing stays in the jobs' folder.
    """
    deadline = time.monotonic() + _LATE_S
    while not job.paths.result_pickle.exists():
        if time.monotonic() > deadline:
            reason = f"its job {job.job_id} ended: {cluster.end_of(job)} (see {job.paths.stderr})"
            return Death(reason, may_pass=True)
        time.sleep(_POLL_S)
    try:
        result = job.result()
    except FailedJobError as error:
        return Death(_last_of_trace(str(error)), may_pass=False)
    _remove_files(job)
    return result


def _remove_files(job: Job) -> None:
    folder = job.paths.folder
    for path in folder.glob(f"{job.job_id}_*"):
        path.unlink(missing_ok=True)
    for link in folder.glob(".submission_file_*"):
        if not link.exists():
            link.unlink(missing_ok=True)


def _last_of_trace(message: str) -> str:
    """The line that says what was raised, of a message with a trace between rules."""
    lines = message.split("----------------------")[1].strip().splitlines()
    # It follows the last indented one, and may itself be followed by what to do.
    above = [number for number, line in enumerate(lines) if line.startswith(" ")]
    return lines[max(above) + 1].removeprefix("convscope.errors.UserError: ")
