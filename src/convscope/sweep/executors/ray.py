"""Executor that trains runs as Ray tasks, on this machine or on an existing cluster.

Every machine needs ConvScope, the images under the same `data.root`, and `output_dir` on a shared
disk: neither working directory nor environment is sent.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import torch
from typing_extensions import override

from convscope.config.errors import LAUNCHER
from convscope.config.schema import TrainerConfig
from convscope.errors import UserError
from convscope.runs.record import RunRecord
from convscope.sweep.executors.choice import RayOptions
from convscope.sweep.executors.executor import Executor, ExecutorLost, JobFailure, Outcome
from convscope.sweep.executors.job import run_job
from convscope.sweep.executors.ray_address import check_reachable, is_reachable
from convscope.text import counted
from convscope.training.devices import resolve_hardware
from convscope.training.hardware import Hardware
from convscope.training.request import RunRequest, to_remote

# Do not report usage to Ray's makers without consent.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray lowers the priority of its workers: beside a busy program, two threads of a run that wait for
# each other took 20 times as long.
os.environ.setdefault("RAY_worker_niceness", "0")
# The job queue reports a lost worker in one line.
os.environ.setdefault(
    "RAY_DEDUP_LOGS_SKIP_REGEX", "worker died|killed due to|marked dead|Raylet is terminated"
)
import ray  # It reads its environment when it is imported.
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

log = logging.getLogger(__name__)

Node = dict[str, float]
"""CPUs and GPUs of a machine, as `CPU` and `GPU`."""

_POLL_S = 0.1
_CANCEL_S = 60.0
"""Seconds that cancelled runs have to end, which they do between two steps."""


class RayExecutor(Executor):
    """Trains runs as Ray tasks; Ray starts when it is first needed.

    Raises:
        UserError: a run needs more than any machine has, or no Ray cluster is at the address.
    """

    in_process = False

    def __init__(self, options: RayOptions) -> None:
        self.options = options
        self.max_retries = options.max_retries
        self._runs: dict[Any, str] = {}
        """Run's identity by task, of tasks that have not ended."""
        address = options.init.get("address")
        self.is_local = address == "local"
        if options.num_gpus > 1 and not options.num_gpus.is_integer():
            raise UserError(
                f"{LAUNCHER}num_gpus must be a whole number where it is above 1, got"
                f" {options.num_gpus:g}"
            )
        self._is_started = False
        if self.is_local:
            # Before Ray starts, which takes seconds.
            _check_fits([_this_machine(options.init)], options)
        else:
            check_reachable(str(address))

    @property
    @override
    def max_concurrent(self) -> int:
        return sum(_slots(node, self.options) for node in self._nodes())

    @override
    def capacity(self, exclusive: bool) -> int:
        # One more than fits: a free worker then has its next task at once, and the waiting task
        # makes an autoscaling cluster grow.
        return self.max_concurrent + 1

    @override
    def hardware(self, trainer: TrainerConfig) -> Hardware:
        nodes = [_this_machine(self.options.init)] if self.is_local else self._nodes()
        has_gpu = any(node.get("GPU") for node in nodes)
        if has_gpu and not self.options.num_gpus and trainer.accelerator != "cpu":
            raise UserError(
                f"{LAUNCHER}num_gpus must be above 0 for runs on a GPU, got 0\n"
                "0.25 lets four runs share one; trainer.accelerator=cpu uses none"
            )
        if self.is_local:
            return resolve_hardware(trainer)
        task = self._task(resolve_hardware, self.options.num_cpus, self.options.num_gpus)
        try:
            found: Hardware = ray.get(task.remote(trainer))
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                # Ray's message contains the whole traceback.
                raise error.cause from error
            raise
        return found

    @override
    def submit(self, request: RunRequest, exclusive: bool) -> None:
        nodes = self._nodes()
        shared = not exclusive and any(_slots(node, self.options) > 1 for node in nodes)
        # An exclusive task gets the CPUs of the largest machine, so that none has room for another.
        cpus = self.options.num_cpus
        if exclusive:
            fit = (int(node["CPU"]) for node in nodes if _slots(node, self.options))
            cpus = max(fit, default=cpus)
        gpus = math.ceil(self.options.num_gpus) if exclusive else self.options.num_gpus
        task = self._task(run_job, cpus, gpus).remote(to_remote(request), cpus, shared, exclusive)
        self._runs[task] = request.id

    def _task(self, function: Callable[..., Any], cpus: int, gpus: float) -> Any:
        given = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}
        if gpus:
            # A new process per task: CUDA keeps the first GPU that a process used.
            given["max_calls"] = 1
        return ray.remote(**given)(function)  # type: ignore[call-overload]

    @override
    def next_ended(self, timeout: float) -> tuple[str, Outcome] | None:
        ended, _ = ray.wait(list(self._runs), num_returns=1, timeout=timeout)
        if not ended:
            # Ray would end this process a minute after losing its cluster.
            if not is_reachable(ray.get_runtime_context().gcs_address):
                raise ExecutorLost("Ray's cluster was lost: its head (GCS) does not answer")
            return None
        try:
            outcome = _outcome(ended[0])
        except LocalRayletDiedError as error:
            raise ExecutorLost("Ray was lost on this machine: its raylet died") from error
        return self._runs.pop(ended[0]), outcome

    @override
    def cancel(self) -> None:
        tasks = list(self._runs)
        for task in tasks:
            ray.cancel(task)
        deadline = time.monotonic() + _CANCEL_S
        while tasks and time.monotonic() < deadline:
            # Poll: while Ray waits, it turns the exception of a second signal into a SystemError.
            _, tasks = ray.wait(tasks, num_returns=len(tasks), timeout=0)
            time.sleep(_POLL_S)

    @override
    def close(self) -> None:
        # An interrupted shutdown would leave processes behind.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        ray.shutdown()
        signal.signal(signal.SIGINT, before)

    def _nodes(self) -> list[Node]:
        """Return the resources of all current machines; start Ray if necessary."""
        if not self._is_started:
            self._start()
        found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return [node["Resources"] for node in found if node["Alive"]]

    def _start(self) -> None:
        began = time.perf_counter()
        try:
            ray.init(**self.options.init_arguments)
        except (ConnectionError, RayError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"{LAUNCHER}init: {_first_line(error)}") from error
        self._is_started = True
        _check_fits(self._nodes(), self.options)
        seconds = time.perf_counter() - began
        concurrent = counted(self.max_concurrent, "run")
        log.info(f"Ray took {seconds:.1f} s to start: {concurrent} at a time")


