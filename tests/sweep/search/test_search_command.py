"""A search as people type it: real runs, real kills, and what is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import convscope

SOURCE = Path(convscope.__file__).parents[1]
SCRIPT = SOURCE.parent / "scripts" / "train.py"
TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=12",
)
SEARCH = ("-m", "hydra/sweeper=optuna", *TINY)
GRID = ("conv.kernel_size=1,3,5", "conv.stride=1,3", "conv.padding=0,half")
"""12 combinations, 10 variants; with two layers k5-s3-p0 is impossible: 28, 8, 4, none."""
BOTH = "objective=[val/accuracy,throughput/train_samples_per_sec]"


def records() -> dict[str, dict]:
    found = [json.loads(path.read_text()) for path in Path("outputs/default").glob("*/run.json")]
    return {record["variant"]: record for record in found}


def named(out: str) -> list[str]:
    (below,) = re.findall(r"\n(?:Best|Pareto front) by [^\n]*\n((?:- [^\n]*\n)*)", out)
    return re.findall(r"^- (k[^:]+):", below, re.MULTILINE)


def front(*metrics: str) -> list[str]:
    """By the definition, of metrics of which more is better; by the first, best first."""
    finished = [record for record in records().values() if record["status"] == "finished"]
    points = np.array([[record["metrics"][name] for name in metrics] for record in finished])
    kept = [
        (-point[0], record["variant"])
        for point, record in zip(points, finished, strict=True)
        if not ((points >= point).all(axis=1) & (points > point).any(axis=1)).any()
    ]
    return [variant for _, variant in sorted(kept)]


def test_killed_twice_it_goes_on_and_the_front_is_that_of_the_grid(command) -> None:
    typed = [*SEARCH, *GRID, BOTH, "trials=30"]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    ended: dict[str, str] = {}

    def check_nothing_was_trained_again() -> None:
        for variant, record in records().items():
            if record["status"] in ("finished", "skipped"):
                assert ended.setdefault(variant, record["ended_at"]) == record["ended_at"]

    for enough in (2, 5):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *typed],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(f"[{enough}/10]"):
                time.sleep(0.2)
                process.kill()
                break
        assert process.wait() == -signal.SIGKILL
        process.stderr.close()
        assert enough <= len(records()) < 10
        check_nothing_was_trained_again()

    last = command(*typed)
    assert last.code == 0
    check_nothing_was_trained_again()
    assert len(records()) == 10
    assert records()["k5-s3-p0"]["status"] == "skipped"
    assert last.err.splitlines()[-1] == "every variant of the space has been tried"
    assert named(last.out) == front("best_val_accuracy", "train_samples_per_sec")

    # A sweep over the same grid has nothing left to train.
    grid = command("-m", *TINY, *GRID)
    assert grid.code == 0
    assert "10 of 10 runs are done already\n" in grid.err
    check_nothing_was_trained_again()


def test_it_ends_as_a_sweep_does(command) -> None:
    ended = command(*SEARCH, "conv.stride=range(1,4)", "objective=val/accuracy", "trials=2")
    assert ended.code == 0
    told = ended.err.splitlines()
    assert told[0] == "3 combinations are 3 variants"
    assert re.fullmatch(r"\[1/2\] k3-s\d-p1 measured: validation \d+\.\d\d %(; .* left)?", told[1])
    assert told[2].startswith("[2/2] ")
    lines = ended.out.splitlines()
    assert lines[1] == "default: 2 runs of 2 variants (2 finished)"
    assert "Best by val/accuracy, of 2 variants measured:" in lines
    assert named(ended.out) == front("best_val_accuracy")
    assert "tensorboard --logdir outputs" in lines
    assert "report: outputs/default/report.html" in lines
    assert sorted(path.name for path in Path().iterdir()) == ["outputs"]
    # A run's own command trains it alone.
    for record in records().values():
        assert "trials" not in record["command"]
        assert "objective" not in record["command"]

    again = command(*SEARCH, "conv.stride=1,2,3", "trials=2")
    assert (again.code, again.out) == (0, ended.out)
    assert "2 of 2 trials are known already\n" in again.err


def test_a_preset_is_a_space_too(command) -> None:
    ended = command("sweep=grid", "hydra/sweeper=optuna", *TINY[:2], "plan=true", "conv.stride=2")
    assert ended.code == 0
    # Kernel 3, 5, 7 and padding 0, half; the stride that is typed wins. Two layers: 7 at stride 2
    # leaves 11, pooled 6, and then nothing.
    assert ended.err == "6 combinations are 6 variants, 1 of them impossible\n"


def test_plan_says_what_is_known_and_what_is_left(command) -> None:
    fixed = (*SEARCH, "conv.stride=3", "conv.kernel_size=3,5", "conv.padding=0,half")
    ended = command(*fixed, "plan=true")
    assert (ended.code, list(Path().iterdir())) == (0, [])
    assert re.fullmatch(
        r"4 trials left, with trials=30; about \d+:\d\d on this machine\n", ended.out
    )
    assert command(*fixed, "trials=1").code == 0
    ended = command(*fixed, "plan=true", "trials=3")
    known = "pruned" if "k5-s3-p0" in records() else "measured"
    assert ended.out.splitlines()[0] == f"1 trial known: 1 {known}"
    assert ended.out.splitlines()[1].startswith("2 trials left, with trials=3; about ")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_ends_it(signum: signal.Signals, code: int, command, on_each_line) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("epoch 1/"):
            os.kill(os.getpid(), signum)

    on_each_line(interrupt)
    ended = command(*SEARCH, "trainer.max_epochs=50", "conv.stride=2,3")
    assert ended.code == code
    assert ended.err.splitlines()[-1] == "the search was stopped; the same command resumes it"
    assert [record["status"] for record in records().values()] == ["interrupted"]
    assert "Traceback" not in ended.err


def test_without_optuna_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "optuna.py").write_text("raise ModuleNotFoundError('No module named optuna')")
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *SEARCH, "conv.stride=1,2"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{SOURCE}"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # By the processor's time, as others may be busy.
    assert after.ru_utime - before.ru_utime < 10
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: hydra/sweeper=optuna needs Optuna\n"
        "install it with: pip install 'convscope[optuna]'\n"
    )
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["optuna.py"]


SINGLE_PROCESS = (
    "a search chooses among values of conv.kernel_size, conv.stride, conv.padding,"
    " conv.dilation, conv.padding_mode only,"
)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            "-m hydra/sweeper=optnua conv.stride=1,2",
            "hydra/sweeper must be one of convscope, optuna, got optnua\n"
            "did you mean hydra/sweeper=optuna?",
        ),
        (
            "-m hydra/sweeper=basic conv.stride=1,2",
            "hydra/sweeper must be one of convscope, optuna, got basic",
        ),
        ("hydra/sweeper=optuna conv.stride=2", "hydra/sweeper=optuna is for many runs: add -m"),
        ("conv.stride=2 trials=5", "trials is for a search: add -m hydra/sweeper=optuna"),
        (
            "-m conv.stride=1,2 objective=val/accuracy",
            "objective is for a search: add -m hydra/sweeper=optuna",
        ),
        (
            "-m hydra/sweeper=optuna conv.stride=2",
            "a search needs values to choose from, such as conv.kernel_size=1,3,5,7",
        ),
        (
            "-m hydra/sweeper=optuna conv.stride=interval(1,3)",
            "conv.stride must name its values, as 1,2,3 or range(1,4) do, got interval(1,3)",
        ),
        (
            "-m hydra/sweeper=optuna conv.strid=1,2",
            "conv.strid is not a key of the config\ndid you mean conv.stride?",
        ),
        (
            "-m hydra/sweeper=optuna conv.stride=1,1,2",
            "conv.stride must name each value once, got 1 twice",
        ),
        ("-m hydra/sweeper=optuna conv.stride=1,0", "conv.stride must be at least 1, got 0"),
        (
            "-m hydra/sweeper=optuna conv.stride=1,2 optim.lr=0.1,0.2",
            f"{SINGLE_PROCESS} got optim.lr=0.1,0.2\n"
            "search with one optim.lr, then sweep the best variants with -m optim.lr=0.1,0.2",
        ),
        (
            "-m hydra/sweeper=optuna conv=k3-s1-p1,k5-s2-p2",
            f"{SINGLE_PROCESS} got conv=k3-s1-p1,k5-s2-p2\n"
            "search with one conv, then sweep the best variants with -m conv=k3-s1-p1,k5-s2-p2",
        ),
        ("-m hydra/sweeper=optuna conv.stride=1,2 trials=0", "trials must be at least 1, got 0"),
        (
            "-m hydra/sweeper=optuna conv.stride=1,2 repeat=3",
            "repeat must be 1 in a search, got 3\n"
            "search with one seed, then sweep the best variants with repeat=5",
        ),
        (
            "-m hydra/sweeper=optuna conv.stride=1,2 rerun=true",
            "rerun must be false in a search, which makes use of the runs that it finds, got true\n"
            "remove a run's folder to have it tried again, or search in another study",
        ),
        (
            "-m hydra/sweeper=optuna conv.stride=1,2 objective=test/accuracy",
            "objective cannot be test/accuracy: the test set cannot judge what it has chosen\n"
            "use objective=val/accuracy",
        ),
        (
            "-m hydra/sweeper=optuna conv.stride=1,2 objective=val/accuracy,summary/macs",
            "objective must be a list where there are several:"
            " 'objective=[val/accuracy,summary/macs]'",
        ),
        (
            "-m hydra/sweeper=optuna conv.stride=1,2 data=digits trainer.accelerator=cpu"
            " objective=memory/peak_mb",
            "objective cannot be memory/peak_mb: it is measured on CUDA, and this is cpu",
        ),
    ],
)
def test_bad_input_is_refused(typed: str, message: str, command) -> None:
    ended = command(*typed.split(" "))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith(f"error: {message}\n")
    assert len(ended.err.splitlines()) <= 3
    assert list(Path().iterdir()) == []
