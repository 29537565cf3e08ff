"""How a run is made and timed, and what of it the wall clock confirms."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from convscope.benchmark import project
from convscope.benchmark.cases import Case
from convscope.benchmark.project import TimedRun, run_lengths, timed_run, wall_slope
from convscope.errors import UserError
from convscope.training.request import RunRequest
from convscope.training.resolve import RunResolver

MakeCase = Callable[..., Case]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The requests that were made, instead of trained; each says 5,000 samples/s."""
    requests = []

    def train(request: Any) -> SimpleNamespace:
        assert sys.stdout.isatty()
        assert sys.stderr.isatty()
        print("not seen", file=sys.stderr)
        requests.append(request)
        return SimpleNamespace(status="finished", metrics={"train_samples_per_sec": 5000.0})

    monkeypatch.setattr("convscope.benchmark.project.train", train)
    return requests


@pytest.mark.parametrize(
    ("steps", "epochs", "long", "short"),
    # An epoch of 1,294 images has 40 steps of 32.
    [(100, 3, 33, 10), (80, 2, 40, 10), (15, 2, 7, 3), (1, 2, 2, 1)],
)
def test_a_long_and_a_short_run_differ_only_in_steps(
    make_case: MakeCase,
    resolver: RunResolver,
    trained: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    steps: int,
    epochs: int,
    long: int,
    short: int,
) -> None:
    clock = iter([10.0, 13.0, 20.0, 21.0])
    monkeypatch.setattr(project, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    case = make_case("conv.stride=2")
    assert run_lengths(case, steps) == (epochs, long, short)
    for length, seconds in ((long, 3.0), (short, 1.0)):
        run = timed_run(resolver, case, epochs, length, False)
        assert run == TimedRun(epochs * length * 32, 5000.0, seconds)
    for request, per_epoch in zip(trained, (long, short), strict=True):
        assert (request.steps.epochs, request.steps.per_epoch) == (epochs, per_epoch)
        assert request.variant.label == "k3-s2-p1"
        assert request.config.trainer.enable_progress_bar
        assert not Path(request.config.output_dir).exists()
    assert trained[0].config.output_dir != trained[1].config.output_dir
    assert not trained[0].config.compile
    assert capfd.readouterr() == ("", "")


def test_a_run_goes_through_torch_compile_as_the_loop_does(
    make_case: MakeCase, resolver: RunResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    record = SimpleNamespace(status="finished", metrics={"train_samples_per_sec": 1.0})

    def train(request: RunRequest) -> SimpleNamespace:
        trained.append(request.config.compile)
        return record

    monkeypatch.setattr("convscope.benchmark.project.train", train)
    timed_run(resolver, make_case(), 2, 10, True)
    assert trained == [True]


def test_what_both_runs_do_besides_training_cancels_out() -> None:
    """1,000 samples in 0.5 s, whatever the 2 s around them."""
    assert wall_slope(TimedRun(200, 1.0, 2.1), TimedRun(1200, 1.0, 2.6)) == pytest.approx(2000)
    assert wall_slope(TimedRun(200, 1.0, 2.1), TimedRun(1200, 1.0, 2.1)) is None


def test_a_run_that_fails_is_told_in_a_line(
    make_case: MakeCase, resolver: RunResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = SimpleNamespace(name="NAME", status="failed", reason="REASON")
    monkeypatch.setattr("convscope.benchmark.project.train", lambda *_: record)
    with pytest.raises(UserError, match="^NAME failed: REASON$"):
        timed_run(resolver, make_case(), 2, 10, False)
    record.status, record.reason = "interrupted", "SIGTERM"
    with pytest.raises(KeyboardInterrupt) as raised:
        timed_run(resolver, make_case(), 2, 10, False)
    assert raised.value.args == (signal.SIGTERM,)


def test_an_epoch_of_one_step_is_refused(make_case: MakeCase) -> None:
    case = make_case("data.batch_size=1000")
    with pytest.raises(UserError, match="data.batch_size must leave at least 2 steps .* got 1000$"):
        run_lengths(case, 20)


def test_a_real_run_reports_about_what_the_clock_says(
    make_case: MakeCase, resolver: RunResolver
) -> None:
    """A rate per step, not per sample, or one that counts other steps, is another number."""
    run = timed_run(resolver, make_case("conv.stride=2"), 2, 40, False)
    assert run.samples == 80 * 32
    assert run.samples / run.samples_per_second < run.seconds