def _outcome(task: Any) -> Outcome:
    try:
        record: RunRecord | None = ray.get(task)
    except RayTaskError as error:
        return JobFailure(_first_line(error.cause or error), retryable=False)
    except LocalRayletDiedError:
        raise
    except RayError as error:
        return JobFailure(_death_reason(error), retryable=True)
    return record


def _death_reason(error: RayError) -> str:
    """Return in one line how a process ended."""
    if isinstance(error, OutOfMemoryError):
        return "its process was killed: its machine ran out of memory"
    if isinstance(error, NodeDiedError):
        return "its machine was lost"
    if isinstance(error, WorkerCrashedError):
        return "its process was killed"
    return f"its process died: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _this_machine(init: dict[str, Any]) -> Node:
    return {
        "CPU": init.get("num_cpus") or os.cpu_count() or 1,
        "GPU": init.get("num_gpus") or torch.cuda.device_count(),
    }


def _slots(node: Node, options: RayOptions) -> int:
    """Return how many runs fit on a machine at a time."""
    rooms = [node.get("CPU", 0) // options.num_cpus]
    if options.num_gpus >= 1:
        rooms.append(node.get("GPU", 0) // options.num_gpus)
    elif options.num_gpus:
        # A run's share lies on a single GPU.
        rooms.append(node.get("GPU", 0) * math.floor(1 / options.num_gpus))
    return int(min(rooms))


def _check_fits(nodes: list[Node], options: RayOptions) -> None:
    for key, kind in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
        asked, most = getattr(options, key), max(node.get(kind, 0) for node in nodes)
        if asked > most:
            raise UserError(
                f"{LAUNCHER}{key} must be at most the {most:g} {kind}s of one machine,"
                f" got {asked:g}"
            )
    if not any(_slots(node, options) for node in nodes):
        raise UserError(
            f"{LAUNCHER}num_cpus={options.num_cpus} and {LAUNCHER}num_gpus={options.num_gpus:g}:"
            " no machine has both"
        )
