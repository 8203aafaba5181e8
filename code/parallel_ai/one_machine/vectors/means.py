"""The mean of many numbers at the roof, and what lies beyond the roof."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numba
import numpy as np
from numba import njit, prange

from parallel_ai.one_machine.vectors.scores import ORDER
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.datasets import load
from parallel_ai.toolbox.roofs import in_threads, read_bandwidth
from parallel_ai.toolbox.stopwatch import Timing, compare
from parallel_ai.toolbox.workers import bounds


@contextmanager
def numba_threads(threads: int) -> Iterator[int]:
    """Let `prange` use so many threads, as far as Numba has them.

    Numba starts as many as the process may use CPUs (or as
    ``NUMBA_NUM_THREADS`` says), knows nothing of a container's quota, and
    can only be told to use fewer.
    """
    before = numba.get_num_threads()
    most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(min(threads, most))
    try:
        yield numba.get_num_threads()
    finally:
        numba.set_num_threads(before)


@njit(nogil=True, fastmath=ORDER)
def sum_kernel(values: np.ndarray, zero: float) -> float:  # pragma: no cover
    """Add numbers up, beginning with a zero of the sum's type."""
    total = zero
    for i in range(values.size):
        total += values[i]
    return total


@njit(parallel=True, nogil=True, fastmath=ORDER)
def sum_parallel(values: np.ndarray, zero: float) -> float:  # pragma: no cover
    """Add the same: `prange` sees a sum, and gives each thread its own."""
    total = zero
    for i in prange(values.size):
        total += values[i]
    return total


def mean_lanes(values: np.ndarray) -> float:
    """Mean of numbers (n,), by one thread.

    The sum is float64 for numbers with a point, int64 for those without.

    Raises
    ------
    ValueError
        There are no numbers: their mean is not defined.
    """
    return sum_kernel(values, _zero(values)) / len(values)


def mean_nogil(values: np.ndarray, threads: int = 2) -> float:
    """Mean by Python's own threads, which run the compiled loop at once."""
    zero = _zero(values)
    parts = [(values[a:b], zero) for a, b in bounds(len(values), threads)]
    return sum(in_threads(sum_kernel, parts)) / len(values)


def mean_parallel(values: np.ndarray, threads: int | None = None) -> float:
    """Mean by Numba's threads; as many as usable CPUs by default."""
    with numba_threads(threads or machine.cpus()):
        return sum_parallel(values, _zero(values)) / len(values)


def _zero(values: np.ndarray) -> float:
    if len(values) == 0:
        raise ValueError("the mean of no numbers is not defined")
    return 0 if values.dtype.kind in "iub" else 0.0


def mean_comparison() -> dict[str, Timing | float]:
    """Compare means of a hundred million numbers with the memory's limit.

    Fewer numbers where there is little memory. PyTorch takes part where it
    is installed. The limit is the time in which all CPUs together read as
    many bytes and do nothing else.
    """
    bandwidth = read_bandwidth()
    count = min(100_000_000, machine.memory() // 40)
    pixels = load("fashion-mnist")["train_images"]
    values = np.resize(pixels, count) / 255
    ways: dict[str, Callable[[], Any]] = {
        "np.mean": partial(np.mean, values),
        "ours: one thread, in lanes": partial(mean_lanes, values),
        "ours: threads, nogil": partial(mean_nogil, values, machine.cpus()),
        "ours: Numba prange": partial(mean_parallel, values),
    }
    if importlib.util.find_spec("torch"):
        import torch

        tensor = torch.from_numpy(values)
        ways["torch mean"] = lambda: float(tensor.mean())
    return {
        **compare(ways, repeats=3),
        "limit: read bandwidth": values.nbytes / bandwidth,
    }
