"""Which backend for which work: what lets go of the GIL, what is sent."""

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from parallel_ai.one_machine.loops.delays import (
    delay_interval,
    loop_parallel,
    loop_serial,
)
from parallel_ai.toolbox.stopwatch import Timing, compare
from parallel_ai.toolbox.workers import SAFE, bounds, start_context


def python_mean(path: str) -> float:
    """Mean departure delay of a month in minutes, in pure Python."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        total, count = 0.0, 0
        for row in csv.DictReader(file):
            if row["dep_delay"]:
                total += float(row["dep_delay"])
                count += 1
    return total / count


def scaled(images: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1: hardly any work, and a result four times as big.

    Parameters
    ----------
    images : array of shape (n, height, width), uint8

    Returns
    -------
    array of the same shape, float32
    """
    return np.divide(images, 255, dtype=np.float32)


def kinds(
    paths: Sequence[str], images: np.ndarray
) -> dict[str, tuple[Callable[[Any], Any], list[Any]]]:
    """Three loops, by what their bodies do: (function, items) of each."""
    parts = [images[a:b] for a, b in bounds(len(images), 12)]
    return {
        "compiled\n(medians)": (delay_interval, list(paths)),
        "pure Python\n(csv module)": (python_mean, list(paths)),
        "large results\n(scaled images)": (scaled, parts),
    }


def pool_context() -> Any:
    """Start method for joblib's "multiprocessing" backend.

    Left alone, it forks on Linux up to Python 3.13, which copies locks that
    other threads hold. joblib takes a context in place of a backend's name.
    """
    context: Any = start_context(SAFE)
    if SAFE == "forkserver":
        context.set_forkserver_preload([__package__])
    return context


def compare_backends(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    workers: int = 2,
    repeats: int = 3,
) -> dict[str, Timing]:
    """Time one loop serially and with each backend of joblib.

    The workers of loky are started before the clock; joblib keeps them
    between loops. A pool of "multiprocessing" is started for every loop.
    """
    items = list(items)
    loop = partial(loop_parallel, function, items, workers)
    loop(backend="loky")
    return compare(
        {
            "serial": partial(loop_serial, function, items),
            "threading": partial(loop, backend="threading"),
            "loky": partial(loop, backend="loky"),
            "multiprocessing": partial(loop, backend=pool_context()),
        },
        repeats=repeats,
        warmup=0,
    )


def batch_sizes(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int = 2
) -> list[int]:
    """Sizes of batch that joblib went through, as its own messages say."""
    text = io.StringIO()
    with redirect_stdout(text):  # from 50 on, joblib reports there
        Parallel(workers, verbose=50)(delayed(function)(i) for i in items)
    changes = re.findall(r"Setting batch_size=(\d+)", text.getvalue())
    return [1, *map(int, changes)]
