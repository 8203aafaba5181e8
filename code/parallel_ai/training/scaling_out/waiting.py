"""Ranks that wait for each other: the slowest sets the pace."""

import math
from collections.abc import Sequence

import numpy as np

from parallel_ai.training.collectives import Link
from parallel_ai.training.scaling_out.overlap import Work


def at_least(needed: int, size: int, chance: np.ndarray) -> np.ndarray:
    """Chance that at least so many of `size` independent ranks are done.

    Parameters
    ----------
    chance : array of float, any shape
        That one rank is done.
    """
    with np.errstate(divide="ignore"):
        yes, no = np.log(chance), np.log1p(-chance)
    total = np.zeros_like(chance)
    for missing in range(size - needed + 1):
        ways = math.lgamma(size + 1) - math.lgamma(missing + 1)
        ways -= math.lgamma(size - missing + 1)
        late = missing * no if missing else 0.0  # 0 times -inf is 0 here
        total += np.exp(ways + (size - missing) * yes + late)
    return np.minimum(total, 1.0)


def expected_wait(times: Sequence[float], size: int, spare: int = 0) -> float:
    """Average time until `size` ranks are done, of `size + spare`.

    Exact if each rank's time is drawn from the measured ones, independently.

    Parameters
    ----------
    times : sequence of float
        Measured times of one rank, any number.
    size : int
        Ranks that are waited for.
    spare : int
        Ranks more that compute too; the slowest are not waited for (Chen et
        al. 2016).

    Raises
    ------
    ValueError
        There is no time or no rank, or less than no spare.
    """
    if not len(times) or size < 1 or spare < 0:
        raise ValueError(
            f"{len(times)} times, {size} ranks, {spare} spare: need one "
            "time, one rank, and none less than none"
        )
    ordered = np.sort(np.asarray(times, float))
    below = np.arange(len(ordered) + 1) / len(ordered)
    done = at_least(size, size + spare, below)
    return float((ordered * np.diff(done)).sum())


def normal_wait(size: int, spread: float) -> float:
    """Average of the largest of normal times with mean 1 (Blom 1958).

    Parameters
    ----------
    spread : float
        Standard deviation, as a share of the mean.
    """
    from statistics import NormalDist

    if size == 1:
        return 1.0
    place = (size - math.pi / 8) / (size + 1 - math.pi / 4)
    return 1 + spread * NormalDist().inv_cdf(place)


def spread_for(size: int, efficiency: float) -> float:
    """Spread of normal step times that alone explains an efficiency."""
    return (1 / efficiency - 1) / (normal_wait(size, 1.0) - 1)


def shared_store(size: float, own: float, store: float) -> float:
    """Items a second of so many readers of one store.

    Each reader takes `own` seconds for an item by itself, and `store`
    seconds at the store, where in the worst case all others are before it.
    """
    return size / (own + size * store)


def fit_store(rates: dict[int, float]) -> tuple[float, float]:
    """Fit `own` and `store` to rates by readers; least squares."""
    sizes = np.array(list(rates), float)
    each = sizes / np.array(list(rates.values()))
    store, own = np.polyfit(sizes, each, 1)
    return float(own), float(store)


def with_input(step: float, loading: float, ahead: bool = True) -> float:
    """Seconds of a step whose batch must be loaded: before, or meanwhile."""
    return max(step, loading) if ahead else step + loading


def link_needed(work: Work, size: int, alpha: float) -> Link:
    """Find the slowest link whose ring just hides in the backward pass.

    Raises
    ------
    ValueError
        Latency alone takes longer than the backward pass.
    """
    backward = sum(one.backward for one in work.layers)
    left = backward - 2 * (size - 1) * alpha
    if left <= 0:
        raise ValueError("latency alone takes longer than the backward pass")
    return Link(alpha, left / (2 * (size - 1) / size * work.bytes))
