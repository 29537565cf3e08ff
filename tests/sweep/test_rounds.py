"""What is trained next, from what has ended so far."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from convscope.runs.record import write_record
from convscope.streams import log_to_terminal
from convscope.sweep.rounds import EveryRun, Records, Rounds
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
