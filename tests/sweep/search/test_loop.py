"""What a search tries, counts, tries again and leaves alone; its runs are planted, not trained."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convscope.errors import UserError
from convscope.runs.lock import RunLock
from convscope.runs.record import RunRecord, read_record, write_record
from convscope.training.request import RunRequest

from .planted import IMPOSSIBLE, POSSIBLE, Planted, planted

BOTH = "objective=[val/accuracy,throughput/train_samples_per_sec]"


def on_disk() -> dict[str, RunRecord]:
    records = [read_record(path) for path in Path("out/found").glob("*/run.json")]
    return {record.variant: record for record in records}


def front() -> list[str]:
    """From the records on disk, by the definition: the most accurate first."""
    finished = [record for record in on_disk().values() if record.status == "finished"]
    points = np.array(
        [[r.metrics["best_val_accuracy"], r.metrics["train_samples_per_sec"]] for r in finished]
    )
    beaten = [
        any((other >= point).all() and (other > point).any() for other in points)
        for point in points
    ]
    rest = [record for record, is_beaten in zip(finished, beaten, strict=True) if not is_beaten]
    ordered = sorted(rest, key=lambda record: -float(record.metrics["best_val_accuracy"] or 0))
    return [record.variant for record in ordered]


def found(out: str) -> list[str]:
    """The variants that the search names at its end."""
    below = out.partition("of ")[2] and re.split(r"\n(?:Best|Pareto front) by ", out)[1]
    return re.findall(r"^- (k[^:]+): validation", below, re.MULTILINE)


def test_the_whole_grid_is_tried_once_and_the_front_is_that_of_the_grid(search) -> None:
    executor = Planted()
    ended = search(executor, "trials=30", BOTH)

    assert len(executor.started) == len(set(executor.started)) == 15
    records = on_disk()
    assert {name for name, one in records.items() if one.status == "skipped"} == IMPOSSIBLE
    assert len(ended.records) == len(records) == 21
    assert ended.told[0] == "24 combinations are 21 variants, 6 of them impossible"
    assert ended.told[-1] == "every variant of the space has been tried"
    lines = [line for line in ended.told if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == [f"[{n}/21" for n in range(1, 22)]
    assert sum(" pruned: conv" in line for line in lines) == 6
    assert (
        "\nPareto front by val/accuracy and throughput/train_samples_per_sec,"
        " of 15 variants measured:\n"
    ) in ended.out
    assert found(ended.out) == front()
    assert 1 < len(front()) < 15


def test_it_stops_at_so_many_trials_and_goes_on_from_there(search) -> None:
    first = Planted()
    ended = search(first, "trials=6")
    assert len(ended.records) == len(on_disk()) == 6
    assert first.started == [one.variant for one in ended.records if one.status == "finished"]
    assert "every variant" not in ended.told[-1]

    same = Planted()
    again = search(same, "trials=6")
    assert same.started == []
    assert "6 of 6 trials are known already" in again.told
    assert again.out == ended.out

    more = Planted()
    assert len(search(more, "trials=10").records) == len(on_disk()) == 10
    assert not set(more.started) & set(first.started)


@pytest.mark.parametrize("objective", ["objective=val/accuracy", BOTH])
def test_one_that_is_stopped_now_and_then_tries_the_same_as_one_that_is_not(
    search, objective: str
) -> None:
    whole = search(Planted(), "study=whole", "trials=15", objective)
    # The first ten are drawn at random.
    for trials in (3, 4, 11, 13, 15):
        stopped = search(Planted(), "study=stopped", f"trials={trials}", objective)
        assert len(stopped.records) == trials
    tried = [[record.variant for record in ended.records] for ended in (whole, stopped)]
    assert tried[0] == tried[1]


def test_another_seed_tries_others(search) -> None:
    first, second = Planted(), Planted()
    search(first, "trials=6")
    search(second, "trials=6", "seed=1", "study=other")
    assert first.started != second.started


@pytest.mark.parametrize("seed", range(2))
def test_the_best_is_found_before_the_grid_is_through(search, seed: int) -> None:
    keys = {
        "conv.kernel_size": tuple(map(str, range(1, 10))),
        "conv.stride": ("1", "2", "3"),
        "conv.padding": tuple(map(str, range(5))),
    }
    ended = search(Planted(), "trials=45", f"seed={seed}", keys=keys)
    # A third of the 135; all of them would be k9-s1-p4.
    assert found(ended.out) == ["k9-s1-p4"]


def test_the_test_accuracy_chooses_nothing(search) -> None:
    def other(variant: str) -> dict[str, float]:
        return planted(variant) | {"test_accuracy": 0.99 if variant == "k1-s3-p0" else 0.5}

    first, second = Planted(), Planted(metrics=other)
    a = search(first, "trials=21")
    b = search(second, "trials=21", "study=other")
    assert first.started == second.started
    assert found(a.out) == found(b.out) == ["k7-s1-p3"]


def test_a_run_that_lacks_an_objective_is_no_answer_and_is_not_tried_again(search) -> None:
    def short(variant: str) -> dict[str, float]:
        measured = planted(variant)
        return measured if variant != "k7-s1-p3" else {"best_val_accuracy": 0.99}

    executor = Planted(metrics=short)
    ended = search(executor, "trials=21", BOTH)
    assert any(
        "k7-s1-p3 failed: the run has no throughput/train_samples_per_sec" in line
        for line in ended.told
    )
    assert len(executor.started) == 15
    assert "k7-s1-p3" not in found(ended.out)
    assert "of 14 variants measured:" in ended.out


def test_a_run_that_fails_ends_nothing_and_is_tried_again_by_the_next_command(search) -> None:
    first = Planted(fails=["k3-s1-p0", "k3-s1-p1"])
    ended = search(first, "trials=21")
    assert len(first.started) == 15
    assert sum(" failed: out of memory" in line for line in ended.told) == 2

    again = Planted()
    search(again, "trials=21")
    assert sorted(again.started) == ["k3-s1-p0", "k3-s1-p1"]
    assert {record.status for record in on_disk().values()} == {"finished", "skipped"}


def test_interrupted_runs_come_first_and_count(search) -> None:
    class Stopped(Planted):
        """A signal ends the third run, and those beside it."""

        def end(self, request: RunRequest, exclusive: bool = False) -> RunRecord | None:
            if len(self.started) < 5:
                return super().end(request, exclusive)
            for one in (request, *(other for other, _ in self.running)):
                record = super().end(one)
                assert record is not None
                record = replace(record, status="interrupted", reason="SIGINT", metrics={})
                write_record(one.directory.record, record)
            return record

    first = Stopped(max_concurrent=3)
    ended = search(first, "trials=9", keys=POSSIBLE)
    assert len(first.started) == 5
    assert [record.status for record in ended.records] == ["finished", "finished", "interrupted"]
    assert ended.told[-1] == "the search was stopped; the same command resumes it"

    second = Planted()
    search(second, "trials=6", keys=POSSIBLE)
    assert set(second.started[:3]) == set(first.started[2:])
    assert len(second.started) == 4
    assert len(on_disk()) == 6


def test_a_run_that_another_process_trains_is_left_to_it_and_waited_for(
    search, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Held(Planted):
        lock: RunLock | None = None

        def end(self, request: RunRequest, exclusive: bool = False) -> RunRecord | None:
            if self.lock is None:
                self.lock = RunLock(request.directory.path)
                self.lock.acquire()
                return None
            return super().end(request, exclusive)

    executor = Held()

    def the_other_process_ends(_: float) -> None:
        assert executor.lock is not None
        executor.lock.release()

    monkeypatch.setattr("convscope.runs.lock.time.sleep", the_other_process_ends)
    ended = search(executor, "trials=5", keys=POSSIBLE)
    held, *others = executor.started
    assert others[-1] == held
    assert len(set(executor.started)) == len(on_disk()) == 5
    assert any("which another process trains" in line for line in ended.told)


def test_what_another_search_finishes_meanwhile_counts(search) -> None:
    class Beside(Planted):
        """While the second run is trained, another process searches too."""

        def end(self, request: RunRequest, exclusive: bool = False) -> RunRecord | None:
            if len(self.started) == 2:
                search(other, "trials=4", "objective=summary/macs", keys=POSSIBLE)
            return super().end(request, exclusive)

    executor, other = Beside(), Planted()
    ended = search(executor, "trials=8", keys=POSSIBLE)
    assert len(other.started) == 3
    assert len(on_disk()) == len(ended.records) == 8
    # One is the second run itself, which the other process cannot know to be trained here.
    assert len(set(executor.started) | set(other.started)) == 8
    # The other search logs its own, of 4, meanwhile.
    assert [line.split("]")[0] for line in ended.told if "/8]" in line] == [
        f"[{n}/8" for n in range(1, 9)
    ]


def test_as_many_run_at_once_as_the_executor_takes(search) -> None:
    executor = Planted(max_concurrent=4)
    search(executor, "trials=10", keys=POSSIBLE)
    assert executor.most_at_once == 4
    assert len(executor.started) == len(set(executor.started)) == 10

    more = Planted(max_concurrent=4)
    search(more, "trials=12", keys=POSSIBLE)
    assert len(set(more.started) | set(executor.started)) == 12


def test_speeds_of_runs_side_by_side_are_not_compared(search) -> None:
    why = (
        "objective cannot be throughput/train_samples_per_sec where 2 runs are trained at once:"
        " they slow each other down\n"
        "add throughput=exclusive, which measures each again exclusively, or use summary/macs"
    )
    executor = Planted(max_concurrent=2)
    with pytest.raises(UserError, match=f"^{re.escape(why)}$"):
        search(executor, "trials=5", BOTH)
    assert executor.started == []
    # Accuracy and MACs do not depend on what else the machine does.
    search(executor, "trials=5", "objective=[val/accuracy,summary/macs]", keys=POSSIBLE)
    assert len(executor.started) == 5


def test_nor_are_those_of_an_earlier_sweep(search) -> None:
    search(Planted(max_concurrent=2, shared=True), "trials=5", keys=POSSIBLE)
    with pytest.raises(UserError, match="where 5 of the study's runs shared a machine"):
        search(Planted(), "trials=6", BOTH, keys=POSSIBLE)

    executor = Planted()
    ended = search(executor, "trials=6", BOTH, "throughput=exclusive", keys=POSSIBLE)
    assert "measuring 5 runs again, each exclusively" in ended.told
    assert len(executor.exclusive) == 5
    assert len(executor.started) == 1


def test_exclusive_measures_each_alone_before_others_are_chosen(search) -> None:
    class Watched(Planted):
        def submit(self, request: RunRequest, exclusive: bool) -> None:
            if not exclusive:
                assert not any(of_another for _, of_another in self.running)
            super().submit(request, exclusive)

    executor = Watched(max_concurrent=2, shared=True)
    search(executor, "trials=21", BOTH, "throughput=exclusive")
    assert executor.most_at_once == 2
    assert len(executor.started) == 15
    assert sorted(executor.exclusive) == sorted(executor.started)
