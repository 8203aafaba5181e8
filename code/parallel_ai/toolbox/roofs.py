"""Roofs: what this machine's memory and arithmetic can do at most.

The chapter *Measuring* explains them; many a chapter holds its results
against them.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import measure

TRAFFIC = 1_000_000_000  # bytes to read in one measurement, at least
PATIENCE = 60  # seconds that a thread waits for the others


@njit(nogil=True, fastmath=True)
def read_kernel(numbers: np.ndarray, times: int) -> float:  # pragma: no cover
    """Read an array some times over, doing as little as possible: a sum.

    fastmath lets the compiler add in any order, hence many at once.
    """
    total = 0.0
    for _ in range(times):
        part = 0.0
        for i in range(numbers.size):
            part += numbers[i]
        total += part
    return total


@njit(nogil=True)
def copy_kernel(
    source: np.ndarray, target: np.ndarray
) -> None:  # pragma: no cover
    """Read one array and write another one of the same size."""
    for i in range(source.size):
        target[i] = source[i]


def in_threads(
    function: Callable[..., Any], parts: Iterable[tuple[Any, ...]]
) -> list[Any]:
    """Call ``function(*part)`` for each part, each in a thread of its own.

    Returns
    -------
    list
        The results, in the order of the parts.
    """
    parts = list(parts)
    with ThreadPoolExecutor(max(1, len(parts))) as pool:
        return list(pool.map(lambda part: function(*part), parts))


def together(
    function: Callable[..., Any],
    parts: Iterable[tuple[Any, ...]],
    rounds: int = 5,
) -> float:
    """Time threads that all start at the same moment.

    Starting a thread and waking a processor take a while. Here the threads
    exist already and meet before each round, so that only work is timed.

    Returns
    -------
    float
        Seconds from the first start to the last end, of the fastest round.
    """
    parts = list(parts)
    barrier = Barrier(len(parts))

    def run(*part: Any) -> list[tuple[float, float]]:
        spans = []
        for _ in range(rounds):
            barrier.wait(PATIENCE)
            start = time.perf_counter()
            function(*part)
            spans.append((start, time.perf_counter()))
        return spans

    by_round = zip(*in_threads(run, parts), strict=True)
    return min(
        max(end for _, end in spans) - min(start for start, _ in spans)
        for spans in by_round
    )


def read_bandwidth(
    workers: int | None = None, size: int | None = None
) -> float:
    """Measure how fast threads read numbers, each thread its own.

    Parameters
    ----------
    workers : int, optional
        Threads; by default one for each CPU that we have.
    size : int, optional
        Bytes that all threads read together, over and over. By default far
        more than the caches hold, so that memory itself is measured.

    Returns
    -------
    float
        Bytes per second of the fastest of five rounds: a roof is what the
        machine can do when nobody disturbs it.
    """
    workers = workers or machine.cpus()
    size = size or _beyond_caches()
    numbers = np.ones(max(size // 8, workers))
    times = max(1, TRAFFIC // numbers.nbytes)
    parts = [(part, times) for part in np.array_split(numbers, workers)]
    return times * numbers.nbytes / together(read_kernel, parts)


def copy_bandwidth(
    workers: int | None = None, size: int | None = None
) -> float:
    """Measure how fast threads copy; counts each byte read and written.

    Parameters and result as for `read_bandwidth`; `size` is the sum of
    source and target.
    """
    workers = workers or machine.cpus()
    size = size or _beyond_caches()
    source = np.ones(max(size // 16, workers))
    target = np.ones_like(source)  # ones, not empty: the pages must exist
    parts = list(
        zip(
            np.array_split(source, workers),
            np.array_split(target, workers),
            strict=True,
        )
    )
    return 2 * source.nbytes / together(copy_kernel, parts)


def _beyond_caches() -> int:
    """Bytes that do not fit into the caches, but well into memory."""
    last = max(machine.caches().values(), default=0)
    return min(max(512_000_000, 4 * last), machine.memory() // 8)


def multiply_rate(
    dtype: str = "float32", workers: int | None = None, size: int = 1536
) -> float:
    """Measure operations per second of a matrix product through BLAS.

    Two square matrices of side `size` need ``2 * size**3`` additions and
    multiplications.
    """
    rng = np.random.default_rng(0)
    a, b = rng.random((2, size, size)).astype(dtype)
    with threadpool_limits(workers or machine.cpus(), user_api="blas"):
        timing = measure(np.matmul, a, b, repeats=3)
    return 2 * size**3 / min(timing.seconds)


def attainable(
    intensity: float | np.ndarray, operations: float, bandwidth: float
) -> np.ndarray:
    """Operations per second that the roofs allow (the roofline model).

    Parameters
    ----------
    intensity : float or array
        Operations per byte.
    operations : float
        The flat roof: operations per second.
    bandwidth : float
        The slanted roof: bytes per second.

    Notes
    -----
    Williams et al. (2009), https://doi.org/10.1145/1498765.1498785
    """
    return np.minimum(operations, np.asarray(intensity) * bandwidth)
