"""A loop whose body is worth a process: a year of flights, month by month."""

from collections.abc import Callable, Iterable, Sized
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def delay_interval(path: str, resamples: int = 100) -> np.ndarray:
    """Median departure delay of a month, and how sure we are of it.

    The bootstrap draws the month's flights anew, with replacement, and
    looks how much the median moves.

    Parameters
    ----------
    path : str
        A CSV file, perhaps compressed, with a column ``dep_delay`` in
        minutes; flights that never left have none.
    resamples : int
        How often to draw.

    Returns
    -------
    array of shape (3,)
        Lower bound, median, upper bound of the 95 % interval, in minutes.

    Notes
    -----
    Efron, "Bootstrap methods: another look at the jackknife", 1979. Every
    call starts from the same seed, so the result does not depend on who
    computes it; the chapter *Randomness* tells when that is not enough.
    """
    delays = pd.read_csv(path, usecols=["dep_delay"])["dep_delay"]
    known = delays.dropna().to_numpy(np.float32)
    draw = np.random.default_rng(2013)
    medians = [
        np.median(known[draw.integers(0, len(known), len(known))])
        for _ in range(resamples)
    ]
    low, high = np.quantile(medians, [0.025, 0.975])
    return np.array([low, np.median(known), high])


def loop_serial(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> list[Result]:
    """Apply a function to all items, one after the other."""
    return [function(item) for item in items]


def loop_parallel(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int = 2,
    progress: bool = False,
    **options: Any,
) -> list[Result]:
    """Apply a function to all items by joblib.

    Parameters
    ----------
    workers : int
        At least 1; with 1 the loop runs in this process.
    progress : bool
        Show a bar that grows as results arrive, in the order of the items.
        Not with the backend "multiprocessing", which yields nothing early.
    **options
        For `joblib.Parallel`, such as ``backend="threading"``.

    Returns
    -------
    list
        In the order of the items, whoever was first.

    Raises
    ------
    Exception
        The first that `function` raised. Other results are lost.
    """
    calls = (delayed(function)(item) for item in items)
    if not progress:
        return Parallel(workers, **options)(calls)
    team = Parallel(workers, return_as="generator", **options)
    total = len(items) if isinstance(items, Sized) else None
    return list(tqdm(team(calls), total=total, mininterval=1))


def dismiss() -> None:
    """End joblib's waiting worker processes now, not after 300 idle seconds.

    Also deletes the files of the large arrays that they were sent. The next
    loop starts new workers. Does no harm if there are none.
    """
    team = get_reusable_executor(reuse=True)
    end = getattr(team, "terminate", team.shutdown)  # joblib's own, or loky's
    end(kill_workers=True)
