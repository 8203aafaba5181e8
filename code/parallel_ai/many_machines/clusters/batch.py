"""A cluster out of jobs of a batch system: SLURM.

On a shared machine of a university nobody logs in and starts workers. One
asks the batch system: so many cores, so much memory, so long. Each job that
it lets run is a worker (or some) that calls our scheduler.
"""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distributed.security import Security

if TYPE_CHECKING:
    from dask_jobqueue import SLURMCluster

# Workers go a little before SLURM would kill them, and hand over first what
# they hold; not all at the same time.
LEAVE_EARLY = ("--lifetime", "55m", "--lifetime-stagger", "4m")
ASKED: dict[str, Any] = {
    "cores": 4,
    "processes": 1,
    "memory": "8 GiB",
    "walltime": "01:00:00",
    "worker_extra_args": list(LEAVE_EARLY),
}


@contextmanager
def slurm_cluster(
    options: Mapping[str, Any],
    jobs: int = 1,
    security: Security | None = None,
) -> "Iterator[SLURMCluster]":
    """Ask SLURM for jobs that are workers; cancel them at the end.

    Parameters
    ----------
    options
        Of `dask_jobqueue.SLURMCluster`: what one job asks for. What is not
        named is taken from ``jobqueue.slurm`` of Dask's configuration.
    jobs
        How many.
    security
        Certificates, in files that all nodes see.
    """
    with _jobqueue().SLURMCluster(
        **{"security": security, **options}, n_workers=0
    ) as cluster:
        cluster.scale(jobs=jobs)
        yield cluster


def job_script(
    options: Mapping[str, Any], security: Security | None = None
) -> str:
    """Return the script that each job would be, without asking for any.

    It starts a scheduler on this machine for a moment, on loopback unless
    the options say otherwise.
    """
    scheduler = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    wanted = {
        "security": security,
        "scheduler_options": scheduler,
        **options,
    }
    with _jobqueue().SLURMCluster(**wanted) as cluster:
        return str(cluster.job_script())


def _jobqueue() -> Any:
    """Import dask_jobqueue, which takes Ctrl-C over, and give it back."""
    before = signal.getsignal(signal.SIGINT)
    import dask_jobqueue

    if signal.getsignal(signal.SIGINT) is not before:
        signal.signal(signal.SIGINT, before)
    return dask_jobqueue


def directives(script: str) -> dict[str, str]:
    """Return what a job script asks for: option and value of each #SBATCH."""
    found = {}
    for line in script.splitlines():
        if line.startswith("#SBATCH "):
            option, _, value = (
                line.removeprefix("#SBATCH ")
                .replace("=", " ", 1)
                .partition(" ")
            )
            found[option] = value
    return found
