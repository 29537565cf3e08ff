"""Sweeps as tasks of a real Ray."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from convscope.config.compose import compose_config
from convscope.errors import UserError
from convscope.sweep.executors.choice import RayOptions, checked_options, make_executor

from .typed_sweeps import GRID, TINY, Type, deaths, holder, records, results

ray = pytest.importorskip("ray", reason="Ray is not installed")

RAY = ("hydra/launcher=ray", "hydra.launcher.init.num_cpus=2")
OPTIONS = {
    "num_cpus": 1,
    "num_gpus": 0,
    "max_retries": 2,
    "init": {"address": "local", "num_cpus": 2, "include_dashboard": False},
}


def test_a_sweep_survives_its_workers_and_its_driver(
    typed: Type, alone: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    first = typed("-m", *RAY, *TINY, *GRID)
    os.kill(holder(first.after_an_epoch("k3-s1-p1", "seed0")), signal.SIGKILL)
    first.wait_for(lambda: any(r["status"] == "finished" for r in records(tmp_path).values()))
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()

    again = typed("-m", *RAY, *TINY, *GRID, "throughput=exclusive")
    code, _, err = again.ended()
    assert code == 0
    assert "error" not in err.lower()
    found = records(tmp_path)
    assert {record["status"] for record in found.values()} == {"finished"}
    assert results(found) == alone
    for record in found.values():
        environment = record["environment"]
        assert (environment["shared"], environment["threads"]) == (True, 1)
        assert environment["alone"]["threads"] == 2
        assert environment["alone"]["while_training"].keys() == {"train_samples_per_sec", "step_ms"}
    assert "measuring 4 runs again, each exclusively" in err
    assert "2 runs at a time" in err
    (report,) = tmp_path.glob("outputs/*/report.md")
    assert "while others trained" not in err + report.read_text()


def test_a_run_whose_worker_is_killed_is_resumed(typed: Type, tmp_path: Path) -> None:
    sweep = typed("-m", *RAY, *TINY, "conv.stride=1,2")
    trainer = holder(sweep.after_an_epoch("k3-s1-p1"))
    priorities = [os.getpriority(os.PRIO_PROCESS, process) for process in (trainer, os.getpid())]
    assert priorities[0] == priorities[1]
    os.kill(trainer, signal.SIGKILL)
    code, out, err = sweep.ended()
    assert code == 0
    (death,) = deaths(err)
    assert death == "its process was killed; tried again, 1 of 2"
    found = records(tmp_path)
    assert {record["status"] for record in found.values()} == {"finished"}
    assert found["k3-s1-p1-seed0"]["resumed_from_epoch"] >= 1
    assert "raylet" not in out + err
    assert "throughput=exclusive measures each again exclusively" in err
    (report,) = tmp_path.glob("outputs/*/report.md")
    assert "Samples/s of all runs were measured while others trained" in report.read_text()


def test_two_workers_prune_by_what_is_on_the_disk(typed: Type, tmp_path: Path) -> None:
    grid = (*RAY, *TINY, "conv.kernel_size=1,3,5,7", "conv.stride=1,2", "prune=true")
    first = typed("-m", *grid)
    os.kill(holder(first.after_an_epoch("k3-s2-p1")), signal.SIGKILL)
    first.wait_for(lambda: any(r["status"] == "pruned" for r in records(tmp_path).values()))
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    code, _, err = typed("-m", *grid).ended()
    assert code == 0
    assert " of 8 variants pruned: " in err
    found = records(tmp_path)
    assert {record["status"] for record in found.values()} == {"finished", "pruned"}
    for record in found.values():
        history = tmp_path / "outputs" / "default" / record["name"] / "history.csv"
        epochs = len(history.read_text().splitlines()) - 1
        if record["status"] == "finished":
            assert epochs == 30
        else:
            # A quarter of 30 epochs, rounded up, and half of them.
            assert epochs in (8, 15)
            assert record["reason"].startswith(f"after {epochs} of 30 epochs its validation")


def test_ctrl_c_ends_all_and_the_same_command_resumes(typed: Type, tmp_path: Path) -> None:
    sweep = typed("-m", *RAY, *TINY, *GRID, "trainer.max_epochs=3000")
    sweep.after_an_epoch("k3-s1-p1")
    sweep.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    code, _, err = sweep.ended()
    assert time.monotonic() - began < 60
    assert code == 130
    assert "the sweep was stopped; the same command resumes it" in err
    found = records(tmp_path)
    assert {record["status"] for record in found.values()} == {"interrupted"}


@pytest.mark.parametrize(
    ("process", "reason"),
    [
        ("raylet/raylet", "Ray was lost on this machine: its raylet died"),
        ("gcs/gcs_server", "Ray's cluster was lost: its head (GCS) does not answer"),
    ],
)
def test_a_lost_cluster_ends_the_sweep_with_its_table(
    process: str, reason: str, typed: Type, tmp_path: Path
) -> None:
    sweep = typed("-m", *RAY, *TINY, *GRID, "trainer.max_epochs=100000")
    sweep.after_an_epoch("k3-s1-p1", "seed0")
    os.kill(child_of(sweep.process.pid, process), signal.SIGKILL)
    code, out, err = sweep.ended()
    assert code == 1
    assert err.count(reason) == 1
    assert "the sweep was stopped; the same command resumes it" in err
    assert "tried again" not in err
    assert f"interrupted, seed 0: {reason}" in out
    for word in ("Traceback", "state-dump", "raylet.out"):
        assert word not in out + err


def child_of(parent: int, program: str) -> int:
    """Process id of a process's child whose command line has this in it."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace")
            status = (folder / "status").read_text()
        except OSError:
            continue
        if program in words.split("\0")[0] and f"PPid:\t{parent}\n" in status:
            return int(folder.name)
    raise AssertionError(f"{parent} has no child {program}")


