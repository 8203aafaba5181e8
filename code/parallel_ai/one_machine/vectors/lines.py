"""Cache lines: memory comes by 64 bytes, wanted or not, shared or not."""

import numpy as np
from numba import njit

from parallel_ai.toolbox.roofs import together
from parallel_ai.toolbox.workers import bounds

LEVELS = 8  # of grey: 32 bytes of counters, half a cache line
SAFE = 512  # bytes apart: more than a line, and than two that come together


def sum_every(values: np.ndarray, stride: int) -> float:
    """Add up every `stride`-th number."""
    return float(values[::stride].sum())


def bytes_per_number(stride: int, itemsize: int, line: int = 64) -> int:
    """Bytes that come from memory for each number of a strided array."""
    return min(stride * itemsize, line)


@njit(nogil=True)
def level_kernel(
    pixels: np.ndarray, counts: np.ndarray
) -> None:  # pragma: no cover
    """Count pixels by level of grey, 32 grey values each, into `counts`."""
    for pixel in pixels:
        counts[pixel >> 5] += 1


def counters(threads: int, gap: int) -> np.ndarray:
    """Make counters for some threads, so many bytes from one to the next.

    Parameters
    ----------
    gap : int
        Bytes; a multiple of 4, at least 32.

    Returns
    -------
    array of shape (threads, 8), int32
        Zeros; the first ones lie at the beginning of a page, so that
        which counters share a cache line does not depend on luck.
    """
    page = 4096
    room = np.zeros(threads * gap + page, np.uint8)
    start = -room.ctypes.data % page
    rows = room[start : start + threads * gap].view(np.int32)
    return rows.reshape(threads, gap // 4)[:, :LEVELS]


def levels_serial(pixels: np.ndarray) -> np.ndarray:
    """Count pixels (n,), uint8, by eight levels of grey."""
    counts = counters(1, SAFE)
    level_kernel(pixels, counts[0])
    return counts[0]


def levels_threads(
    pixels: np.ndarray, threads: int = 2, gap: int = SAFE
) -> np.ndarray:
    """Count the same; each thread counts its part for itself."""
    return levels_timed(pixels, threads, gap, rounds=1)[0]


def levels_timed(
    pixels: np.ndarray, threads: int = 2, gap: int = SAFE, rounds: int = 5
) -> tuple[np.ndarray, float]:
    """Count the same some times over; return the counts and the time.

    Returns
    -------
    counts : array of shape (8,), int32
    seconds : float
        Of the fastest round, from the first start to the last end.
    """
    counts = counters(threads, gap)
    cuts = bounds(len(pixels), threads)
    parts = [
        (pixels[a:b], mine) for (a, b), mine in zip(cuts, counts, strict=False)
    ]
    if not parts:
        return counts.sum(axis=0, dtype=np.int32), 0.0
    seconds = together(level_kernel, parts, rounds)
    return counts.sum(axis=0, dtype=np.int32) // rounds, seconds
