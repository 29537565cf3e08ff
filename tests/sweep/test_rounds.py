"""What is trained next, from what has ended so far."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from convscope.runs.record import write_record
from convscope.streams import log_to_terminal
from convscope.sweep.rounds import EveryRun, Records, Rounds, Survivors
from convscope.training.record import first_record
from convscope.training.request import RunRequest


@dataclass(frozen=True)
class Doubling:
    """Wants one run, then two, then four of these, each time that all wanted have ended."""

    requests: list[RunRequest]

    def wanted(self, records: Records) -> list[RunRequest]:
        number = 1
        while number < 4 and all(one.id in records for one in self.requests[:number]):
            number *= 2
        return self.requests[:number]

    def at_most(self, records: Records) -> list[RunRequest]:
        return self.requests[:4]

    def reason(self, records: Records) -> str:
        return f"{len(records)} have ended"


@pytest.fixture
def requests(ask, tmp_path: Path) -> list[RunRequest]:
    return [ask(tmp_path, f"seed={seed}") for seed in range(4)]


def finish(request: RunRequest) -> None:
    request.directory.path.mkdir(parents=True)
    write_record(request.directory.record, replace(first_record(request), status="finished"))


def end_all(rounds: Rounds, status: str) -> list[list[int]]:
    """The seeds of each round, all of whose runs end so."""
    seeds = []
    while left := rounds.next_round():
        seeds.append([run.request.config.seed for run in left])
        rounds.records |= {
            run.request.id: replace(first_record(run.request), status=status) for run in left
        }
    return seeds


def test_each_round_has_what_the_records_ask_for(requests) -> None:
    lines: list[str] = []
    rounds = Rounds(Doubling(requests))
    with log_to_terminal(lines.append):
        assert end_all(rounds, "finished") == [[0], [1], [2, 3]]
    assert lines == ["0 have ended", "1 have ended", "2 have ended"]
    assert [run.request.config.seed for run in rounds.runs.values()] == [0, 1, 2, 3]


def test_a_failed_run_is_not_tried_again_in_the_same_command(requests) -> None:
    assert end_all(Rounds(Doubling(requests)), "failed") == [[0], [1], [2, 3]]


def test_what_is_on_disk_counts_as_if_it_had_just_ended(requests) -> None:
    for request in (requests[0], requests[1], requests[3]):
        finish(request)
    lines: list[str] = []
    rounds = Rounds(Doubling(requests))
    with log_to_terminal(lines.append):
        assert end_all(rounds, "finished") == [[2]]
    done = ["1 of 1 runs are done already"] * 2 + ["1 of 2 runs are done already"]
    assert [line for line in lines if "already" in line] == done


def test_a_plan_shows_what_is_trained_at_most_and_logs_nothing(requests) -> None:
    finish(requests[0])
    with log_to_terminal(pytest.fail):
        planned = Rounds(Doubling(requests)).planned()
    assert [run.state for run in planned] == ["finished", "to do", "to do", "to do"]


def test_an_ordinary_sweep_has_one_round_with_each_run_once(requests) -> None:
    with log_to_terminal(pytest.fail):
        rounds = Rounds(EveryRun([*requests, requests[0]]))
        assert end_all(rounds, "finished") == [[0, 1, 2, 3]]


def test_further_seeds_wait_for_the_first_and_are_not_pruned(ask, tmp_path: Path) -> None:
    requests = [
        ask(tmp_path, f"seed={seed}", f"conv.stride={stride}", "prune=true")
        for stride in (1, 2)
        for seed in (3, 4)
    ]
    strategy = Survivors(requests)
    first, second = requests[0], requests[2]
    assert [one.id for one in strategy.wanted({})] == [first.id, second.id]
    assert [one.config.prune for one in strategy.at_most({})] == [True, False, True, False]
    ended: Records = {
        first.id: replace(first_record(first), status="pruned", reason="worse"),
        second.id: replace(first_record(second), status="failed", reason="the loss is nan"),
    }
    assert [one.id for one in strategy.wanted(ended)] == [first.id, second.id, requests[3].id]
    assert strategy.reason(ended) == "no further seeds of 1 pruned variant"
    # One run has not ended.
    assert strategy.conclusion(ended) == []
    ended[requests[3].id] = replace(first_record(requests[3]), status="finished")
    # Two epochs of each of four runs, none of which the pruned variant has trained.
    assert strategy.conclusion(ended) == [
        "1 of 2 variants pruned: 4 of 8 epochs not trained; the same command with prune=false"
        " trains them"
    ]
