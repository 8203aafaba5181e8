"""Chance in PyTorch's loaders: three datasets and what they repeat."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from parallel_ai.one_machine.randomness.counters import at
from parallel_ai.one_machine.randomness.seeding import stream
from parallel_ai.toolbox.workers import LIMIT, start_context

# What torch itself uses where nothing is said; see `Processes` for risks.
METHOD = (
    "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
)


def shifted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move an image by up to three pixels each way: an augmentation."""
    rows, columns = rng.integers(-3, 4, 2)
    return np.roll(image, (rows, columns), (0, 1))


class Careless(Dataset[Any]):
    """Images, each shifted by a generator that the dataset holds.

    Every worker gets a copy of the dataset, and so of the generator.
    """

    def __init__(self, images: np.ndarray, seed: int = 0) -> None:
        self.images, self.rng = images, np.random.default_rng(seed)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)

    def __getitem__(self, item: int) -> tuple[int, np.ndarray, float]:
        """Give the item's number, the image, and a fingerprint of chance."""
        return item, shifted(self.images[item], self.rng), self.rng.random()


def reseed(worker: int) -> None:
    """Give a worker's dataset a generator of its own, new in each epoch.

    For `worker_init_fn`. The loader draws a base seed in each epoch from
    its `generator`; worker w is told base + w. So the base is the epoch's,
    and the worker's number a stream of it.
    """
    info: Any = get_worker_info()
    base = info.seed - worker
    info.dataset.rng = stream(base, worker)


class Careful(Careless):
    """The same, but the chance depends on seed, epoch and item alone."""

    def __init__(self, images: np.ndarray, seed: int = 0) -> None:
        super().__init__(images, seed)
        self.seed, self.epoch = seed, 0

    def __getitem__(self, item: int) -> tuple[int, np.ndarray, float]:
        """Give the item with its own generator of this epoch."""
        rng = at(self.seed, self.epoch, item)
        return item, shifted(self.images[item], rng), rng.random()


def epochs(
    dataset: Careless,
    workers: int,
    count: int = 2,
    init: Callable[[int], None] | None = None,
    seed: int = 0,
    batch: int = 8,
) -> list[dict[int, tuple[bytes, float]]]:
    """Load a dataset several times, shuffled by a seeded generator.

    Returns
    -------
    list of dict
        For each epoch, in the order of loading: item → (pixels of the
        shifted image, fingerprint of the chance it was shifted by).
    """
    context: Any = start_context(METHOD) if workers else None
    loader = DataLoader(
        dataset,
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        worker_init_fn=init,
        multiprocessing_context=context,
        generator=torch.Generator().manual_seed(seed),
        timeout=LIMIT if workers else 0,
    )
    seen = []
    for epoch in range(count):
        if isinstance(dataset, Careful):
            dataset.epoch = epoch
        seen.append(
            {
                int(item): (image.numpy().tobytes(), float(mark))
                for items, images, marks in loader
                for item, image, mark in zip(items, images, marks, strict=True)
            }
        )
    return seen


def used_twice(seen: list[dict[int, tuple[bytes, float]]]) -> int:
    """Count items, over all epochs, whose chance another one had before."""
    marks = [mark for epoch in seen for _, mark in epoch.values()]
    return len(marks) - len(set(marks))


def strictly(operation: Callable[[], Any]) -> str:
    """Run an operation where torch refuses those that may vary."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        return f"allowed: {operation()}"
    except RuntimeError as error:
        return f"refused: {str(error).partition(',')[0]}"
    finally:
        torch.use_deterministic_algorithms(before)
