"""What the job queue makes of processes that end well, die, or are asked to end."""

import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from convscope.runs.lock import RunLock
from convscope.runs.record import RunRecord, read_record, write_record
from convscope.streams import log_to_terminal
from convscope.sweep.executors.executor import JobFailure, JobQueue, Outcome
from convscope.sweep.plan import PlannedRun, plan_runs
from convscope.training.record import first_record
from convscope.training.request import RunRequest

KILLED = JobFailure("its process died: killed", retryable=True)
RAISED = JobFailure("no images here", retryable=False)

Act = Callable[[PlannedRun], Outcome]


class Acted:
    """An executor whose processes do at once what a test tells them to, one act per try."""

    in_process = False
    max_retries = 2
    max_concurrent = 2

    def __init__(self, run: PlannedRun, *acts: Act) -> None:
        self.run = run
        self.acts = deque(acts)
        self.submitted: list[RunRequest] = []
        self.cancelled = False

    def capacity(self, exclusive: bool) -> int:
        return 1 if exclusive else self.max_concurrent

    def submit(self, request: RunRequest, exclusive: bool) -> None:
        self.submitted.append(request)

    def next_ended(self, timeout: float) -> tuple[str, Outcome] | None:
        if not self.acts:
            return None
        return self.run.request.id, self.acts.popleft()(self.run)

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def run(ask, tmp_path: Path) -> PlannedRun:
    (planned,) = plan_runs([ask(tmp_path)])
    return planned


def writes(status: str, reason: str | None = None) -> Act:
    """The process left this record."""

    def act(run: PlannedRun) -> RunRecord:
        directory = run.request.directory
        directory.path.mkdir(parents=True, exist_ok=True)
        record = replace(first_record(run.request), status=status, reason=reason)
        write_record(directory.record, record)
        return record

    return act


def dies(death: JobFailure, leaving: Act) -> Act:
    def act(run: PlannedRun) -> JobFailure:
        leaving(run)
        return death

    return act


def queued(executor: Acted) -> tuple[RunRecord | None, list[str]]:
    told: list[str] = []
    jobs = JobQueue(executor)
    jobs.start(executor.run)
    with log_to_terminal(told.append):
        run, record = jobs.next_ended()
    assert run is executor.run
    return record, told


def on_disk(run: PlannedRun) -> tuple[str, str | None]:
    record = read_record(run.request.directory.record)
    return record.status, record.reason


def test_a_process_that_is_killed_is_started_again(run: PlannedRun) -> None:
    seen: list[tuple[str, str | None]] = []

    def finishes(run: PlannedRun) -> Outcome:
        seen.append(on_disk(run))
        return writes("finished")(run)

    executor = Acted(run, dies(KILLED, writes("running")), finishes)
    record, told = queued(executor)

    assert record is not None
    assert record.status == "finished"
    assert seen == [("failed", "its process died: killed")]
    name = run.request.directory.name
    assert told == [f"{name}: its process died: killed; tried again, 1 of 2"]
    assert [one.id for one in executor.submitted] == [run.request.id] * 2


class Takes(Acted):
    """Has two runs at a time, and ends the one that it has had longest."""

    def __init__(self, *acts: Act) -> None:
        self.acts = deque(acts)
        self.submitted = []
        self.has: deque[str] = deque()
        self.runs: dict[str, PlannedRun] = {}

    def submit(self, request: RunRequest, exclusive: bool) -> None:
        super().submit(request, exclusive)
        self.has.append(request.id)
        assert len(self.has) <= self.capacity(exclusive)

    def next_ended(self, timeout: float) -> tuple[str, Outcome] | None:
        ended = self.has.popleft()
        return ended, self.acts.popleft()(self.runs[ended])


def test_runs_begin_in_order_and_one_that_died_goes_before_those_that_wait(
    ask, tmp_path: Path
) -> None:
    runs = plan_runs([ask(tmp_path, f"seed={seed}") for seed in range(5)])
    done = writes("finished")
    executor = Takes(done, dies(KILLED, writes("running")), done, done, done, done)
    jobs = JobQueue(executor)
    for run in runs:
        executor.runs[run.request.id] = run
        jobs.start(run)
    ended = [jobs.next_ended()[0] for _ in runs]

    begun = [one.config.seed for one in executor.submitted]
    assert begun == [0, 1, 2, 1, 3, 4]
    assert [run.request.config.seed for run in ended] == [0, 2, 1, 3, 4]


