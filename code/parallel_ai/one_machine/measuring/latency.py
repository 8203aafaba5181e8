"""Latency: how long one thing takes when nothing else can be done."""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from statistics import median

import numpy as np
from numba import njit

from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import measure

LINE = 64  # bytes that memory delivers at once, on nearly all machines
PAGE = 4096


def ring(size: int, seed: int = 0) -> np.ndarray:
    """Make a random tour of all cache lines of an array of `size` bytes.

    Returns
    -------
    array of int64
        The first number of each line is the index of the next line's.
        Whoever follows them comes back to the start after the last line,
        and no hardware can guess the way.
    """
    lines = max(1, size // LINE)
    order = np.random.default_rng(seed).permutation(lines) * (LINE // 8)
    following = np.zeros(lines * (LINE // 8), dtype=np.int64)
    following[order] = np.roll(order, -1)
    return following


@njit(nogil=True)
def chase_kernel(following: np.ndarray, steps: int) -> int:  # pragma: no cover
    """Follow a ring: no load can start before the last one has ended."""
    place = 0
    for _ in range(steps):
        place = following[place]
    return place


def load_latency(size: int, steps: int = 400_000) -> float:
    """Seconds that one load takes in a working set of `size` bytes."""
    following = ring(size)
    chase_kernel(following, size // LINE)  # into the caches, if it fits
    timing = measure(chase_kernel, following, steps, repeats=3)
    return min(timing.seconds) / steps


def latencies() -> dict[str, float]:
    """Measure latencies of this machine, in seconds, from small to large."""
    found = {
        f"load from cache, level {level}": load_latency(size // 4)
        for level, size in machine.caches().items()
    }
    found["load from memory"] = load_latency(
        min(256_000_000, machine.memory() // 8)
    )
    found["call of a Python function"] = measure(_nothing).median
    found["start and end of a thread"] = measure(_thread).median
    found |= _file_reads()
    found["start and end of Python"] = measure(_python, repeats=3).median
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _nothing() -> None:
    pass


def _thread() -> None:
    thread = threading.Thread(target=_nothing)
    thread.start()
    thread.join()


def _python() -> None:
    subprocess.run(
        [sys.executable, "-I", "-c", "pass"], check=True, timeout=60
    )


def _file_reads(pages: int = 2048, reads: int = 64) -> dict[str, float]:
    """Read pages of a file: from memory, then from where the file lies."""
    offsets = np.random.default_rng(0).permutation(pages)[:reads] * PAGE
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pages"
        path.write_bytes(os.urandom(pages * PAGE))
        with path.open("rb", buffering=0) as file:

            def read_one(offset: int) -> None:
                file.seek(offset)
                file.read(PAGE)

            def seconds() -> float:
                return median(
                    measure(read_one, int(o), repeats=1, warmup=0).median
                    for o in offsets
                )

            found = {"read of a cached file, 4 KiB": seconds()}
            if hasattr(os, "posix_fadvise"):  # Linux: forget these pages
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                found["read of a file on disk, 4 KiB"] = seconds()
    return found
