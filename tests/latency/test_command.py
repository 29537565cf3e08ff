"""`compare.py STUDY --latency` and `latency=true`, as a person types them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from convscope.errors import UserError
from convscope.latency import command as module
from convscope.latency.command import record_latency, with_latency
from convscope.metrics import latencies
from convscope.runs.record import RunRecord, read_record
from convscope.sweep.command import check_latency
from convscope.training.distributed.processes import child
from convscope.training.train import train

from ..cli.conftest import Called, call  # noqa: F401 (a fixture)

SHORT = (
    *("data=digits", "trainer.accelerator=cpu", "model.channels=[4,8]", "optim.lr=0.01"),
    *("trainer.max_epochs=1", "trainer.limit_train_batches=2"),
)
SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def trained(ask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three variants, one of them with two seeds."""
    output = tmp_path_factory.mktemp("trained")
    for stride, seed in ((1, 0), (1, 1), (2, 0), (3, 0)):
        request = ask(output, *SHORT, f"conv.stride={stride}", f"seed={seed}", "study=three")
        assert train(request).status == "finished"
    return output / "three"


@pytest.fixture
def folders(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A copy of them in `outputs/three`, by variant and seed."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, Path("outputs/three"))
    return sorted(Path("outputs/three").iterdir())


def record_of(folder: Path) -> RunRecord:
    return read_record(folder / "run.json")


def measured_at(folder: Path) -> Any:
    return record_of(folder).environment.get("latency", {}).get("measured_at")


def test_it_measures_and_compares(call: Called, folders: list[Path]) -> None:  # noqa: F811
    (folders[3] / "checkpoints" / "best.ckpt").write_bytes(b"")
    code, out, err = call("compare", "three", "--latency", "--format", "json")
    assert code == 0
    problem, done = err.splitlines()
    assert problem.startswith(f"{folders[3].name} not measured: cannot read ")
    assert done == "latency: 2 networks measured in turns"
    rows = {row["variant"]: row for row in json.loads(out)["rows"]}
    assert [rows["k3-s3-p1"][name] for name in latencies()] == [None] * 4
    for folder in folders[:3]:
        record = record_of(folder)
        for name in latencies():
            assert rows[record.variant][name] == record.metrics[name] > 0
    assert len({measured_at(folder) for folder in folders[:3]}) == 1

    before = [measured_at(folder) for folder in folders]
    code, again, _ = call("compare", "three", "--latency", "--format", "json")
    assert code == 0
    assert [row.keys() for row in json.loads(again)["rows"]] == [
        row.keys() for row in json.loads(out)["rows"]
    ]
    after = [measured_at(folder) for folder in folders]
    assert all(new != old for new, old in zip(after[:3], before[:3], strict=True))
    assert after[3] is None

    code, table, err = call("compare", "three")
    assert (code, err) == (0, "")
    head, _, *lines = table[table.index("   variant") :].splitlines()
    assert "  b1 p50 ms  b1 p95 ms  b256 p50 ms  b256 p95 ms  " in head
    (line,) = [line.split() for line in lines[:3] if "k3-s3-p1" in line]
    assert line[-8:-4] == ["–"] * 4


def test_a_study_without_a_usable_checkpoint(call: Called, folders: list[Path]) -> None:  # noqa: F811
    for folder in folders:
        (folder / "checkpoints" / "best.ckpt").unlink()
    code, out, err = call("compare", "three", "--latency")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "error: latency was not measured: no finished run has a usable checkpoint"
    )
    assert len(err.splitlines()) == 5


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("diff", "k3-s1-p1", "k3-s2-p1", "--latency"), "--latency is not for diff: see --help"),
        (("--latency", "no-such"), "run must be a run in outputs or its folder, got 'no-such'"),
    ],
)
def test_bad_input(call: Called, folders: list[Path], typed: tuple[str, ...], says: str) -> None:  # noqa: F811
    assert call("compare", *typed) == (2, "", f"error: {says}\n")
    assert not any(map(measured_at, folders))


