"""A real task: the picture of a garment that looks most like another."""

from functools import partial

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from parallel_ai.toolbox import machine
from parallel_ai.toolbox.datasets import load
from parallel_ai.toolbox.roofs import in_threads, read_kernel
from parallel_ai.toolbox.stopwatch import Timing, compare, measure

QUERIES = 240


def nearest_broadcast(queries: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Find the nearest picture of `base` for each query: the obvious way.

    Parameters
    ----------
    queries, base : arrays of shape (q, 28, 28) and (n, 28, 28), uint8
        Any shape of picture will do; n is at least 1.

    Returns
    -------
    array of shape (q,), int64
        Index into `base` of the least sum of squared differences.
    """
    pictures = _flat(base)
    found = [
        ((pictures - query) ** 2).sum(axis=1).argmin()
        for query in _flat(queries)
    ]
    return np.array(found, dtype=np.int64)


def nearest_product(queries: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Find the same by a matrix product: |a-b|² = |a|² - 2ab + |b|²."""
    return _nearest(_flat(queries), *prepare(base))


def nearest_threads(
    queries: np.ndarray, base: np.ndarray, workers: int
) -> np.ndarray:
    """Find the same; threads share the queries, each has its own part."""
    pictures, squares = prepare(base)
    parts = np.array_split(_flat(queries), workers)
    return np.concatenate(
        in_threads(_nearest, [(part, pictures, squares) for part in parts])
    )


def prepare(base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flatten pictures, float32, and take the sum of squares of each."""
    pictures = _flat(base)
    return pictures, np.einsum("ij,ij->i", pictures, pictures)


def _flat(pictures: np.ndarray) -> np.ndarray:
    pixels = int(np.prod(pictures.shape[1:]))
    return pictures.reshape(len(pictures), pixels).astype(np.float32)


def _nearest(
    queries: np.ndarray, pictures: np.ndarray, squares: np.ndarray
) -> np.ndarray:
    distances = queries @ pictures.T  # and |a|² is the same for all b
    distances *= -2
    distances += squares
    return distances.argmin(axis=1)


@njit(nogil=True)
def closest_kernel(
    query: np.ndarray, base: np.ndarray
) -> tuple[int, int]:  # pragma: no cover
    """Find the nearest of some pictures (n, pixels) to one, in integers.

    Returns
    -------
    distance, index : int
        The least squared distance and the first picture that has it;
        -1 twice if there is no picture.
    """
    least, index = -1, -1
    for i in range(base.shape[0]):
        distance = 0
        for j in range(base.shape[1]):
            difference = np.int32(query[j]) - np.int32(base[i, j])
            distance += int(difference * difference)
        if index < 0 or distance < least:
            least, index = distance, i
    return least, index


def closest_threads(
    query: np.ndarray, base: np.ndarray, workers: int
) -> tuple[int, int]:
    """Find the same; threads share the pictures, then the best one wins."""
    parts = np.array_split(base, workers)
    starts = np.cumsum([0, *map(len, parts)])
    found = in_threads(closest_kernel, [(query, part) for part in parts])
    return min(
        (
            (distance, int(start) + index)
            for start, (distance, index) in zip(starts, found, strict=False)
            if index >= 0
        ),
        default=(-1, -1),
    )


def worker_counts(cpus: int) -> list[int]:
    """From one worker to four for each CPU, few of them in between."""
    steps = {1, 2, 3, 4, cpus // 2, cpus, 3 * cpus // 2, 2 * cpus, 3 * cpus}
    return sorted((steps | {4 * cpus}) - {0})


def scaling() -> dict[str, object]:
    """Measure the task, and the mean of all pixels, with more workers.

    Returns
    -------
    dict
        ``cpus`` and ``workers``; seconds by workers (all repeats): of
        ``nearest``, of ``grown`` (queries grow with the workers, these at
        most one for each CPU) and of ``mean``; ``prepare``: seconds of the
        part that is not shared.
    """
    data = load("fashion-mnist")
    base, queries = data["train_images"], data["test_images"]
    pixels = base.reshape(-1).astype(np.float64)
    cpus = machine.cpus()
    workers = worker_counts(cpus)
    with threadpool_limits(1, user_api="blas"):  # our threads, not BLAS's
        nearest = compare(
            {
                str(n): partial(nearest_threads, queries[:QUERIES], base, n)
                for n in workers
            },
            repeats=3,
        )
        grown = compare(
            {
                str(n): partial(
                    nearest_threads, queries[: n * QUERIES], base, n
                )
                for n in workers
                if n <= cpus
            },
            repeats=3,
            warmup=0,
        )
        preparation = measure(prepare, base)
    mean = compare(
        {
            str(n): partial(
                in_threads,
                read_kernel,
                [(part, 1) for part in np.array_split(pixels, n)],
            )
            for n in workers
        }
    )
    return {
        "cpus": cpus,
        "workers": workers,
        "nearest": _seconds(nearest),
        "grown": _seconds(grown),
        "mean": _seconds(mean),
        "prepare": list(preparation.seconds),
    }


def _seconds(timings: dict[str, Timing]) -> list[list[float]]:
    return [list(timing.seconds) for timing in timings.values()]