def test_ctrl_c_while_ray_ends_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "shutdown", lambda: os.kill(os.getpid(), signal.SIGINT))
    made()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def made(**options: object) -> None:
    make_executor("ray", OPTIONS | options).close()


def test_more_than_the_machine_has_is_refused_before_ray_starts() -> None:
    with pytest.raises(
        UserError, match="num_cpus must be at most the 2 CPUs of one machine, got 3"
    ):
        made(num_cpus=3)
    with pytest.raises(UserError, match="num_gpus must be at most the 1 GPUs of one machine"):
        made(num_gpus=2, init={"address": "local", "num_gpus": 1})
    with pytest.raises(UserError, match="num_gpus must be a whole number where it is above 1, got"):
        made(num_gpus=1.5, init={"address": "local", "num_gpus": 2})
    assert not ray.is_initialized()


def options(num_cpus: int, num_gpus: float) -> RayOptions:
    return RayOptions(num_cpus, num_gpus, max_retries=0, init={})


def test_runs_that_a_machine_takes_at_once() -> None:
    """A run's share of a GPU is a share of one: 0.4 goes twice into each."""
    from convscope.sweep.executors.ray import _check_fits, _slots

    machine = {"CPU": 16.0, "GPU": 2.0}
    for num_cpus, num_gpus, room in (
        *((1, 0, 16), (5, 0, 3), (1, 0.4, 4), (1, 0.25, 8), (4, 0.25, 4)),
        *((1, 1, 2), (1, 2, 1), (1, 0.6, 2), (32, 0, 0)),
    ):
        assert _slots(machine, options(num_cpus, num_gpus)) == room
    # The one has the CPUs, the other the GPUs.
    unlike = [{"CPU": 64.0}, {"CPU": 8.0, "GPU": 8.0}]
    with pytest.raises(
        UserError, match=r"num_cpus=16 and hydra.launcher.num_gpus=0.5: no machine has both"
    ):
        _check_fits(unlike, options(16, 0.5))
    _check_fits(unlike, options(8, 0.5))


