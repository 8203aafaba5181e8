"""A batch system to try things on: a real SLURM, on one machine.

Debian's own packages (``slurmctld slurmd slurm-client munge``), with settings
and a key of their own, in a network namespace: within `inside`, and as root,
because SLURM's daemon starts jobs in the names of others.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from parallel_ai.many_machines.clusters.certificates import secure
from parallel_ai.many_machines.clusters.connecting import connect
from parallel_ai.many_machines.clusters.networks import forbidden, lan
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.cluster import LOOPBACK, wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
NODE = "node"


def no_slurm() -> str:
    """Say why SLURM cannot be tried here; empty if it can."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    for program in PROGRAMS:
        if shutil.which(program, path=path) is None:
            return f"there is no program {program}"
    return "only root can" if os.geteuid() else forbidden()


def slurm_settings(room: Path) -> str:
    """Write SLURM's settings: one node, which is this machine."""
    here = socket.gethostname().partition(".")[0]
    megabytes = machine.memory() // 2**20
    settings = {
        "ClusterName": "ours",
        "SlurmctldHost": f"{here}({LOOPBACK})",
        "SlurmUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={room}/munge.socket",
        "CredType": "cred/munge",
        "CommunicationParameters": "NoCtldInAddrAny,NoInAddrAny",
        "StateSaveLocation": room / "state",
        "SlurmdSpoolDir": room / "spool",
        "SlurmctldPidFile": room / "slurmctld.pid",
        "SlurmdPidFile": room / "slurmd.pid",
        "SlurmctldLogFile": room / "slurmctld.log",
        "SlurmdLogFile": room / "slurmd.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "MpiDefault": "none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "SchedulerParameters": "sched_interval=1,sched_min_interval=1",
        "KillWait": 5,  # seconds for a worker that looks for its scheduler
        "NodeName": f"{NODE} NodeHostname={here} NodeAddr={LOOPBACK}"
        f" CPUs={os.cpu_count()} RealMemory={megabytes}",
        "PartitionName": f"all Nodes={NODE} Default=YES State=UP",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


@contextmanager
def own_slurm() -> Iterator[Path]:
    """Start SLURM for ourselves; only within `inside`, which ends it.

    Yields
    ------
    Path
        A folder for files, which the jobs see.
    """
    with TemporaryDirectory() as name, lan([]):
        room = Path(name)
        room.chmod(0o755)
        (room / "state").mkdir()
        (room / "spool").mkdir()
        key = room / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        (room / "slurm.conf").write_text(slurm_settings(room))
        os.environ["SLURM_CONF"] = str(room / "slurm.conf")
        os.environ["PATH"] += ":/usr/sbin"
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid"}
        files |= {"log-file": "log", "seed-file": "seed"}
        paths = [f"--{o}={room}/munge.{end}" for o, end in files.items()]
        _quietly("munged", "--force", *paths)
        _quietly("slurmctld", "-c")
        _quietly("slurmd", "-N", NODE)
        wait_until(
            lambda: "idle" in _quietly("sinfo", "-h", "-o", "%T"),
            "SLURM's node to be idle",
            30,
        )
        yield room


def slurm_experiment(jobs: int, tasks: int) -> dict[str, Any]:
    """Connect to a cluster out of SLURM's jobs, with TLS; for `inside`.

    Returns
    -------
    dict
        ``said``: what `connect` said; ``queue``: names of the jobs while
        they ran; ``results``; ``left``: jobs that remained at the end.
    """
    found: dict[str, Any] = {}
    with own_slurm() as room:
        options = {
            "cores": 1,
            "processes": 1,
            "memory": "300 MiB",
            "walltime": "00:10:00",
            "interface": "lo",
            "local_directory": str(room),
            "log_directory": str(room),
            "worker_extra_args": [
                *("--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0")
            ],
            "scheduler_options": {
                "host": LOOPBACK,
                "dashboard": False,
                "dashboard_address": f"{LOOPBACK}:0",
            },
        }
        with connect(
            slurm=options,
            workers=jobs,
            security=secure(room),
            say=lambda text: found.update(said=text),
        ) as client:
            found["queue"] = _jobs()
            found["results"] = client.gather(client.map(abs, range(-tasks, 0)))
        wait_until(lambda: not _jobs(), "the jobs to be cancelled", 30)
        found["left"] = _jobs()
    return found


def _jobs() -> list[str]:
    return _quietly("squeue", "-h", "-o", "%j %T").splitlines()


def _quietly(*command: str) -> str:
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
