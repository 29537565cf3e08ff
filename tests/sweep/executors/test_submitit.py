"""Sweeps through submitit: as processes of this machine, and as jobs of a real SLURM."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from convscope.config.compose import compose_config
from convscope.cores import cores
from convscope.errors import UserError
from convscope.streams import log_to_terminal
from convscope.sweep.executors.choice import LocalOptions, make_executor
from convscope.sweep.executors.executor import JobFailure
from convscope.training.devices import resolve_hardware

from .slurm_cluster import Cluster, is_installed, slurm
from .typed_sweeps import GRID, TINY, Type, Typed, deaths, holder, pause, records, results

pytest.importorskip("submitit", reason="submitit is not installed")

from convscope.sweep.executors import submitit

LOCAL = "hydra/launcher=submitit_local"
SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.at_once=4")


def made(choice: str, folder: Path, **options: object) -> None:
    given = {"cpus_per_task": 1, "max_retries": 2, "folder": str(folder)} | options
    make_executor(choice, given).close()


def test_a_sweep_of_processes_survives_one_that_is_killed(
    typed: Type, alone: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    # Two runs: one for each core of a small machine.
    sweep = typed("-m", LOCAL, *TINY, "conv.stride=1,2")
    os.kill(holder(sweep.after_an_epoch("k3-s2-p1")), signal.SIGKILL)
    code, _, err = sweep.ended()
    assert code == 0
    (death,) = deaths(err)
    assert "ended: its process died (see" in death
    found = records(tmp_path)
    assert results(found) == {name: alone[name] for name in ("k3-s1-p1-seed0", "k3-s2-p1-seed0")}
    assert [record["environment"]["threads"] for record in found.values()] == [1] * 2
    assert [record["environment"]["shared"] for record in found.values()] == [cores() > 1] * 2


def test_a_job_that_raises_tells_why_in_a_line(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("CUDA is there")
    executor = submitit.LocalExecutor(
        LocalOptions(cpus_per_task=1, max_retries=0, folder=str(tmp_path))
    )
    asked = replace(compose_config([]).trainer, accelerator="cuda")
    job = executor.start(False, resolve_hardware, asked)
    job.wait()
    why = "trainer.accelerator=cuda: this machine has none that PyTorch can use"
    assert executor._result(job) == JobFailure(why, retryable=False)


def test_more_cores_than_there_are(tmp_path: Path) -> None:
    rule = f"cpus_per_task must be at most the {cores()} cores of this machine, got 999"
    with pytest.raises(UserError, match=rule):
        made("submitit_local", tmp_path, cpus_per_task=999)


def test_without_submitit_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.sweep.executors.choice.find_spec", lambda name: None)
    for choice in ("submitit_local", "submitit_slurm"):
        with pytest.raises(UserError) as refused:
            made(choice, tmp_path)
        assert str(refused.value) == (
            f"hydra/launcher={choice} needs submitit\n"
            "install it with: pip install 'convscope[slurm]'"
        )


def test_without_slurm_it_says_so(typed: Type, tmp_path: Path) -> None:
    code, out, err = typed("-m", *SLURM, *TINY, *GRID, PATH=str(tmp_path)).ended()
    assert (code, out) == (2, "")
    assert err == (
        "error: hydra/launcher=submitit_slurm needs SLURM's sbatch, which is not on this machine\n"
        "hydra/launcher=submitit_local and ray need no SLURM\n"
    )


needs_slurm = pytest.mark.skipif(
    not is_installed(), reason="slurm-wlm and munge are not installed, or this is not root"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with slurm(nodes=2, cpus=1) as started:
        yield started


def job_of(process: int) -> str:
    """SLURM's job that a process belongs to."""
    environment = Path(f"/proc/{process}/environ").read_text()
    (job,) = re.findall(r"SLURM_JOB_ID=([0-9]+)", environment)
    return str(job)


def start_again(sweep: Typed, cluster: Cluster, job: str) -> None:
    """Let a job that was queued again run: SLURM itself lets some wait for two minutes."""

    def is_on_its_way() -> bool:
        state = cluster.ask("squeue", "-h", "-j", job, "-t", "all", "-o", "%T").strip()
        if state == "PENDING":
            cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
        return state in ("PENDING", "CONFIGURING", "COMPLETED")

    sweep.wait_for(is_on_its_way)


@needs_slurm
def test_a_job_that_is_cancelled_is_submitted_again(
    typed: Type, tmp_path: Path, cluster: Cluster
) -> None:
    sweep = typed(
        *("-m", *SLURM, *TINY, "conv.stride=1,2", "throughput=exclusive"), **cluster.environment
    )
    cancelled = job_of(pause(sweep.after_an_epoch("k3-s1-p1")))
    cluster.ask("scancel", cancelled)
    code, _, err = sweep.ended()
    assert code == 0, err
    assert "ended: CANCELLED (see" in deaths(err)[0]
    found = records(tmp_path).values()
    assert [record["status"] for record in found] == ["finished"] * 2
    assert [record["environment"]["alone"]["threads"] for record in found] == [1, 1]
    # What the job that died has said is kept, the others' files are not.
    left = {path.name.partition("_")[0] for path in (tmp_path / "outputs/.submitit").glob("[!.]*")}
    assert left == {cancelled}