def test_a_study_that_has_no_finished_run(
    call: Called,  # noqa: F811
    make_study: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_study(Path("outputs/none"), [7], [3], [0], [0])
    assert call("compare", "none", "--latency") == (
        *(2, "", "error: there is no finished run in none\n"),
    )


def test_a_process_that_dies_costs_a_line(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    (tmp_path / "dying.py").write_text(
        "import os, signal\ndef measure(_): os.kill(os.getpid(), 9)\n"
    )
    child().end()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(module, "MEASURE", "dying:measure")
    with pytest.raises(UserError, match=r"the process was killed by SIGKILL \(too little memory"):
        record_latency(folders)
    records = [record_of(folder) for folder in folders]
    # The runs of a sweep are trained all the same.
    assert with_latency(records) == records
    monkeypatch.undo()


def test_a_command_that_is_killed_leaves_whole_records(folders: list[Path]) -> None:
    """It is killed once its process has loaded the networks, which it says by the line of a bar."""
    before = [(folder / "run.json").read_bytes() for folder in folders]
    code = (
        "import os, signal, sys\n"
        "from convscope.latency import measure as module\n"
        "def killed(turns, calls, rounds):\n"
        "    for number in rounds:\n"
        "        for subject, turn in turns.items(): turn(calls[subject])\n"
        "        if number == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "module.in_turns = killed\n"
        "from pathlib import Path\n"
        "module.measure([Path(one) for one in sys.argv[1:]])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, *folders], check=False, timeout=300)
    assert killed.returncode == -9
    assert [(folder / "run.json").read_bytes() for folder in folders] == before
    assert len(record_latency(folders)) == 4


def test_a_sweep_measures_when_all_are_trained(command: Callable[..., Any]) -> None:
    sweep = ("-m", *SHORT, "latency=true", "study=swept")
    ended = command(*sweep, "conv.stride=1,2", "repeat=2")
    assert ended.code == 0, ended.err
    lines = ended.err.splitlines()
    assert lines[-1] == "latency: 2 networks measured in turns"
    assert lines[-2].startswith("took ")
    assert "b256 p95 ms" in ended.out
    runs = sorted(Path("outputs/swept").glob("*/run.json"))
    first = {measured_at(run.parent) for run in runs}
    assert (len(runs), len(first)) == (4, 1)
    assert "b256 p95 ms" in Path("outputs/swept/report.html").read_text("utf-8")

    # All have it: nothing is measured. One has not: all are, so that the machine is the same.
    ended = command(*sweep, "conv.stride=1,2", "repeat=2")
    assert "latency:" not in ended.err
    assert {measured_at(run.parent) for run in runs} == first
    ended = command(*sweep, "conv.stride=1,2,3")
    assert ended.err.splitlines()[-1] == "latency: 3 networks measured in turns"
    now = [measured_at(run.parent) for run in sorted(Path("outputs/swept").glob("*/run.json"))]
    assert sum(one in first for one in now) == 2
    assert len(set(now)) == 2


def test_a_search_measures_when_it_ends(command: Callable[..., Any]) -> None:
    search = ("-m", "hydra/sweeper=optuna", *SHORT, "conv.stride=1,2", "trials=2")
    ended = command(*search, "latency=true", "study=searched")
    assert ended.code == 0, ended.err
    assert "latency: 2 networks measured in turns" in ended.err.splitlines()
    assert "b256 p95 ms" in ended.out
    runs = Path("outputs/searched").glob("*/run.json")
    assert len({measured_at(run.parent) for run in runs} - {None}) == 1


def test_a_run_measures_when_it_is_trained(command: Callable[..., Any]) -> None:
    plain = command(*SHORT)
    assert "latency" not in plain.out + plain.err
    (folder,) = Path("outputs/default").iterdir()
    # The same run: the key is no part of its identity.
    ended = command(*SHORT, "latency=true")
    assert ended.code == 0
    already, done = ended.err.splitlines()
    assert already == f"{folder.name} is already finished; rerun=true retrains it"
    assert done == "latency: 1 network measured in turns"
    assert [*Path("outputs/default").iterdir()] == [folder]
    (line,) = [line for line in ended.out.splitlines() if line.startswith("latency:")]
    assert line.count(" ms for ") == 4

    tried = command(*SHORT, "latency=true", "trainer.fast_dev_run=true", "seed=1")
    assert tried.code == 0
    assert "latency" not in tried.out + tried.err


def test_other_machines_are_not_measured_from_this_one() -> None:
    config: Any = SimpleNamespace(latency=True)
    check_latency(config, SimpleNamespace(is_local=True))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="latency must be false where other machines train"):
        check_latency(config, SimpleNamespace(is_local=False))  # type: ignore[arg-type]
    config.latency = False
    check_latency(config, SimpleNamespace(is_local=False))  # type: ignore[arg-type]


def test_comparing_without_it_starts_no_process(folders: list[Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", SCRIPTS / "compare.py", "three"],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "convscope.report.commands" in done.stderr
    assert not any(name in done.stderr for name in ("convscope.latency", "| torch\n"))
