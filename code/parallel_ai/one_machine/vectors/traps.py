"""What goes wrong with compiled and with parallel loops."""

import threading
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numba import njit, prange

CLASSES = 10


@njit(parallel=True, nogil=True)
def labels_raced(labels: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Count labels (n,), uint8, wrongly: all threads in one table."""
    counts = np.zeros(CLASSES, np.int64)
    for i in prange(labels.size):
        counts[labels[i]] += 1
    return counts


@njit(parallel=True, nogil=True)
def table_kernel(
    labels: np.ndarray, tables: np.ndarray
) -> None:  # pragma: no cover
    """Count each part of the labels into its row of `tables`, once."""
    parts = len(tables)
    for part in prange(parts):
        mine = np.zeros(CLASSES, np.int64)  # nobody else's
        first = part * labels.size // parts
        for i in range(first, (part + 1) * labels.size // parts):
            mine[labels[i]] += 1
        tables[part] = mine


def labels_counted(labels: np.ndarray, parts: int = 16) -> np.ndarray:
    """Count the same rightly: each part in a table of its own."""
    tables = np.zeros((parts, CLASSES), np.int64)
    table_kernel(labels, tables)
    return tables.sum(axis=0)


@njit(fastmath=True)
def holes_fast(values: np.ndarray) -> int:  # pragma: no cover
    """Count the NaNs of an array, having promised that there are none."""
    holes = 0
    for value in values:
        if np.isnan(value):
            holes += 1
    return holes


@njit
def holes(values: np.ndarray) -> int:  # pragma: no cover
    """Count the NaNs of an array."""
    holes = 0
    for value in values:
        if np.isnan(value):
            holes += 1
    return holes


@njit
def roots_locked(values: np.ndarray) -> float:  # pragma: no cover
    """Add up square roots, holding the GIL."""
    total = 0.0
    for i in range(values.size):
        total += np.sqrt(values[i])
    return total


@njit(nogil=True)
def roots_nogil(values: np.ndarray) -> float:  # pragma: no cover
    """Add up the same without holding it."""
    total = 0.0
    for i in range(values.size):
        total += np.sqrt(values[i])
    return total


@njit(parallel=True)
def roots_parallel(values: np.ndarray) -> float:  # pragma: no cover
    """Add up the same by several threads."""
    total = 0.0
    for i in prange(values.size):
        total += np.sqrt(values[i])
    return total


def longest_silence(job: Callable[[], object]) -> tuple[float, float]:
    """See how long a job keeps another Python thread from running.

    Returns
    -------
    silence, whole : float
        Seconds between two signs of life of the other thread, at most, and
        seconds that the job took. A thread that gets its turns gives a sign
        every millisecond.
    """
    signs: list[float] = []
    alive, stop = threading.Event(), threading.Event()

    def live() -> None:
        while not stop.is_set():
            signs.append(time.perf_counter())
            alive.set()
            stop.wait(1e-3)

    thread = threading.Thread(target=live)
    thread.start()
    alive.wait(60)
    start = time.perf_counter()
    try:
        job()
    finally:
        end = time.perf_counter()
        stop.set()
        thread.join()
    seen = [start, *(sign for sign in signs if start < sign < end), end]
    return max(b - a for a, b in pairwise(seen)), end - start
