"""The same least-squares problem, serially and in parts that merge.

A parallel fit needs statistics of a part of the rows that are small, that
can be merged, and that lose nothing. Products of the columns have the first
two properties, triangular factors have all three.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from parallel_ai.toolbox import machine
from parallel_ai.toolbox.roofs import read_bandwidth
from parallel_ai.toolbox.stopwatch import Timing, compare
from parallel_ai.toolbox.workers import bounds


def products(rows: np.ndarray) -> np.ndarray:
    """Return the products of all pairs of columns, summed over the rows."""
    return rows.T @ rows


def factor(rows: np.ndarray) -> np.ndarray:
    """Return R of a QR decomposition of the rows: a triangle, R'R = X'X."""
    triangle: Any = np.linalg.qr(rows, mode="r")
    return triangle


def merge_factors(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return R of all rows, from the R of each part of them."""
    return factor(np.concatenate(parts))


def solve_products(total: np.ndarray) -> np.ndarray:
    """Solve the normal equations; the last column is what is predicted.

    Raises
    ------
    numpy.linalg.LinAlgError
        A column is a combination of others.
    """
    return np.linalg.solve(total[:-1, :-1], total[:-1, -1])


def solve_factor(triangle: np.ndarray) -> np.ndarray:
    """Solve by back substitution; the last column is what is predicted.

    Raises
    ------
    numpy.linalg.LinAlgError
        A column is a combination of others, or there are too few rows.
    """
    columns = triangle.shape[1] - 1
    if len(triangle) < columns:
        raise np.linalg.LinAlgError(
            f"{columns} coefficients need at least as many rows"
        )
    return np.linalg.solve(
        triangle[:columns, :columns], triangle[:columns, -1]
    )


def fit_lstsq(rows: np.ndarray) -> np.ndarray:
    """Fit with NumPy's own least squares, by singular values.

    Parameters
    ----------
    rows : array of shape (count, columns + 1)
        Features, and in the last column what is to be predicted.

    Returns
    -------
    array of shape (columns,)
        Coefficients with the least sum of squared errors.
    """
    return np.linalg.lstsq(rows[:, :-1], rows[:, -1])[0]


def fit_products(rows: np.ndarray, workers: int = 1) -> np.ndarray:
    """Fit the same by the normal equations: one pass, digits lost."""
    parts = _map_threads(products, rows, workers, workers)
    return solve_products(np.sum(parts, axis=0))


def fit_factors(
    rows: np.ndarray, workers: int = 1, block: int = 8192
) -> np.ndarray:
    """Fit the same by QR of each block of rows, merged: digits kept.

    Parameters
    ----------
    block : int
        Rows of one block; few enough to stay in a cache, many more than
        there are columns.

    Notes
    -----
    The *TSQR* of Demmel, Grigori, Hoemmen and Langou,
    https://doi.org/10.1137/080731992: parts may lie in caches, in threads
    or on other machines, what is sent is a triangle.
    """
    blocks = max(workers, len(rows) // block)
    parts = _map_threads(factor, rows, blocks, workers)
    return solve_factor(merge_factors(parts))


def _map_threads(
    function: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    parts: int,
    workers: int,
) -> list[np.ndarray]:
    """Apply a function to equal parts by threads; BLAS has one thread."""
    cuts = bounds(len(rows), parts)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as team:
        return list(team.map(lambda cut: function(rows[slice(*cut)]), cuts))


def make_rows(count: int, columns: int = 7, seed: int = 0) -> np.ndarray:
    """Draw rows whose last column depends on the others, with noise.

    Returns
    -------
    array of shape (count, columns + 1)
        float64; the true coefficients are 1, 2, 3, …
    """
    rows = np.random.default_rng(seed).standard_normal((count, columns + 1))
    rows[:, -1] *= 0.1
    rows[:, -1] += rows[:, :-1] @ np.arange(1, columns + 1)
    return rows


def compare_fits(count: int | None = None) -> dict[str, Timing | float]:
    """Time the three ways on rows that fill a part of the memory.

    Returns
    -------
    dict of str to Timing or float
        lstsq, one QR of all rows, then factors and products by 1 and all
        CPUs, and the seconds that reading the rows once takes.
    """
    count = count or min(1_000_000, machine.memory() // 32 // 64)
    rows = make_rows(count)
    ways: dict[str, Callable[[], np.ndarray]] = {
        "lstsq": partial(fit_lstsq, rows)
    }
    ways["one factor"] = lambda: solve_factor(factor(rows))
    for workers in sorted({1, machine.cpus()}):
        team = f"{workers} thread{'s' * (workers > 1)}"
        ways[f"factors, {team}"] = partial(fit_factors, rows, workers)
        ways[f"products, {team}"] = partial(fit_products, rows, workers)
    found: dict[str, Timing | float] = dict(compare(ways, repeats=3))
    found["limit: read once"] = rows.nbytes / read_bandwidth()
    return found
