"""Threads on arrays: who lets go of the GIL, and what that brings."""

import hashlib
import json
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from parallel_ai.one_machine.processes import merge, summarise
from parallel_ai.one_machine.threads.races import together
from parallel_ai.toolbox.workers import bounds


@numba.njit(nogil=True)
def tally(pixels: np.ndarray, counts: np.ndarray) -> None:
    """Add the pixels' histogram to `counts`, without holding the GIL.

    Parameters
    ----------
    pixels : array of shape (n,), uint8
    counts : array of shape (256,), int64
        Each pixel loads one of them, adds one, and stores it.
    """
    for pixel in pixels:
        counts[pixel] += 1


def histogram_serial(pixels: np.ndarray) -> np.ndarray:
    """Count how often each of the 256 grey levels occurs."""
    counts = np.zeros(256, np.int64)
    tally(pixels, counts)
    return counts


def histogram_shared(pixels: np.ndarray, threads: int = 2) -> np.ndarray:
    """Count the same wrongly: all threads in one array, with no lock."""
    counts = np.zeros(256, np.int64)
    with ThreadPoolExecutor(threads) as pool:
        for start, stop in bounds(len(pixels), threads):
            pool.submit(tally, pixels[start:stop], counts)
    return counts


def histogram_threads(pixels: np.ndarray, threads: int = 2) -> np.ndarray:
    """Count the same rightly: each thread in an array of its own."""
    with ThreadPoolExecutor(threads) as pool:
        parts = [pixels[a:b] for a, b in bounds(len(pixels), threads)]
        return sum(
            pool.map(histogram_serial, parts), start=np.zeros(256, np.int64)
        )


def mean_threads(values: np.ndarray, threads: int = 2) -> float:
    """Mean of many numbers; each thread reads its part where it lies.

    The same parts and the same merge as in the chapter *Processes*, but
    nothing is sent: a part is a view of the caller's array.

    Raises
    ------
    ValueError
        There are no numbers.
    """
    parts = [values[a:b] for a, b in bounds(len(values), threads)]
    with ThreadPoolExecutor(threads) as pool:
        return merge(pool.map(summarise, parts))


def at_once(job: Callable[[], object], threads: int) -> float:
    """Seconds until `threads` threads have each done the whole job."""
    start = time.perf_counter()
    together(*[job] * threads)
    return time.perf_counter() - start


def operations(images: np.ndarray) -> dict[str, Callable[[], object]]:
    """Ordinary work on images, each for some ten milliseconds.

    Parameters
    ----------
    images : array of shape (n, 28, 28), uint8
        At least 20,000 of them.
    """
    raw = images[:20_000].tobytes()
    real = images[:20_000].astype(np.float32)
    size = images[0].nbytes
    each = [raw[i : i + size] for i in range(0, len(raw), size)]
    every_tenth = np.arange(0, len(real), 10).repeat(10)
    return {
        "loop over pixels": lambda: sum(p > 127 for p in raw[:500_000]),
        "json.dumps": lambda: json.dumps(list(raw[:300_000])),
        "mean of each image": lambda: [image.mean() for image in real[:4000]],
        "sha256 of each image": lambda: [hashlib.sha256(i) for i in each],
        "sha256 of all images": lambda: hashlib.sha256(raw),
        "zlib.compress": lambda: zlib.compress(raw[:500_000]),
        "np.sort": lambda: np.sort(images[:2000], axis=None),
        "np.sqrt": lambda: np.sqrt(real),
        "np.mean": lambda: real.mean(),
        "take by index": lambda: real[every_tenth],
        "singular values": lambda: np.linalg.svd(real[:400], compute_uv=False),
    }
