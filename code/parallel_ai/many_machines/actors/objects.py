"""Large objects: copied to every worker, or shared by all of them."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from distributed import Client

from parallel_ai.many_machines.actors.local_ray import ray_local
from parallel_ai.many_machines.actors.messages import LIMIT
from parallel_ai.many_machines.actors.quietly import ray
from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.stopwatch import Timing, compare, measure


class Place(NamedTuple):
    """Where an array is, seen by the process that works with it."""

    total: float  # of its numbers: it was read to the end
    writable: bool
    process: int
    file: str  # inode of the mapped file that holds it; "" for none


def place(values: np.ndarray) -> Place:
    """Read an array, and tell where its numbers are.

    On Linux, by the list of what the process maps into its memory: the same
    inode in two processes is the same memory.
    """
    address, file = values.ctypes.data, ""
    maps = Path("/proc/self/maps")
    text = maps.read_text("utf8", "replace") if maps.exists() else ""
    for line in text.splitlines():
        span, _, _, _, inode, *_ = line.split()
        low, high = (int(edge, 16) for edge in span.split("-"))
        if low <= address < high and inode != "0":
            file = inode
    total = float(values.sum())
    return Place(total, values.flags.writeable, os.getpid(), file)


def memories(places: list[Place]) -> int:
    """Count how many times the array is in this machine's memory."""
    return len({one.file or one.process for one in places})


def hand_out_dask(client: Client, values: np.ndarray) -> list[Place]:
    """Give an array to every worker of a cluster, by `scatter`."""
    there = client.scatter(values, broadcast=True, hash=False)
    return client.gather(
        [
            client.submit(place, there, workers=[worker], pure=False)
            for worker in client.nthreads()
        ]
    )


def place_of_file(path: str) -> Place:
    """Map a file of NumPy's, and tell the same about it."""
    return place(np.load(path, mmap_mode="r"))


def hand_out_file(client: Client, values: np.ndarray) -> list[Place]:
    """Give it as a file that every worker maps: on one machine only."""
    with TemporaryDirectory(dir=_in_memory()) as folder:
        path = f"{folder}/values.npy"
        np.save(path, values)
        return client.gather(
            [
                client.submit(place_of_file, path, workers=[w], pure=False)
                for w in client.nthreads()
            ]
        )


def _in_memory() -> str | None:
    """Folder whose files are in memory, if the system has one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


class Reader:
    """An actor that reads an array."""

    def place(self, values: np.ndarray) -> Place:
        """Tell where it is, in the actor's process."""
        return place(values)


def hand_out_ray(readers: list[Any], values: np.ndarray) -> list[Place]:
    """Give an array to every actor, by Ray's object store."""
    there = ray.put(values)
    return ray.get(
        [reader.place.remote(there) for reader in readers], timeout=LIMIT
    )


class Parcel:
    """Something to send that counts how often it is packed, in this process.

    Attributes
    ----------
    packed : int
        How often any parcel was pickled here.
    """

    packed = 0

    def __init__(self, content: Any) -> None:
        self.content = content

    def __reduce__(self) -> tuple[Any, ...]:
        """Count, and say how to make it again."""
        Parcel.packed += 1
        return Parcel, (self.content,)


def opened(parcel: Parcel) -> int:
    """Return what is in a parcel: a task."""
    return parcel.content


def packings(client: Client, tasks: int) -> dict[str, int]:
    """Count how often one object is pickled for so many tasks."""
    parcel, task = Parcel(7), ray.remote(opened)

    def counted(work: Callable[[], Any]) -> int:
        before = Parcel.packed
        work()
        return Parcel.packed - before

    def by_dask(given: Any) -> None:
        client.gather(
            [client.submit(opened, given, pure=False) for _ in range(tasks)]
        )

    def by_ray(given: Any) -> None:
        ray.get([task.remote(given) for _ in range(tasks)], timeout=LIMIT)

    def captured() -> None:
        for _ in range(tasks):
            ray.get(ray.remote(lambda: opened(parcel)).remote())

    return {
        "Dask, argument": counted(lambda: by_dask(parcel)),
        "Dask, scatter": counted(lambda: by_dask(client.scatter(parcel))),
        "Ray, argument": counted(lambda: by_ray(parcel)),
        "Ray, put": counted(lambda: by_ray(ray.put(parcel))),
        "Ray, in a closure": counted(captured),
    }


def hand_out_costs(
    client: Client, nbytes: int, repeats: int = 3
) -> dict[str, Timing | float]:
    """Time how long it takes until two workers have read an array.

    Returns
    -------
    dict
        Timings, then the limit in seconds: both only read it, from memory.
    """
    values = np.ones(nbytes // 8)
    workers = len(client.nthreads())
    readers = [ray.remote(Reader).remote() for _ in range(workers)]
    found = compare(
        {
            "Dask, scatter": partial(hand_out_dask, client, values),
            "Dask, a mapped file": partial(hand_out_file, client, values),
            "Ray, object store": partial(hand_out_ray, readers, values),
        },
        repeats,
    )
    once = min(measure(values.copy, repeats=repeats).seconds)
    return {**found, "limit: one copy in memory": once}


def _compare_hand_out() -> dict[str, Timing | float]:
    with cluster.local(2) as client, ray_local(2, store=400_000_000):
        return hand_out_costs(client, 100_000_000, repeats=5)


COMPARISONS = {"an array of 100 MB to every worker": _compare_hand_out}
