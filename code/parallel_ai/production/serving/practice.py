"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable, Sequence

from parallel_ai.production.serving.waiting import mmc_wait
from parallel_ai.toolbox.exercises import exercise

Wait = Callable[[float, float, int], float]


def _check_servers_needed(
    candidate: Callable[[Wait, float, float, float], int],
) -> None:
    for rate, service, limit, expected in (
        (0.5, 1.0, 1.0, 1),
        (0.5, 1.0, 0.99, 2),
        (0.9, 1.0, 1.0, 2),
        (10.0, 1.0, 0.1, 13),
        (100.0, 0.1, 0.001, 16),
        (3.0, 1.0, 100.0, 4),
    ):
        got = candidate(mmc_wait, rate, service, limit)
        assert got == expected, (
            f"servers_needed(mmc_wait, {rate}, {service}, {limit}) returned "
            f"{got}, expected {expected}"
        )


@exercise(_check_servers_needed)
def servers_needed(
    wait: Wait, rate: float, service: float, limit: float
) -> int:
    """Find the least number of servers whose mean wait keeps a limit.

    Parameters
    ----------
    wait : callable
        Such as this chapter's `mmc_wait`: called with rate, service and
        servers, it returns the mean wait, infinite if they are too few.
    rate : float
        Arrivals a second.
    service : float
        Mean seconds of work for each.
    limit : float
        Seconds that one may wait, in the mean; above 0.

    Returns
    -------
    int
    """
    servers = 1
    while wait(rate, service, servers) > limit:
        servers += 1
    return servers


def _check_quantile_of(
    candidate: Callable[[Sequence[float], Sequence[int], float], float],
) -> None:
    for bounds, counts, share, expected in (
        ([1.0, 2.0, 4.0], [10, 0, 0], 0.5, 0.5),
        ([1.0, 2.0, 4.0], [5, 5, 0], 0.75, 1.5),
        ([1.0, 2.0, 4.0], [0, 0, 8], 0.25, 2.5),
        ([0.1, 0.2], [90, 10], 0.9, 0.1),
        ([0.1, 0.2], [90, 10], 0.99, 0.19),
        ([1.0, 2.0], [1, 1], 1.0, 2.0),
    ):
        got = candidate(bounds, counts, share)
        assert abs(got - expected) < 1e-9, (
            f"quantile_of({bounds}, {counts}, {share}) returned {got}, "
            f"expected {expected}"
        )


@exercise(_check_quantile_of)
def quantile_of(
    bounds: Sequence[float], counts: Sequence[int], share: float
) -> float:
    """Estimate a quantile from a histogram, as Prometheus does.

    Parameters
    ----------
    bounds : sequence of float
        Upper bounds of the buckets, ascending; the first begins at 0.
    counts : sequence of int
        How many fell into each bucket, not cumulated.
    share : float
        Above 0, at most 1; 0.99 for the 99th percentile.

    Returns
    -------
    float
        Within its bucket, by a straight line: all in it are taken to lie
        evenly between its bounds.
    """
    wanted, below, low = share * sum(counts), 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count and below + count >= wanted * (1 - 1e-12):
            return low + (bound - low) * (wanted - below) / count
        below, low = below + count, bound
    return low


def _check_batches_of(
    candidate: Callable[[Sequence[float], int, float], list[int]],
) -> None:
    for arrivals, most, wait, expected in (
        ([], 4, 1.0, []),
        ([0.0], 4, 1.0, [1]),
        ([0.0, 0.5, 1.0, 1.5], 4, 1.0, [3, 1]),
        ([0.0, 0.1, 0.2, 0.3, 0.4], 2, 1.0, [2, 2, 1]),
        ([0.0, 1.0, 2.0], 8, 0.0, [1, 1, 1]),
        ([0.0, 0.0, 0.0], 8, 0.0, [3]),
        ([0.0, 0.9, 1.8, 2.7], 8, 1.0, [2, 2]),
    ):
        got = candidate(arrivals, most, wait)
        assert got == expected, (
            f"batches_of({arrivals}, {most}, {wait}) returned {got}, "
            f"expected {expected}"
        )


@exercise(_check_batches_of)
def batches_of(
    arrivals: Sequence[float], max_batch: int, max_wait: float
) -> list[int]:
    """Say how requests are put into batches, if the model takes no time.

    A batch is closed when it is full, or when its first request has waited
    for `max_wait`; who comes at that very moment still belongs to it.

    Parameters
    ----------
    arrivals : sequence of float
        Seconds, ascending.
    max_batch : int
        At least 1.
    max_wait : float

    Returns
    -------
    list of int
        Size of each batch, in order.
    """
    sizes: list[int] = []
    due = -math.inf
    for moment in arrivals:
        if moment <= due and sizes[-1] < max_batch:
            sizes[-1] += 1
        else:
            sizes.append(1)
            due = moment + max_wait
    return sizes
