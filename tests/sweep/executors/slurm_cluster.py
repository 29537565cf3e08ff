"""A real SLURM of one machine, from Debian's packages slurm-wlm and munge, without systemd.

As a script it starts one and prints the variable that its commands need, until standard input ends:

    python tests/sweep/executors/slurm_cluster.py [NODES]
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=20
MinJobAge=300
ReturnToService=2
SlurmdTimeout=10
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
{nodes}
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=high Nodes=ALL PriorityTier=10 MaxTime=INFINITE State=UP
"""
NODE = "NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus}"


@dataclass(frozen=True)
class Cluster:
    environment: dict[str, str]
    """What SLURM's commands need to find it."""
    nodes: dict[str, subprocess.Popen[bytes]]
    """The daemon of each node, by the node's name."""

    def ask(self, *command: str) -> str:
        return subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, check=True
        ).stdout

    def lose(self, node: str) -> None:
        """Kill a node's daemon and all that runs there, as a power cut does."""
        self.nodes[node].kill()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"SLURMD_NODENAME={node}\0".encode() in (process / "environ").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)


def is_installed() -> bool:
    return sys.platform == "linux" and os.getuid() == 0 and all(map(shutil.which, PROGRAMS))


@contextlib.contextmanager
def slurm(nodes: int = 1, cpus: int = 2) -> Iterator[Cluster]:
    """Start munged, slurmctld and a slurmd per node; end them all at the end."""
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as name:
        folder = Path(name)
        _write_config(folder, nodes, cpus)
        environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        with contextlib.ExitStack() as started:

            def start(*command: str) -> subprocess.Popen[bytes]:
                process = subprocess.Popen(
                    command,
                    env=os.environ | environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                started.callback(_end, process)
                return process

            start(*_munged(folder))
            _wait_for((folder / "munge.socket").exists)
            start("slurmctld", "-D")
            names = [f"n{number}" for number in range(1, nodes + 1)]
            cluster = Cluster(
                environment, {name: start("slurmd", "-D", "-N", name) for name in names}
            )

            def is_up() -> bool:
                with contextlib.suppress(subprocess.CalledProcessError):
                    return (
                        cluster.ask("sinfo", "-h", "-N", "-p", "low", "-o", "%T")
                        == "idle\n" * nodes
                    )
                return False

            _wait_for(is_up)
            try:
                yield cluster
            finally:
                with contextlib.suppress(subprocess.CalledProcessError):
                    cluster.ask("scancel", "--user=root")
                    _wait_for(lambda: not cluster.ask("squeue", "-h"))


def _write_config(folder: Path, nodes: int, cpus: int) -> None:
    host = socket.gethostname().partition(".")[0]
    ports = iter(_free_ports(nodes + 1))
    (folder / "state").mkdir()
    for number in range(1, nodes + 1):
        (folder / f"spool-n{number}").mkdir()
    controller = next(ports)
    lines = [
        NODE.format(number=number, host=host, port=next(ports), cpus=cpus)
        for number in range(1, nodes + 1)
    ]
    (folder / "slurm.conf").write_text(
        CONFIG.format(folder=folder, host=host, port=controller, nodes="\n".join(lines))
    )


def _munged(folder: Path) -> list[str]:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o400)
    # Its own checks of who owns which folder are for a daemon of the whole machine.
    return [
        *("munged", "--foreground", "--force", f"--key-file={key}"),
        f"--socket={folder}/munge.socket",
        *(f"--{kind}-file={folder}/munge.{kind}" for kind in ("pid", "seed", "log")),
    ]


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(number)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]


def _wait_for(condition: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError("SLURM does not come up")
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    with slurm(*map(int, sys.argv[1:])) as running:
        for key, value in running.environment.items():
            print(f"export {key}={value}", flush=True)
        sys.stdin.read()
