"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable, Mapping, Sequence

from parallel_ai.toolbox.exercises import exercise


def _check_wall_time(
    candidate: Callable[[float, int, float, float], float],
) -> None:
    for work, threads, quota, period, expected in (
        (0.05, 1, 1.0, 0.1, 0.05),
        (0.05, 2, 2.0, 0.1, 0.025),
        (0.3, 4, 2.0, 0.1, 0.125),
        (0.1, 4, 2.0, 0.1, 0.025),
        (0.3, 8, 1.0, 0.1, 0.2125),
        (0.3, 1, 1.0, 0.1, 0.3),
        (0.06, 1, 0.5, 0.1, 0.11),
        (0.05, 1, 0.5, 0.1, 0.05),
    ):
        got = candidate(work, threads, quota, period)
        assert abs(got - expected) < 1e-9, (
            f"wall_time({work}, {threads}, {quota}, {period}) returned {got}, "
            f"expected {expected}"
        )


@exercise(_check_wall_time)
def wall_time(work: float, threads: int, quota: float, period: float) -> float:
    """Predict how long a request takes that begins with a fresh period.

    All threads run at once, until the period's quota is used up; then they
    stand still until the next period begins.

    Parameters
    ----------
    work : float
        Seconds of CPU time, above 0, divided evenly among the threads.
    threads : int
        At most as many as the machine has CPUs.
    quota : float
        CPUs' worth of time, so that a period grants quota * period seconds.
    period : float
        Seconds.

    Returns
    -------
    float
        Seconds from begin to end.
    """
    budget = quota * period
    if threads <= quota:
        return work / threads
    used_up = math.ceil(work / budget - 1e-9) - 1
    return used_up * period + (work - used_up * budget) / threads


def _check_still_to_do(
    candidate: Callable[
        [Sequence[str], Mapping[str, tuple[str, int]], Mapping[str, int], str],
        list[str],
    ],
) -> None:
    rows = {"a": 10, "b": 20, "c": 5}
    for outputs, version, expected in (
        ({}, "v1", ["a", "b", "c"]),
        ({"a": ("v1", 10)}, "v1", ["b", "c"]),
        ({"a": ("v1", 10), "b": ("v1", 19)}, "v1", ["b", "c"]),
        ({"a": ("v1", 10), "c": ("v2", 5)}, "v2", ["a", "b"]),
        ({n: ("v1", k) for n, k in rows.items()}, "v1", []),
        ({n: ("v1", k) for n, k in rows.items()}, "v2", ["a", "b", "c"]),
        ({"z": ("v1", 10)}, "v1", ["a", "b", "c"]),
    ):
        got = candidate(["a", "b", "c"], outputs, rows, version)
        assert got == expected, (
            f"still_to_do(['a', 'b', 'c'], {outputs}, {rows}, {version!r}) "
            f"returned {got}, expected {expected}"
        )


@exercise(_check_still_to_do)
def still_to_do(
    parts: Sequence[str],
    outputs: Mapping[str, tuple[str, int]],
    rows: Mapping[str, int],
    version: str,
) -> list[str]:
    """List the partitions that a job that is started again must do.

    Parameters
    ----------
    parts : sequence of str
        Names, in order.
    outputs : mapping of str to (str, int)
        For each output that is there, the model's version and its rows.
    rows : mapping of str to int
        Rows of each partition.
    version : str
        Of the model with which all is to be scored.

    Returns
    -------
    list of str
        In the order of `parts`: those whose output is not there, was made by
        another version, or has another number of rows.
    """
    return [
        part for part in parts if outputs.get(part) != (version, rows[part])
    ]


def _check_desired_replicas(
    candidate: Callable[[int, float, float, float], int],
) -> None:
    for ready, load, target, tolerance, expected in (
        (4, 0.7, 0.7, 0.1, 4),
        (4, 0.76, 0.7, 0.1, 4),
        (4, 0.78, 0.7, 0.1, 5),
        (4, 1.4, 0.7, 0.1, 8),
        (4, 0.64, 0.7, 0.1, 4),
        (4, 0.35, 0.7, 0.1, 2),
        (10, 0.6, 0.7, 0.1, 9),
        (3, 0.0, 0.7, 0.1, 1),
        (1, 0.71, 0.7, 0.0, 2),
    ):
        got = candidate(ready, load, target, tolerance)
        assert got == expected, (
            f"desired_replicas({ready}, {load}, {target}, {tolerance}) "
            f"returned {got}, expected {expected}"
        )


@exercise(_check_desired_replicas)
def desired_replicas(
    ready: int, load: float, target: float, tolerance: float
) -> int:
    """Do what Kubernetes' horizontal autoscaler does with one metric.

    Parameters
    ----------
    ready : int
        Replicas that run, at least 1.
    load, target : float
        Mean utilisation of each, as it is and as it should be.
    tolerance : float
        If load / target is no further from 1 than this, nothing changes.

    Returns
    -------
    int
        ready * load / target, rounded up; at least 1.
    """
    ratio = load / target
    if abs(ratio - 1) <= tolerance + 1e-12:
        return ready
    return max(1, math.ceil(ready * ratio - 1e-9))
