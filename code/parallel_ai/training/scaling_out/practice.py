"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

from parallel_ai.toolbox.exercises import exercise


def _check_sent(
    candidate: Callable[[list[float], list[float]], float],
) -> None:
    for ready, takes, expected in (
        ([1.0, 2.0, 3.0], [0.5, 0.5, 0.5], 3.5),
        ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0], 7.0),
        ([1.0, 5.0], [2.0, 1.0], 6.0),
        ([0.0, 0.0, 4.0], [1.0, 1.0, 1.0], 5.0),
    ):
        got = candidate(list(ready), list(takes))
        assert math.isclose(got, expected), (
            f"all_sent({ready}, {takes}) returned {got}, expected {expected}"
        )


@exercise(_check_sent)
def all_sent(ready: list[float], takes: list[float]) -> float:
    """Say when the last bucket has been reduced.

    Parameters
    ----------
    ready : list of float
        When each bucket is full, in rising order; at least one.
    takes : list of float
        How long the link needs for each. It carries one at a time.

    Returns
    -------
    float
    """
    free = 0.0
    for full, seconds in zip(ready, takes, strict=True):
        free = max(free, full) + seconds
    return free


def _check_crossings(candidate: Callable[[list[int]], int]) -> None:
    for nodes, expected in (
        ([0, 0, 0, 0, 1, 1, 1, 1], 1),
        ([0, 1, 0, 1, 0, 1, 0, 1], 4),
        ([0, 0, 1, 1, 0, 0], 1),
        ([0, 0, 1, 1, 0, 0, 2, 2], 2),
        ([0, 0, 0], 0),
    ):
        got = candidate(list(nodes))
        assert got == expected, (
            f"ring_crossings({nodes}) returned {got}, expected {expected}"
        )


@exercise(_check_crossings)
def ring_crossings(nodes: list[int]) -> int:
    """Count the flows of a ring that leave the same node, at most.

    Rank r sends to rank r + 1, the last one to rank 0. Flows that leave a
    node share its network card.

    Parameters
    ----------
    nodes : list of int
        Of each rank, in the order of the ring: the node where it runs.

    Returns
    -------
    int
        Of the node that most flows leave.
    """
    after = nodes[1:] + nodes[:1]
    leaving = [one for one, to in zip(nodes, after, strict=True) if one != to]
    return max(map(leaving.count, leaving), default=0)


def _check_largest(
    candidate: Callable[[float, float, float, float], int],
) -> None:
    for cost, one, restart, most in (
        (60.0, 5e8, 300.0, 0.1),
        (5.0, 5e8, 300.0, 0.1),
        (60.0, 5e8, 300.0, 0.03),
        (600.0, 1e6, 300.0, 0.01),
    ):
        got = candidate(cost, one, restart, most)
        right = largest_job(cost, one, restart, most)
        assert got == right, (
            f"largest_job({cost}, {one:g}, {restart}, {most}) returned {got}, "
            f"expected {right}"
        )


@exercise(_check_largest)
def largest_job(cost: float, one: float, restart: float, most: float) -> int:
    """Find the largest job, a power of two, that wastes no more than allowed.

    Save at Young's interval, sqrt(2 * cost * mean), and count by
    `expected_time(work, interval, cost, mean, restart)` of `failures`.

    Parameters
    ----------
    cost : float
        Seconds of a checkpoint.
    one : float
        Seconds between two failures of one rank; of n ranks, it is an n-th.
    restart : float
        Seconds from a failure to work.
    most : float
        Share of the time that may be lost: 1 - work / time.

    Returns
    -------
    int
        Ranks: 1, 2, 4, …, or 0 if even one rank wastes more.
    """
    from parallel_ai.many_machines.failures import expected_time

    ranks = 1
    while True:
        mean = one / ranks
        interval = math.sqrt(2 * cost * mean)
        if 1 - 1 / expected_time(1, interval, cost, mean, restart) > most:
            return ranks // 2
        ranks *= 2
