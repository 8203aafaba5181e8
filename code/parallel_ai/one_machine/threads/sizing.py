"""Threads inside processes: how many of each."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np
from threadpoolctl import threadpool_limits

from parallel_ai.toolbox import machine
from parallel_ai.toolbox.workers import LIMIT, executor


def threads_each(processes: int, cpus: int | None = None) -> int:
    """Threads for each process, so that together they fill the CPUs.

    Parameters
    ----------
    processes : int
        At least 1.
    cpus : int, optional
        Usable CPUs; those of this machine by default.

    Returns
    -------
    int
        The most for which processes × threads <= cpus, at least 1.

    Raises
    ------
    ValueError
        There is no process.
    """
    if processes < 1:
        raise ValueError(f"need at least 1 process, got {processes}")
    return max(1, (cpus or machine.cpus()) // processes)


@contextmanager
def team(
    processes: int, threads: int | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Open a process pool whose workers' libraries use so many threads.

    Parameters
    ----------
    threads : int, optional
        For BLAS and OpenMP in each worker; `threads_each` by default.
    """
    threads = threads or threads_each(processes)
    with executor(
        processes, initializer=threadpool_limits, initargs=(threads,)
    ) as pool:
        yield pool


def first_component(images: np.ndarray) -> float:
    """Share of the images' variance along their first principal component.

    Parameters
    ----------
    images : array of shape (n, height, width), uint8

    Notes
    -----
    One matrix product and one eigenvalue problem: BLAS and LAPACK, which
    start threads of their own.
    """
    rows = images.reshape(len(images), -1).astype(np.float32)
    centred = rows - rows.mean(axis=0)
    variances = np.linalg.eigvalsh(centred.T @ centred)
    return float(variances[-1] / variances.sum())


def components_serial(sets: Sequence[np.ndarray]) -> list[float]:
    """First components of several sets of images, one after the other."""
    return [first_component(images) for images in sets]


def components(
    sets: Sequence[np.ndarray], pool: ProcessPoolExecutor
) -> list[float]:
    """First components of several sets of images, a task for each."""
    return list(pool.map(first_component, sets, timeout=LIMIT))
