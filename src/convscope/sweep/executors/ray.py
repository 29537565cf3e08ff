"""Runs as tasks of Ray: on the cores of this machine, or on a cluster that runs already.

Neither the working directory nor the environment travels: every machine has ConvScope installed,
the images under the same `data.root`, and `output_dir` on a disk that all of them share.
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
from convscope.sweep.executors.ray_address import answers, check_answers
from convscope.text import counted
from convscope.training.devices import resolve_hardware
from convscope.training.hardware import Hardware
from convscope.training.request import RunRequest, to_remote

# Nobody has asked for reports to Ray's makers.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Runs have the priority that they have without Ray, whose workers would let all others go first:
# beside a busy program, two threads of a run that wait for each other took 20 times as long.
os.environ.setdefault("RAY_worker_niceness", "0")
# What a death means for its run is told in one line by the job queue.
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

_LOOK_S = 0.1
_END_S = 60.0
"""Seconds that runs have to end between two steps."""


class RayExecutor(Executor):
    """Ray, started when it is first needed.

    Raises:
        UserError: more per run than a machine has, or an address where no Ray answers.
    """

    in_process = False

    def __init__(self, options: RayOptions) -> None:
        self.options = options
        self.max_retries = options.max_retries
        self._runs: dict[Any, str] = {}
        """Identity of the run of each task that has not ended."""
        address = options.init.get("address")
        self._is_local = address == "local"
        if options.num_gpus > 1 and not options.num_gpus.is_integer():
            raise UserError(
                f"{LAUNCHER}num_gpus must be a whole number where it is above 1, got"
                f" {options.num_gpus:g}"
            )
        self._is_started = False
        if self._is_local:
            # Before Ray's seconds of starting.
            _check_room([_this_machine(options.init)], options)
        else:
            check_answers(str(address))

    @property
    @override
    def max_concurrent(self) -> int:
        return sum(_room(node, self.options) for node in self._nodes())

    @override
    def capacity(self, exclusive: bool) -> int:
        # One more than there is room for: a worker that is done has the next at once, and a cluster
        # that grows by need sees one.
        return self.max_concurrent + 1

    @override
    def hardware(self, trainer: TrainerConfig) -> Hardware:
        nodes = [_this_machine(self.options.init)] if self._is_local else self._nodes()
        has_gpu = any(node.get("GPU") for node in nodes)
        if has_gpu and not self.options.num_gpus and trainer.accelerator != "cpu":
            raise UserError(
                f"{LAUNCHER}num_gpus must be above 0 for runs on a GPU, got 0\n"
                "0.25 lets four runs share one; trainer.accelerator=cpu uses none"
            )
        if self._is_local:
            return resolve_hardware(trainer)
        task = self._task(resolve_hardware, self.options.num_cpus, self.options.num_gpus)
        try:
            found: Hardware = ray.get(task.remote(trainer))
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                # Ray's own says it with the whole traceback.
                raise error.cause from error
            raise
        return found

    @override
    def submit(self, request: RunRequest, exclusive: bool) -> None:
        nodes = self._nodes()
        shared = not exclusive and any(_room(node, self.options) > 1 for node in nodes)
        # Of the largest machine for runs: nothing has room beside it, wherever it goes.
        cpus = self.options.num_cpus
        if exclusive:
            fit = (int(node["CPU"]) for node in nodes if _room(node, self.options))
            cpus = max(fit, default=cpus)
        gpus = math.ceil(self.options.num_gpus) if exclusive else self.options.num_gpus
        task = self._task(run_job, cpus, gpus).remote(to_remote(request), cpus, shared, exclusive)
        self._runs[task] = request.id

    def _task(self, function: Callable[..., Any], cpus: int, gpus: float) -> Any:
        given = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}
        if gpus:
            # A process of its own: CUDA stays on the GPU that a process had first.
            given["max_calls"] = 1
        return ray.remote(**given)(function)  # type: ignore[call-overload]

    @override
    def next_ended(self, timeout: float) -> tuple[str, Outcome] | None:
        ended, _ = ray.wait(list(self._runs), num_returns=1, timeout=timeout)
        if not ended:
            # Ray itself would end this process a minute after.
            if not answers(ray.get_runtime_context().gcs_address):
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
        deadline = time.monotonic() + _END_S
        while tasks and time.monotonic() < deadline:
            # Looked at, not waited for: what a second signal's handler raises while Ray waits, Ray
            # makes a SystemError of.
            _, tasks = ray.wait(tasks, num_returns=len(tasks), timeout=0)
            time.sleep(_LOOK_S)

    @override
    def close(self) -> None:
        # Interrupted in it, Ray would leave processes behind.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        ray.shutdown()
        signal.signal(signal.SIGINT, before)

    def _nodes(self) -> list[Node]:
        """Return all machines that are there now; start Ray where it is not."""
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
        _check_room(self._nodes(), self.options)
        seconds = time.perf_counter() - began
        at_once = counted(self.max_concurrent, "run")
        log.info(f"Ray took {seconds:.1f} s to start: {at_once} at a time")


def _outcome(task: Any) -> Outcome:
    try:
        record: RunRecord | None = ray.get(task)
    except RayTaskError as error:
        return JobFailure(_first_line(error.cause or error), retryable=False)
    except LocalRayletDiedError:
        raise
    except RayError as error:
        return JobFailure(_death(error), retryable=True)
    return record


def _death(error: RayError) -> str:
    """Say in a line how a process ended, of which Ray tells at length."""
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


def _room(node: Node, options: RayOptions) -> int:
    """Return how many runs a machine takes at once."""
    rooms = [node.get("CPU", 0) // options.num_cpus]
    if options.num_gpus >= 1:
        rooms.append(node.get("GPU", 0) // options.num_gpus)
    elif options.num_gpus:
        # Shares of one GPU each.
        rooms.append(node.get("GPU", 0) * math.floor(1 / options.num_gpus))
    return int(min(rooms))


def _check_room(nodes: list[Node], options: RayOptions) -> None:
    for key, kind in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
        asked, most = getattr(options, key), max(node.get(kind, 0) for node in nodes)
        if asked > most:
            raise UserError(
                f"{LAUNCHER}{key} must be at most the {most:g} {kind}s of one machine,"
                f" got {asked:g}"
            )
    if not any(_room(node, options) for node in nodes):
        raise UserError(
            f"{LAUNCHER}num_cpus={options.num_cpus} and {LAUNCHER}num_gpus={options.num_gpus:g}:"
            " no machine has both"
        )
