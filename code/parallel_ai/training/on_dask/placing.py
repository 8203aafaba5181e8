"""Who is which rank, on which host, with which GPU, over which network."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:  # a rank needs no Dask, and imports faster without it
    from distributed import Client

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Where a rank runs.

    Attributes
    ----------
    ident : str
        The worker's own folder: one that was restarted has another.
    threads : int
        That the cluster's owner granted the worker; the rank gets as many.
    """

    rank: int
    worker: str
    host: str
    ident: str
    threads: int


def places(workers: Mapping[str, Mapping[str, Any]]) -> list[Place]:
    """Give ranks to workers, to those of one host in a row.

    Parameters
    ----------
    workers : mapping
        By address, what the scheduler knows of each.
    """
    order = sorted(workers, key=lambda one: (workers[one]["host"], one))
    return [
        Place(
            rank, one, workers[one]["host"], workers[one]["local_directory"],
            workers[one]["nthreads"],
        )
        for rank, one in enumerate(order)
    ]  # fmt: skip


def find_places(
    client: "Client", workers: int | Sequence[str] | None, patience: float
) -> list[Place]:
    """Choose workers of a cluster: all, so many, or those at addresses.

    Raises
    ------
    ValueError
        None was asked for, or less.
    TimeoutError
        Fewer are there, or not those; the message says who is missing.
    """
    if isinstance(workers, int) and workers > 0:
        try:
            client.wait_for_workers(workers, timeout=patience)
        except TimeoutError as error:
            raise TimeoutError(
                f"asked for {workers} workers; after {patience:g} s the "
                f"cluster has {len(client.nthreads())}"
            ) from error
    there = client.scheduler_info(n_workers=-1)["workers"]
    if isinstance(workers, int):
        there = dict(list(there.items())[: max(workers, 0)])
    elif workers is not None:
        missing = sorted(set(workers) - set(there))
        if missing:
            raise TimeoutError(f"not in the cluster: {', '.join(missing)}")
        there = {one: there[one] for one in workers}
    if not there:
        raise ValueError("no workers, no ranks: is the cluster empty?")
    return places(there)


def meeting_address(team: Sequence[Place]) -> str:
    """Where rank 0 listens: loopback if all ranks are on one host."""
    if len({place.host for place in team}) == 1:
        return LOOPBACK
    return team[0].host


def gpus(seen: Sequence[tuple[str, str, int]]) -> list[int] | None:
    """Give each rank a GPU of its own, or say that there are too few.

    Parameters
    ----------
    seen : sequence of tuple
        Of each rank: its host, its ``CUDA_VISIBLE_DEVICES``, and how many
        GPUs it sees.

    Returns
    -------
    list of int or None
        Number of the GPU, as the rank sees them. Ranks of a host that see
        the same GPUs take one after the other. Where each sees its own
        first, as dask-cuda arranges it, each takes its first.
    """
    chosen = []
    for rank, (host, visible, count) in enumerate(seen):
        alike = [r for r, one in enumerate(seen) if one[:2] == (host, visible)]
        chosen.append(alike.index(rank))
        if chosen[-1] >= count:
            return None
    return chosen


def interface(address: str) -> str:
    """Name the network interface that has an address, for gloo and NCCL.

    Raises
    ------
    LookupError
        No interface of this host has it.
    """
    for name, found in psutil.net_if_addrs().items():
        for one in found:
            if one.family == socket.AF_INET and one.address == address:
                return name
    raise LookupError(f"no network interface of this host has {address}")
