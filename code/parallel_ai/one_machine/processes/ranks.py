"""The compute-bound twin: same pixels, much more arithmetic for each."""

from collections.abc import Iterable
from concurrent.futures import as_completed
from typing import Any

import numpy as np
from tqdm import tqdm

from parallel_ai.toolbox.workers import LIMIT, SAFE, executor


def effective_rank(images: np.ndarray, energy: float = 0.99) -> np.ndarray:
    """Fewest singular values that hold a share of each image's energy.

    Parameters
    ----------
    images : array of shape (n, height, width)
        Real numbers; converted to float32.
    energy : float
        Share of the sum of squared singular values, above 0, at most 1.

    Returns
    -------
    array of shape (n,), int
        1 for stripes, more for richer images; 1 for a black image too.

    Notes
    -----
    By Eckart and Young (1936) no image of that rank is closer. The singular
    values cost O(height · width²) operations an image.
    """
    singular = np.linalg.svd(images.astype(np.float32), compute_uv=False)
    held = np.cumsum(singular**2, axis=1)
    return 1 + np.sum(held < energy * held[:, -1:], axis=1)


def ranks_serial(images: np.ndarray, chunk: int = 1024) -> np.ndarray:
    """Ranks of all images by one process, in chunks that fit its cache."""
    ranks = np.empty(len(images), int)
    for start in range(0, len(images), chunk):
        cut = slice(start, start + chunk)
        ranks[cut] = effective_rank(images[cut])
    return ranks


def ranks_executor(
    images: np.ndarray,
    workers: int = 2,
    method: str = SAFE,
    chunk: int = 1024,
    progress: bool = False,
) -> np.ndarray:
    """Ranks of all images, `chunk` images a task.

    Parameters
    ----------
    images : array of shape (n, height, width)
        Send bytes, convert in the worker: uint8 is a quarter of float32.
    progress : bool
        Show a bar that moves when a task is done, in whatever order.

    Returns
    -------
    array of shape (n,), int
        In the order of the images.
    """
    ranks = np.empty(len(images), int)
    with executor(workers, method) as team:
        tasks = {}
        for start in range(0, len(images), chunk):
            cut = slice(start, start + chunk)
            tasks[team.submit(effective_rank, images[cut])] = cut
        done: Iterable[Any] = as_completed(tasks, timeout=LIMIT)
        if progress:
            done = tqdm(done, total=len(tasks), mininterval=1, unit="task")
        for task in done:
            ranks[tasks[task]] = task.result()
    return ranks
