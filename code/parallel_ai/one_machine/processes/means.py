"""The mean of many numbers, divided among processes in several ways."""

import math
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from parallel_ai.one_machine.processes.sharing import (
    MappedArray,
    SharedArray,
    mapped,
    share,
)
from parallel_ai.toolbox.workers import (
    LIMIT,
    SAFE,
    bounds,
    executor,
    start_context,
)

Numbers = Sequence[float] | np.ndarray
FORK = "fork" if "fork" in multiprocessing.get_all_start_methods() else SAFE

_kept: Numbers = ()  # every worker has its own
_held = ExitStack()  # what it holds open until it ends


@dataclass(frozen=True)
class Part:
    """What a worker sends back: two numbers, however long its part was."""

    count: int
    mean: float


def summarise(values: Numbers) -> Part:
    """Count and mean of a list or an array of real numbers.

    Raises
    ------
    ValueError
        There are no numbers: their mean is not defined.
    """
    count = len(values)
    if count == 0:
        raise ValueError("the mean of no numbers is not defined")
    if isinstance(values, np.ndarray):
        return Part(count, float(np.mean(values, dtype=np.float64)))
    return Part(count, sum(values) / count)


def merge(parts: Iterable[Part]) -> float:
    """Mean of all numbers, from the parts' means weighted by their counts.

    Raises
    ------
    ValueError
        There are no numbers.
    """
    found = list(parts)
    total = sum(part.count for part in found)
    if total == 0:
        raise ValueError("the mean of no numbers is not defined")
    return math.fsum(part.count * part.mean for part in found) / total


def mean_serial(values: Numbers) -> float:
    """Mean by one process: the oracle of all the others."""
    return summarise(values).mean


def mean_pool(values: Numbers, workers: int = 2, method: str = SAFE) -> float:
    """Mean by `multiprocessing.Pool`; the parts are pickled and sent."""
    parts = [values[a:b] for a, b in bounds(len(values), workers)]
    with start_context(method).Pool(workers) as pool:
        found = pool.map_async(summarise, parts, chunksize=1).get(LIMIT)
        pool.close()
        pool.join()
    return merge(found)


def mean_executor(
    values: Numbers, workers: int = 2, method: str = SAFE
) -> float:
    """Mean by `ProcessPoolExecutor`; the parts are pickled and sent."""
    parts = [values[a:b] for a, b in bounds(len(values), workers)]
    with executor(workers, method) as team:
        return merge(team.map(summarise, parts, timeout=LIMIT))


def keep(source: Numbers | SharedArray | MappedArray) -> None:
    """First act of a worker: hold on to the numbers for all its tasks."""
    global _kept
    if isinstance(source, (SharedArray, MappedArray)):
        _kept = _held.enter_context(source.open())
    else:
        _kept = source


def summarise_kept(cut: tuple[int, int]) -> Part:
    """Count and mean of a part of the numbers that this worker holds."""
    return summarise(_kept[slice(*cut)])


def mean_kept(team: Executor, count: int, workers: int = 2) -> float:
    """Mean of numbers that the workers of an open executor already hold.

    A task is two bounds, its result two numbers: some 100 bytes.
    """
    cuts = bounds(count, workers)
    return merge(team.map(summarise_kept, cuts, timeout=LIMIT))


def mean_inherited(
    values: Numbers, workers: int = 2, method: str = FORK
) -> float:
    """Mean of numbers that each worker has from its birth.

    Under "fork" a worker is born with its parent's memory and nothing is
    sent. Under the others *all* the numbers are pickled for *each* worker.
    """
    with executor(workers, method, keep, (values,)) as team:
        return mean_kept(team, len(values), workers)


def mean_placed(
    array: SharedArray | MappedArray, workers: int = 2, method: str = SAFE
) -> float:
    """Mean of numbers that lie where every process can read them."""
    with executor(workers, method, keep, (array,)) as team:
        return mean_kept(team, array.shape[0], workers)


def mean_shared(
    values: np.ndarray, workers: int = 2, method: str = SAFE
) -> float:
    """Mean by way of shared memory, the copy into it included."""
    with share(values) as array:
        return mean_placed(array, workers, method)


def mean_mapped(
    values: np.ndarray, workers: int = 2, method: str = SAFE
) -> float:
    """Mean by way of a memory-mapped file, its writing included."""
    with mapped(values) as array:
        return mean_placed(array, workers, method)
