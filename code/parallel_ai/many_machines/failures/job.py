"""A job of some seconds on real data: a year of flights as a graph."""

from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
from dask.delayed import Delayed, delayed

from parallel_ai.many_machines.failures.journal import noted


def read_delays(path: str) -> np.ndarray:
    """Minutes by which the flights of a month left late, from its file."""
    delays = pd.read_csv(path, usecols=["dep_delay"])["dep_delay"]
    return delays.dropna().to_numpy(np.float32)


def draw_medians(
    delays: np.ndarray, month: int, batch: int, draws: int
) -> np.ndarray:
    """Medians of a month's flights, drawn anew with replacement.

    The generator is made from the names of month and batch. Whoever draws
    this batch, and however often, gets the same numbers.
    """
    rng = np.random.default_rng([2013, month, batch])
    size = len(delays)
    return np.array(
        [np.median(delays[rng.integers(0, size, size)]) for _ in range(draws)]
    )


def interval(*batches: np.ndarray) -> np.ndarray:
    """Lower bound, middle and upper bound that hold 95 % of the medians."""
    return np.quantile(np.concatenate(batches), [0.025, 0.5, 0.975])


def month_interval(
    item: tuple[int, str], batches: int = 4, draws: int = 100
) -> np.ndarray:
    """Interval of one month, by its number and file, in one piece."""
    month, path = item
    delays = read_delays(path)
    return interval(
        *(draw_medians(delays, month, b, draws) for b in range(batches))
    )


def year_serial(
    paths: list[str], batches: int = 4, draws: int = 100
) -> list[np.ndarray]:
    """Interval of each month, one after the other, in this process."""
    months = enumerate(paths, 1)
    return [month_interval(item, batches, draws) for item in months]


def year_graph(
    paths: list[str],
    journal: str | Path,
    batches: int = 4,
    draws: int = 100,
) -> list[Delayed]:
    """Describe the same as a graph: read, draw in batches, take an interval.

    Returns
    -------
    list of Delayed
        The interval of each month. Its tasks leave their names in the
        journal: ``read-01``, ``draw-01-0``, ``interval-01``.
    """
    run = uuid4().hex[:8]  # the same names, another run: other keys

    def task(name, function, *args):  # type: ignore[no-untyped-def]
        call = delayed(noted, pure=False)
        key = f"{name}-{run}"
        return call(str(journal), name, function, *args, dask_key_name=key)

    found = []
    for month, path in enumerate(paths, 1):
        delays = task(f"read-{month:02}", read_delays, path)
        drawn = [
            task(f"draw-{month:02}-{b}", draw_medians, delays, month, b, draws)
            for b in range(batches)
        ]
        found.append(task(f"interval-{month:02}", interval, *drawn))
    return found