def process(*given: object) -> int:
    return os.getpid()


def test_runs_on_gpus_have_a_process_each_and_the_machine_of_a_run_alone_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CUDA stays on the GPU that a process had first. Ray believes in GPUs that it is told of."""
    from convscope.sweep.executors.ray import RayExecutor

    given = {**OPTIONS, "num_gpus": 1, "init": {**OPTIONS["init"], "num_gpus": 1}}
    executor = RayExecutor(checked_options(RayOptions, given))
    try:
        executor._nodes()
        processes = ray.get([executor._task(process, 1, gpus).remote() for gpus in (1, 1, 1)])
        assert len(set(processes)) == 3
        # Beside a larger machine without a GPU.
        monkeypatch.setattr(executor, "_nodes", lambda: [{"CPU": 64.0}, {"CPU": 2.0, "GPU": 1.0}])
        monkeypatch.setattr("convscope.sweep.executors.ray.run_job", process)
        monkeypatch.setattr("convscope.sweep.executors.ray.to_remote", lambda request: request.id)
        executor.submit(SimpleNamespace(id="a run"), exclusive=True)
        assert executor.next_ended(timeout=60) is not None
    finally:
        executor.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where nothing answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def another() -> Iterator[str]:
    """An address where something answers that is no Ray."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


MUST = "^hydra.launcher.init.address must be where a Ray cluster answers, got"


def test_an_address_where_no_ray_answers(silent: str, another: str) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=rf"{MUST} {silent} \(.*refused.*\)\nleave it out, and Ray"):
        made(init={"address": silent})
    with pytest.raises(UserError, match=rf"{MUST} {another} \(.+\)\nleave it out, and Ray is"):
        made(init={"address": another})
    assert time.monotonic() - began < 60


def test_a_cluster_that_is_gone(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", silent)
    port = silent.partition(":")[2]
    with pytest.raises(UserError, match=rf"{MUST} auto \(\S+:{port}: .*refused.*\)"):
        made(init={"address": "auto"})


def test_no_cluster_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(UserError, match=rf"{MUST} auto \(Could not find any running Ray"):
        made(init={"address": "auto"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_cpus": 0}, "hydra.launcher.num_cpus must be at least 1, got 0"),
        ({"num_gpus": -0.5}, "hydra.launcher.num_gpus must be at least 0, got -0.5"),
        ({"num_gpus": "one"}, "hydra.launcher.num_gpus: "),
        (
            {"cpus": 1},
            "hydra.launcher.cpus is not a key of this launcher\nit has num_cpus",
        ),
    ],
)
def test_options_that_mean_nothing(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(**options)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convscope.sweep.executors.choice.find_spec", lambda name: None)
    with pytest.raises(UserError) as refused:
        made()
    assert str(refused.value) == (
        "hydra/launcher=ray needs ray\ninstall it with: pip install 'convscope[ray]'"
    )


def test_one_run_needs_no_ray(typed: Type) -> None:
    code, out, err = typed("hydra/launcher=ray", *TINY).ended()
    assert (code, out) == (2, "")
    assert err == "error: hydra/launcher=ray is for many runs: add -m, or repeat=N\n"


def test_a_device_that_a_cluster_lacks_is_told_without_a_traceback() -> None:
    if torch.cuda.is_available():
        pytest.skip("CUDA is there")
    from convscope.sweep.executors.ray import RayExecutor

    options = OPTIONS | {"init": {**OPTIONS["init"], "log_to_driver": False}}
    executor = RayExecutor(checked_options(RayOptions, options))
    executor._is_local = False  # As on a cluster, a task tells what there is.
    try:
        with pytest.raises(UserError) as refused:
            executor.hardware(replace(compose_config([]).trainer, accelerator="cuda"))
    finally:
        executor.close()
    assert str(refused.value) == (
        "trainer.accelerator=cuda: this machine has none that PyTorch can use\n"
        "leave it out, or set trainer.accelerator=cpu"
    )
