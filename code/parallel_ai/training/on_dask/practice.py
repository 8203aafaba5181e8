"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

from parallel_ai.toolbox.exercises import exercise


def _check_ranks(
    candidate: Callable[[list[str]], list[tuple[int, int]]],
) -> None:
    for hosts, expected in (
        (["a", "b", "a"], [(0, 0), (2, 0), (1, 1)]),
        (["b", "a"], [(1, 0), (0, 0)]),
        (["a"], [(0, 0)]),
        (["c", "c", "b", "c"], [(1, 0), (2, 1), (0, 0), (3, 2)]),
    ):
        got = [tuple(one) for one in candidate(list(hosts))]
        assert got == expected, (
            f"number_ranks({hosts}) returned {got}, expected {expected}: "
            "hosts in the order of their names, ranks of one host in a row"
        )


@exercise(_check_ranks)
def number_ranks(hosts: list[str]) -> list[tuple[int, int]]:
    """Give each worker a rank, and a number among those of its host.

    Parameters
    ----------
    hosts : list of str
        Of each worker.

    Returns
    -------
    list of tuple
        For each worker, rank and local rank. Hosts come in the order of
        their names, workers of one host in the order of the list.
    """
    order = sorted(range(len(hosts)), key=lambda worker: hosts[worker])
    return [
        (order.index(worker), hosts[:worker].count(host))
        for worker, host in enumerate(hosts)
    ]


def _check_newest(
    candidate: Callable[[list[tuple[int, str]]], str],
) -> None:
    for failures, expected in (
        ([(0, "raised"), (1, "died")], [1]),
        ([(2, "raised"), (0, "raised")], [2]),
        ([(0, "raised"), (1, "died"), (2, "lost")], [2]),
        ([(3, "died"), (1, "died"), (0, "raised")], [1, 3]),
    ):
        got = list(candidate(list(failures)))
        assert got == expected, (
            f"who_is_guilty({failures}) returned {got}, expected {expected}"
        )


@exercise(_check_newest)
def who_is_guilty(failures: list[tuple[int, str]]) -> list[int]:
    """Say which ranks failed, and not because another one had.

    Parameters
    ----------
    failures : list of tuple
        Rank and "raised", "died" or "lost" (with its worker), in the order
        in which they were heard; at least one.

    Returns
    -------
    list of int
        All that were lost; if none was, all that died; in the order of
        ranks. If there is neither, the one that was heard first to raise.
    """
    for kind in ("lost", "died"):
        if found := sorted(rank for rank, how in failures if how == kind):
            return found
    return [failures[0][0]]


def _check_batch(candidate: Callable[[float, float, float], float]) -> None:
    for fixed, each, talk in ((1.0, 0.1, 2.0), (0.0, 1.0, 4.0), (3.0, 2.0, 5)):
        got = candidate(fixed, each, talk)
        expected = 2 * talk / each
        assert math.isclose(got, expected), (
            f"break_even({fixed}, {each}, {talk}) returned {got}, expected "
            f"{expected}: both ranks pay the fixed part in full"
        )


@exercise(_check_batch)
def break_even(fixed: float, each: float, talk: float) -> float:
    """Say from which batch on two ranks are faster than one.

    Parameters
    ----------
    fixed, each : float
        Seconds of a step: `fixed`, and `each` more for every example.
    talk : float
        Seconds that it takes to sum the gradients.

    Returns
    -------
    float
        The batch for which both take equally long.
    """
    return 2 * talk / each
