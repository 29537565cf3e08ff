"""The time left, with a clock that a test turns."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from convscope.streams import log_to_terminal
from convscope.sweep import progress
from convscope.sweep.plan import PlannedRun, plan_runs
from convscope.sweep.progress import SweepProgress
from convscope.training.record import first_record


@pytest.fixture
def runs(ask, tmp_path: Path) -> list[PlannedRun]:
    """Three of equal cost."""
    return plan_runs([ask(tmp_path, f"seed={seed}") for seed in range(3)])


def told(runs: list[PlannedRun], seconds, ends: list[float], monkeypatch) -> list[str]:
    """What is said of the time left, when runs end at these seconds."""
    now = SimpleNamespace(perf_counter=lambda: 0.0)
    monkeypatch.setattr(progress, "time", now)
    lines: list[str] = []
    shown = SweepProgress(runs, seconds, show_bar=False)
    with log_to_terminal(lines.append):
        for run, end in zip(runs, ends, strict=True):
            now.perf_counter = lambda end=end: end
            shown.end(run, first_record(run.request))
    lines.append(shown.summary())
    return [line.rpartition(";")[2].rpartition(",")[2].strip() for line in lines]


def test_an_estimate_is_corrected_by_what_runs_took(runs, monkeypatch) -> None:
    assert told(runs, lambda run: 10.0, [20.0, 40.0, 60.0], monkeypatch) == [
        "0:40 left",
        "0:20 left",
        "– samples/s",
        "estimated 0:30",
    ]


def test_side_by_side_the_start_of_processes_is_no_pace(runs, monkeypatch) -> None:
    # The first ends after 100 s of starting; from then on one in 5 s.
    assert told(runs, None, [100.0, 105.0, 110.0], monkeypatch) == [
        "– samples/s",
        "0:05 left",
        "– samples/s",
        "took 1:50",
    ]
