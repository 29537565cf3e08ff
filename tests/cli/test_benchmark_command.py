"""`python scripts/benchmark.py` as a person types it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import convscope
from convscope.benchmark import measure, project, roofline
from convscope.benchmark.measure import Effort
from convscope.benchmark.project import EndToEnd, end_to_end
from convscope.benchmark.roofline import Peaks
from convscope.errors import UserError

ROOT = Path(__file__).parents[2]
SOURCE = Path(convscope.__file__).parents[1]
DIGITS = (
    "data=digits",
    "trainer.accelerator=cpu",
    "model.channels=[4,8]",
    "conv.stride=2",
    "data.batch_size=32",
)
Benchmark = Callable[..., tuple[int, str, str]]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, call: Benchmark) -> Benchmark:
    """Exit code, standard output and standard error of one command, whose windows are tiny."""
    monkeypatch.setattr(measure, "QUICK", Effort(3, 0.01, False, 1))
    monkeypatch.setattr(measure, "THOROUGH", Effort(7, 0.01, False, 3))
    monkeypatch.setattr(project, "end_to_end", lambda typed, epochs: EndToEnd("typed", epochs))
    monkeypatch.setattr(roofline, "measure_peaks", lambda hardware: Peaks(1e9, 1e9))
    return partial(call, "benchmark")


def test_help_is_one_page(benchmark: Benchmark) -> None:
    code, page, err = benchmark("--help")
    assert (code, err) == (0, "")
    assert max(map(len, page.splitlines())) <= 100
    for word in ("--quick", "--rounds", "--json", "--markdown", "scripts/benchmark.py"):
        assert word in page


def test_a_benchmark_is_printed_and_written(benchmark: Benchmark, tmp_path: Path) -> None:
    files = [f"--{kind}={tmp_path / kind}" for kind in ("json", "markdown")]
    code, out, err = benchmark("--quick", "--rounds", "2", *files, *DIGITS)
    assert code == 0, err
    assert err.splitlines()[1:] == ["1 of 1: k3-s2-p1, batch 32"]
    assert out.startswith("variant")
    document = json.loads((tmp_path / "json").read_text())
    (case,) = document["cases"]
    assert (case["variant"], case["batch_size"], len(case["rounds"])) == ("k3-s2-p1", 32, 2)
    for row in case["rounds"]:
        assert min(row["project"], row["plain"]) > 0
        # torchvision has no digits.
        assert "usual" not in row
    assert document["command"].startswith("python scripts/benchmark.py --quick --rounds 2 ")
    assert document["machine"]["accelerator"] == "cpu"
    assert document["prompt"] == {"command": "typed", "seconds": 1}
    assert (tmp_path / "markdown").read_text().startswith("| variant |")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["json", "markdown"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fast"], "unrecognized arguments: --fast: see --help"),
        (["--rounds", "0"], "--rounds must be a number from 1 to 9999, got 0"),
        (["--rounds="], "--rounds must be a number from 1 to 9999, got nothing"),
        (["--json", "nowhere/x.json"], "--json must name a file in an existing folder"),
        (["--markdown", "/dev/null"], "--markdown must name a file"),
        (["trainer.max_epochs=3"], "trainer.max_epochs cannot be given"),
        (["conv.stride=0"], "conv.stride must be at least 1, got 0"),
        (["conv.strid=2"], "conv.strid"),
        (["data=digits", "data.batch_size=9999"], "data.batch_size must be at most"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    benchmark: Benchmark, arguments: list[str], message: str
) -> None:
    code, out, err = benchmark(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err.splitlines()[0]


def test_ctrl_c_ends_it(benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "measure", stop)
    assert benchmark("--quick", *DIGITS)[0] == 130


def test_nobody_reads_on() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    script = ROOT / "scripts" / "benchmark.py"
    done = subprocess.run(
        [sys.executable, script, "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_end_to_end_is_the_time_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        seen.append(command)
        return SimpleNamespace(returncode=0)

    clock = iter([5.0, 11.0])
    monkeypatch.setattr(project.subprocess, "run", run)  # type: ignore[attr-defined]
    monkeypatch.setattr(project, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    found = end_to_end(["conv.stride=[2,1,1]"], 3)
    typed = "python scripts/train.py 'conv.stride=[2,1,1]' trainer.max_epochs=3"
    assert found == EndToEnd(typed, 6.0)
    (command,) = seen
    assert command[0] == sys.executable
    assert command[3:5] == ["conv.stride=[2,1,1]", "trainer.max_epochs=3"]
    assert not Path(command[5].removeprefix("output_dir=")).exists()


def test_a_process_that_fails_is_told_in_a_line() -> None:
    """With what it said last; a real one, so that it is known to start."""
    with pytest.raises(UserError, match=r"train.py conv.stride=0 .* failed: error: conv.stride"):
        end_to_end(["conv.stride=0"], 1)
