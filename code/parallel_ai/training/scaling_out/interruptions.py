"""Large jobs are interrupted: how often, and what it costs.

The chapter on failures, with all of Dask, is imported where it is called:
ranks import this package, too, and need none of it.
"""

import numpy as np


def mean_of_one(interruptions: int, days: float, ranks: int) -> float:
    """Hours that one rank runs between two interruptions, on average."""
    return 24 * days * ranks / interruptions


def best_interval(cost: float, mean: float) -> float:
    """Find the interval with the least `expected_time`, by bisection.

    Its derivative vanishes where (1 - x / m) exp((x + c) / m) = 1.
    """

    def slope(interval: float) -> float:
        grown = np.exp(-(interval + cost) / mean)
        return interval / mean - 1 + grown

    low, high = 0.0, mean  # the interval is always below the mean
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return (low + high) / 2


def wasted(
    cost: float, mean: float, restart: float, interval: float | None = None
) -> float:
    """Share of a job's time that is not work; at the best interval."""
    from parallel_ai.many_machines.failures import expected_time

    interval = interval or best_interval(cost, mean)
    return 1 - 1 / expected_time(1.0, interval, cost, mean, restart)


def simulate_writing(
    work: float,
    interval: float,
    pause: float,
    write: float,
    mean: float,
    restart: float,
    runs: int = 200,
    seed: int = 0,
) -> np.ndarray:
    """Play a job whose checkpoints are written while it goes on.

    After each interval it stops for `pause`, to copy its state; the copy is
    safe `write` later. A failure goes back to the last safe one.

    Parameters
    ----------
    work, interval, mean, restart : float
        As for `parallel_ai.many_machines.failures.simulate`, which is the
        case of no `write`.

    Returns
    -------
    array of shape (runs,)
        Time that each run took.
    """
    rng = np.random.default_rng(seed)
    left = np.full(runs, round(work / interval))
    clock, down = np.zeros(runs), np.zeros(runs, bool)
    every = interval + pause
    while (busy := left > 0).any():
        failure = rng.exponential(mean, runs)
        need = np.where(down, restart, left * every)
        ended = failure >= need
        clock += busy * np.minimum(failure, need)
        safe = np.maximum(failure - write, 0) // every
        kept = np.where(ended, left, np.minimum(safe, left)).astype(int)
        left -= np.where(busy & ~down, kept, 0)
        down = ~ended
    return clock


def elastic_share(
    nodes: int, mean: float, repair: float, stop: float
) -> float:
    """Average speed of a job that goes on with the nodes that are left.

    Parameters
    ----------
    mean : float
        Time between two failures of one node.
    repair : float
        Time until a node is back.
    stop : float
        Time that all lose when one leaves, and again when it comes back.
    """
    there = mean / (mean + repair)
    changes = 2 * nodes / (mean + repair)  # of the whole job, per time
    return there * max(0.0, 1 - changes * stop)


def young_share(cost: float, mean: float) -> float:
    """Share that Young's interval loses, to first order: sqrt(2 c / m)."""
    from parallel_ai.many_machines.failures import young_interval

    interval = young_interval(cost, mean)
    return cost / interval + interval / (2 * mean)
