"""Products of matrices: their place under the roofs, and blocks for caches."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from threadpoolctl import threadpool_info

from parallel_ai.one_machine.vectors.scores import ORDER


def libraries() -> list[dict[str, Any]]:
    """Say which libraries of this process have threads of their own.

    Returns
    -------
    list of dict
        ``library`` and ``version``; ``from``, the folder that it came with,
        which tells whose it is; ``kernels``, the processor that it chose
        its code for, where it tells; ``threads`` that it would use now.
    """
    return [
        {
            "library": one["internal_api"],
            "version": one["version"] or "-",
            "from": Path(one["filepath"]).parent.name,
            "kernels": one.get("architecture", "-"),
            "threads": one["num_threads"],
        }
        for one in threadpool_info()
    ]


class Work(NamedTuple):
    """What a job asks of the machine, at least."""

    operations: float
    bytes: float

    @property
    def intensity(self) -> float:
        """Operations for each byte that passes between memory and core."""
        return self.operations / self.bytes


def product_work(
    rows: int, inner: int, columns: int, itemsize: int = 4
) -> Work:
    """Work of a product (rows × inner) @ (inner × columns).

    Each number of the three matrices passes once: a product that reads
    some of them again from memory has a lower intensity than this.
    """
    numbers = rows * inner + inner * columns + rows * columns
    return Work(2.0 * rows * inner * columns, float(itemsize * numbers))


@njit(nogil=True, fastmath=ORDER)
def product_naive(
    a: np.ndarray, b: np.ndarray
) -> np.ndarray:  # pragma: no cover
    """Multiply matrices as the formula says: c[i, j] = Σ a[i, k] b[k, j].

    Parameters
    ----------
    a, b : arrays of shape (m, n) and (n, p), float32, C order

    Returns
    -------
    array of shape (m, p), float32
    """
    c = np.empty((a.shape[0], b.shape[1]), np.float32)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = np.float32(0)
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]  # down a column: far apart
            c[i, j] = total
    return c


@njit(nogil=True, fastmath=ORDER)
def product_streamed(
    a: np.ndarray, b: np.ndarray
) -> np.ndarray:  # pragma: no cover
    """Multiply the same, the inner loops exchanged: along rows only."""
    c = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for i in range(a.shape[0]):
        into = c[i]
        for k in range(a.shape[1]):
            factor, row = a[i, k], b[k]
            for j in range(into.size):
                into[j] += factor * row[j]
    return c


@njit(nogil=True, fastmath=ORDER)
def product_blocked(
    a: np.ndarray, b: np.ndarray, depth: int = 64, width: int = 512
) -> np.ndarray:  # pragma: no cover
    """Multiply the same, one block of b at a time, small enough to stay.

    A block has `depth` rows and `width` columns, 128 KiB by default: all
    rows of a pass by it while it lies in the level 2 cache.
    """
    c = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for first in range(0, b.shape[1], width):
        for top in range(0, b.shape[0], depth):
            for i in range(a.shape[0]):
                into = c[i, first : first + width]
                for k in range(top, min(top + depth, b.shape[0])):
                    factor, row = a[i, k], b[k, first : first + width]
                    for j in range(into.size):
                        into[j] += factor * row[j]
    return c


@njit(parallel=True, nogil=True, fastmath=ORDER)
def product_parallel(
    a: np.ndarray, b: np.ndarray, depth: int = 64, width: int = 512
) -> np.ndarray:  # pragma: no cover
    """Multiply the same; threads share the strips of columns."""
    c = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for strip in prange((b.shape[1] + width - 1) // width):
        first = strip * width
        for top in range(0, b.shape[0], depth):
            for i in range(a.shape[0]):
                into = c[i, first : first + width]
                for k in range(top, min(top + depth, b.shape[0])):
                    factor, row = a[i, k], b[k, first : first + width]
                    for j in range(into.size):
                        into[j] += factor * row[j]
    return c
