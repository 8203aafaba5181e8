"""The order of additions: how wrong a sum is, and how to fix its order."""

from typing import Any

import numba
import numpy as np

from parallel_ai.one_machine.processes import SharedArray, share
from parallel_ai.one_machine.threads import map_threads
from parallel_ai.toolbox.workers import LIMIT, SAFE, bounds, executor

BLOCK = 1 << 16  # numbers added by one task, whoever does it


@numba.njit(nogil=True)
def sum_in_order(values: np.ndarray) -> float:
    """Add one number after the other, in the numbers' own precision.

    The error is at most about n·u·Σ|x|, u half a unit in the last place.
    """
    total = values.dtype.type(0)
    for value in values:
        total += value
    return total


@numba.njit(nogil=True)
def sum_compensated(values: np.ndarray) -> float:
    """Add in order, and carry along what each addition rounded away.

    Kahan (1965). The error is at most about 2·u·Σ|x|, however many
    numbers there are, for four operations where there was one.
    """
    total = lost = values.dtype.type(0)
    for value in values:
        corrected = value - lost
        larger = total + corrected
        lost = (larger - total) - corrected
        total = larger
    return total


def sum_by_worker(values: np.ndarray, workers: int = 2) -> float:
    """Let each worker add one part: the order depends on how many there are.

    Every part is added as NumPy does it, the parts' sums in their order.
    """
    parts = [values[a:b] for a, b in bounds(len(values), workers)]
    total = values.dtype.type(0)
    for part in map_threads(np.sum, parts, workers):
        total += part
    return total


def join(sums: list[Any]) -> Any:
    """Add sums in pairs, the pairs in pairs, and so on: a fixed tree."""
    if not sums:
        return 0.0
    while len(sums) > 1:
        odd = sums[-1:] if len(sums) % 2 else []
        pairs = zip(sums[0::2], sums[1::2], strict=False)
        sums = [a + b for a, b in pairs] + odd
    return sums[0]


def blocks(count: int) -> list[tuple[int, int]]:
    """Cut into blocks of `BLOCK` numbers, whatever the number of workers."""
    return [(a, min(a + BLOCK, count)) for a in range(0, count, BLOCK)]


def sum_serial(values: np.ndarray) -> float:
    """Sum by a tree that depends on nothing but how many numbers there are.

    Parameters
    ----------
    values : array of shape (n,), float32 or float64

    Returns
    -------
    float
        In the numbers' own precision; 0 for none.
    """
    return join([np.sum(values[a:b]) for a, b in blocks(len(values))])


def sum_threads(values: np.ndarray, workers: int = 2) -> float:
    """Sum by the same tree with threads: the same bits for any number."""
    return join(
        map_threads(
            lambda cut: np.sum(values[slice(*cut)]),
            blocks(len(values)),
            workers,
        )
    )


def sum_processes(
    values: np.ndarray, workers: int = 2, method: str = SAFE
) -> float:
    """Sum by the same tree with processes, which share the numbers."""
    cuts = blocks(len(values))
    with share(values) as array, executor(workers, method) as team:
        tasks = [
            team.submit(block_sums, array, cuts[a:b])
            for a, b in bounds(len(cuts), workers)
        ]
        return join([s for task in tasks for s in task.result(LIMIT)])


def block_sums(array: SharedArray, cuts: list[tuple[int, int]]) -> list[Any]:
    """Sum some blocks of numbers that lie in shared memory."""
    with array.open() as values:
        found = [np.sum(values[slice(*cut)]) for cut in cuts]
        del values
    return found
