"""The same training by `run_ddp` and by Ray Train, for a record.

Ray Train wants pydantic, and rank 0 of it listens on every address: so it
runs where that package is, in networks of its own.
"""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from parallel_ai.training import data_parallel as dp
from parallel_ai.training.on_dask.faults import open_doors
from parallel_ai.training.on_dask.program import RANKS, train_fashion
from parallel_ai.training.on_dask.running import run_ddp
from parallel_ai.training.on_dask.templates import train_by_ray

Way = Callable[[dict[str, Any]], dict[str, Any]]


def fashion_anywhere(given: dict[str, Any]) -> dict[str, Any]:
    """Train as one rank, whoever has started it; tell what it was given.

    Parameters
    ----------
    given : dict
        The fields of `data_parallel.Options`.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as many for all: sums in one order
    accuracy = train_fashion(dp.Options(**given))["accuracy"]
    return {
        "accuracy": accuracy, "threads": threads, "doors": open_doors()[1],
    }  # fmt: skip


def fashion_by_dask(given: dict[str, Any]) -> dict[str, Any]:
    """Let workers of a Dask cluster train; return what rank 0 returned."""
    from parallel_ai.toolbox import cluster

    with cluster.local(RANKS, memory="3GB") as client:
        found: dict[str, Any] = run_ddp(client, fashion_anywhere, given)[0]
    return found


def fashion_by_ray(given: dict[str, Any]) -> dict[str, Any]:
    """Let Ray's actors train; return what rank 0 returned."""
    from parallel_ai.many_machines.actors import ray_local

    with (
        tempfile.TemporaryDirectory() as folder,
        ray_local(RANKS + 1),  # the controller is an actor, too
    ):
        result = train_by_ray(fashion_anywhere, given, RANKS, folder=folder)
    found: dict[str, Any] = result.return_value
    return found


WAYS: dict[str, Way] = {
    "run_ddp": fashion_by_dask,
    "Ray Train": fashion_by_ray,
}


def both_ways(pictures: int = 2560) -> dict[str, Any]:
    """Train both ways, and compare the weights."""
    found: dict[str, Any] = {"ways": {}}
    weights = []
    with tempfile.TemporaryDirectory() as folder:
        for name, way in WAYS.items():
            file = Path(folder, f"{name}.pt")
            options = dp.Options(pictures=pictures, checkpoint=str(file))
            found["ways"][name] = way(asdict(options))
            weights.append(torch.load(file, weights_only=True)["model"])
    a, b = weights
    found["same weights"] = all(torch.equal(a[k], b[k]) for k in a)
    return found


def _apart() -> dict[str, Any]:
    """Do so in networks of one's own, where loopback is down at first."""
    from parallel_ai.many_machines.clusters import networks

    with networks.lan([]):
        return both_ways()


def record() -> dict[str, Any]:
    """Do both in networks of their own.

    Raises
    ------
    PackageNotFoundError
        Ray Train's package is not there.
    RuntimeError
        Such networks are not permitted here, or one of the ways failed.
    """
    from parallel_ai.many_machines.clusters import networks

    versions = {name: metadata.version(name) for name in ("ray", "pydantic")}
    if reason := networks.forbidden():
        raise RuntimeError(reason)
    found = networks.inside(f"{__name__}:_apart", seconds=600)
    return {**found, "versions": versions}
