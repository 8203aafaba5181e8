"""How often machines die, and how often to save: formulas and a simulation."""

import math

import numpy as np


def survival(machines: float, hours: float, mean: float) -> float:
    """Chance that no machine of a job dies before the job is done.

    Parameters
    ----------
    machines : float
        At work at the same time.
    hours : float
        How long the job takes.
    mean : float
        Hours that one machine runs between two failures, on average.
        Failures are taken to come at any moment alike and independently.
    """
    return math.exp(-machines * hours / mean)


def young_interval(cost: float, mean: float) -> float:
    """Time of work after which to save, so that the least is lost in all.

    Parameters
    ----------
    cost : float
        Time that one saving takes.
    mean : float
        Time between two failures of the *job*, far longer than `cost`.

    Notes
    -----
    Young, "A first order approximation to the optimum checkpoint interval",
    1974.
    """
    return math.sqrt(2 * cost * mean)


def expected_time(
    work: float, interval: float, cost: float, mean: float, restart: float
) -> float:
    """Time that a job takes on average if it saves after each interval.

    Parameters
    ----------
    work : float
        Time that the job would take without failures and without saving.
    interval : float
        Work between two savings.
    cost, restart : float
        Time of a saving; time from a failure to working again.
    mean : float
        Time between two failures of the job; all in the same unit.

    Notes
    -----
    Daly, "A higher order estimate of the optimum checkpoint interval for
    restart dumps", 2006: exact for failures that come at random.
    """
    each = math.exp(restart / mean) * math.expm1((interval + cost) / mean)
    return mean * each * work / interval


def simulate(
    work: float,
    interval: float,
    cost: float,
    mean: float,
    restart: float,
    runs: int = 200,
    seed: int = 0,
) -> np.ndarray:
    """Play a job with failures at random moments, many times.

    Parameters
    ----------
    work, interval, cost, mean, restart : float
        As for `expected_time`; whole intervals only.

    Returns
    -------
    array of shape (runs,)
        Time that each run took.
    """
    rng = np.random.default_rng(seed)
    left = np.full(runs, round(work / interval))  # intervals to be done
    clock = np.zeros(runs)
    down = np.zeros(runs, bool)
    while (busy := left > 0).any():
        failure = rng.exponential(mean, runs)
        need = np.where(down, restart, interval + cost)
        survived = failure >= need
        clock += busy * np.minimum(failure, need)
        left -= busy & survived & ~down
        down = ~survived
    return clock