@needs_slurm
def test_what_no_node_has_is_refused_by_sbatch(
    typed: Type, tmp_path: Path, cluster: Cluster
) -> None:
    asked = typed("-m", *SLURM, "hydra.launcher.partition=gpu", *TINY, *GRID, **cluster.environment)
    code, out, err = asked.ended()
    assert (code, out) == (2, "")
    assert err == "error: sbatch takes no such job: invalid partition specified: gpu\n"
    assert records(tmp_path) == {}


@needs_slurm
def test_a_controller_that_does_not_answer(typed: Type, tmp_path: Path, cluster: Cluster) -> None:
    conf = tmp_path / "slurm.conf"
    there = Path(cluster.environment["SLURM_CONF"]).read_text()
    conf.write_text(re.sub("SlurmctldPort=[0-9]+", "SlurmctldPort=1", there))
    began = time.monotonic()
    code, _, err = typed("-m", *SLURM, *TINY, *GRID, SLURM_CONF=str(conf)).ended()
    assert time.monotonic() - began < 60
    assert code == 2
    assert err.startswith("error: SLURM's controller does not answer: ")
    assert err.count("\n") == 1


def test_what_else_sbatch_takes_is_handed_on(typed: Type, tmp_path: Path) -> None:
    """As README types it; `sbatch` here only keeps what it was given."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in {
        "scontrol": "exit 0",
        "sbatch": f'cat "${{@: -1}}" > {tmp_path}/given; echo "no such account" >&2; exit 1',
    }.items():
        (programs / name).write_text(f"#!/bin/bash\n{does}\n")
        (programs / name).chmod(0o755)
    extra = "hydra.launcher.additional_parameters={account: vision, qos: low}"
    sweep = typed("-m", *SLURM, extra, *TINY, *GRID, PATH=f"{programs}:{os.environ['PATH']}")
    code, _, err = sweep.ended()
    assert code == 2
    assert err.startswith("error: sbatch takes no such job: ")
    given = (tmp_path / "given").read_text()
    assert "#SBATCH --account=vision\n" in given
    assert "#SBATCH --qos=low\n" in given


def test_a_job_whose_end_nobody_tells_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    answers = iter([None, "1 RUNNING\n", "1 RUNNING\n2 PENDING\n", None, "2 FAILED\n"])

    def squeue(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        answer = next(answers)
        if answer is None:
            raise subprocess.TimeoutExpired(command, 8)
        return subprocess.CompletedProcess(command, 0, answer)

    monkeypatch.setattr(submitit, "_check_controller", lambda: None)
    monkeypatch.setattr(submitit, "_sbatch", lambda options, exclusive: None)
    monkeypatch.setattr(submitit.subprocess, "run", squeue)
    executor = submitit.SlurmExecutor(SimpleNamespace(max_retries=0))

    def ends() -> tuple[str | None, ...]:
        executor._queue.forget()
        return tuple(executor.end_reason(SimpleNamespace(job_id=number)) for number in ("1", "2"))

    gone = "not in the queue any more"
    with log_to_terminal(told.append):
        states = [ends() for _ in range(5)]
    assert states == [*((None, None), (None, gone), (None, None), (None, None), (gone, "FAILED"))]
    assert told == ["SLURM does not answer (no answer within 8 s): waiting until it does"] * 2


@needs_slurm
def test_a_sweep_of_jobs_survives_preemption_and_the_loss_of_a_node(
    typed: Type, alone: dict[str, dict[str, float]], tmp_path: Path, cluster: Cluster
) -> None:
    sweep = typed("-m", *SLURM, *TINY, *GRID, **cluster.environment)
    resumed = sweep.after_an_epoch("k3-s1-p1")
    preempted = job_of(pause(resumed))
    cluster.ask("scontrol", "requeue", preempted)
    start_again(sweep, cluster, preempted)

    sweep.wait_for(lambda: cluster.ask("squeue", "-h", "-t", "running", "-w", "n2"))
    cluster.lose("n2")

    code, _, err = sweep.ended()
    assert code == 0, err
    found = records(tmp_path)
    assert results(found) == alone
    assert json.loads((resumed / "run.json").read_text())["resumed_from_epoch"] >= 1
    assert {record["environment"]["shared"] for record in found.values()} == {True}
    assert list((tmp_path / "outputs" / ".submitit").glob("*result.pkl")) == []