def test_what_waits_is_handed_over_when_the_executor_has_grown(ask, tmp_path: Path) -> None:
    runs = plan_runs([ask(tmp_path, f"seed={seed}") for seed in range(2)])

    class Grows(Takes):
        machines = 1

        def capacity(self, exclusive: bool) -> int:
            return self.machines

        def next_ended(self, timeout: float) -> tuple[str, Outcome] | None:
            if self.machines == 1:
                self.machines = 2
                return None
            assert len(self.has) == 2
            return super().next_ended(timeout)

    executor = Grows(writes("finished"))
    jobs = JobQueue(executor)
    for run in runs:
        executor.runs[run.request.id] = run
        jobs.start(run)
    assert jobs.next_ended()[0] is runs[0]


def test_one_that_is_always_killed_has_failed(run: PlannedRun) -> None:
    executor = Acted(run, *[dies(KILLED, writes("running"))] * 3)
    record, told = queued(executor)

    assert record is not None
    assert (record.status, record.reason) == on_disk(run) == ("failed", "its process died: killed")
    assert len(told) == 2
    assert len(executor.submitted) == 3


def test_one_that_raises_is_not_tried_again(run: PlannedRun) -> None:
    # Before it wrote anything: its machine lacks the images, say.
    executor = Acted(run, lambda run: RAISED)
    record, told = queued(executor)

    assert record is not None
    assert (record.status, record.reason) == on_disk(run) == ("failed", "no images here")
    assert told == []


@pytest.mark.parametrize(("prune", "status"), [(True, "pruned"), (False, "failed")])
def test_a_process_that_dies_after_its_run_was_pruned(
    ask, tmp_path: Path, prune: bool, status: str
) -> None:
    """With prune=false it was to go on."""
    (run,) = plan_runs([ask(tmp_path, f"prune={prune}")])
    died = JobFailure("its process died: killed", retryable=False)
    executor = Acted(run, dies(died, writes("pruned", "worse")))
    record, _ = queued(executor)
    assert record is not None
    assert (record.status, on_disk(run)[0]) == (status, status)


def test_a_process_that_dies_after_its_last_word_has_finished(run: PlannedRun) -> None:
    executor = Acted(run, dies(KILLED, writes("finished")))
    record, _ = queued(executor)
    assert record is not None
    assert (record.status, on_disk(run)) == ("finished", ("finished", None))


def test_a_signal_to_one_process_is_no_end_of_the_sweep(run: PlannedRun) -> None:
    executor = Acted(run, writes("interrupted", "SIGTERM"), writes("finished"))
    record, told = queued(executor)
    assert record is not None
    assert record.status == "finished"
    assert told[0].endswith(": its process was ended by SIGTERM; tried again, 1 of 2")


def test_a_run_that_another_process_trains_is_left_to_it(run: PlannedRun) -> None:
    assert queued(Acted(run, lambda run: None)) == (None, [])


def test_a_claim_that_still_stands_is_left_alone(run: PlannedRun) -> None:
    writes("running")(run)

    def another_took_over(run: PlannedRun) -> Outcome:
        claim.try_acquire()
        return KILLED

    def finishes(run: PlannedRun) -> Outcome:
        assert on_disk(run) == ("running", None)
        claim.release()
        return writes("finished")(run)

    claim = RunLock(run.request.directory.path)
    record, _ = queued(Acted(run, another_took_over, finishes))
    assert record is not None
    assert record.status == "finished"


def test_ctrl_c_ends_all(run: PlannedRun) -> None:
    def interrupts(run: PlannedRun) -> Outcome:
        os.kill(os.getpid(), signal.SIGINT)
        return None

    executor = Acted(run, interrupts)
    record, _ = queued(executor)
    assert record is not None
    assert (record.status, record.reason) == ("interrupted", "SIGINT")
    assert executor.cancelled


def test_a_second_ctrl_c_does_not_wait_for_processes_to_end(run: PlannedRun) -> None:
    class Waits(Acted):
        def cancel(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("it waited on")

    def interrupts(run: PlannedRun) -> Outcome:
        os.kill(os.getpid(), signal.SIGINT)
        return None

    record, _ = queued(Waits(run, interrupts))
    assert record is not None
    assert (record.status, record.reason) == ("interrupted", "SIGINT")
