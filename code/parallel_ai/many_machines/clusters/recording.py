"""Hosts and a batch system, where they can be made; else another's record."""

from collections.abc import Callable
from typing import Any

from parallel_ai.many_machines.clusters.networks import forbidden, inside
from parallel_ai.many_machines.clusters.queues import no_slurm
from parallel_ai.toolbox import records

PACKAGE = __name__.rpartition(".")[0]
TASKS, MEGABITS = 24, 100
SIZES = (1_000, 100_000, 1_000_000, 4_000_000)


def hosts_here() -> dict[str, Any]:
    """Measure a slow cable and pull a plug, in a network of our own."""
    done = inside(f"{PACKAGE}:hosts_experiment", TASKS, SIZES, MEGABITS)
    return {"tasks": TASKS, "sizes": SIZES, "megabits": MEGABITS, **done}


def slurm_here() -> dict[str, Any]:
    """Run jobs of a real SLURM, in a network of our own."""
    return dict(inside(f"{PACKAGE}:slurm_experiment", 2, 10))


def here_or_recorded(topic: str) -> tuple[dict[str, Any], str]:
    """Do an experiment where it can be done, or read how it went elsewhere.

    Parameters
    ----------
    topic : str
        "hosts" or "slurm".

    Returns
    -------
    tuple
        What the experiment returned, and where it took place.

    Raises
    ------
    LookupError
        It cannot be done here, and there is no record.
    """
    doing, forbidding = EXPERIMENTS[topic]
    reason = forbidding()
    if not reason:
        return doing(), "done here, when this page was built"
    found = records.read(f"clusters-{topic}")
    if not found:
        raise LookupError(f"{reason}; and there is no record of {topic}")
    where = f"recorded on {found[0].label}; not possible here: {reason}"
    return found[0].data, where


EXPERIMENTS: dict[
    str, tuple[Callable[[], dict[str, Any]], Callable[[], str]]
] = {
    "hosts": (hosts_here, forbidden),
    "slurm": (slurm_here, no_slurm),
}
RECORDS = {"clusters-hosts": hosts_here, "clusters-slurm": slurm_here}
