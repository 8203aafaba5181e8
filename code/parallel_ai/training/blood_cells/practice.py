"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

import numpy as np

from parallel_ai.toolbox.exercises import exercise


def _check_auc(candidate: Callable[[list[float], list[float]], float]) -> None:
    for healthy, ill, expected in (
        ([0.1, 0.2], [0.3, 0.4], 1.0),
        ([0.1, 0.3], [0.2, 0.4], 0.75),
        ([0.5], [0.5], 0.5),
        ([0.2, 0.2, 0.9], [0.2], 1 / 3),
    ):
        got = candidate(list(healthy), list(ill))
        assert math.isclose(got, expected), (
            f"pair_auc({healthy}, {ill}) returned {got}, expected {expected}"
        )


@exercise(_check_auc)
def pair_auc(negatives: list[float], positives: list[float]) -> float:
    """Compute an AUC from its meaning, pair by pair.

    Parameters
    ----------
    negatives, positives : list of float
        Scores; at least one of each.

    Returns
    -------
    float
        The share of pairs of a negative and a positive in which the positive
        has the higher score. A tie is half a pair.
    """
    pairs = [(n, p) for n in negatives for p in positives]
    return sum((n < p) + (n == p) / 2 for n, p in pairs) / len(pairs)


def _check_balanced(candidate: Callable[[np.ndarray], float]) -> None:
    for rows, expected in (
        ([[90, 0], [10, 0]], 0.5),
        ([[8, 2], [1, 9]], 0.85),
        ([[1, 0, 0], [0, 2, 2], [0, 0, 4]], 2.5 / 3),
    ):
        got = candidate(np.array(rows))
        assert math.isclose(got, expected), (
            f"balanced_accuracy({rows}) returned {got}, expected {expected}: "
            "each class counts the same, however many cells it has"
        )


@exercise(_check_balanced)
def balanced_accuracy(table: np.ndarray) -> float:
    """Average the recall of the classes.

    Parameters
    ----------
    table : array of int, (classes, classes)
        Row: true class; column: answer. Each class has cells.

    Returns
    -------
    float
        The same for a majority of 90 % as for one of 50 %.
    """
    return float(np.mean(table.diagonal() / table.sum(1)))


def _check_order(candidate: Callable[[list[list[int]]], list[int]]) -> None:
    for count, size in ((6, 2), (7, 3), (2, 4), (1, 1)):
        shares = [list(range(rank, count, size)) for rank in range(size)]
        got = list(candidate([list(share) for share in shares]))
        assert got == list(range(count)), (
            f"in_order({shares}) returned {got}, expected {list(range(count))}"
        )


@exercise(_check_order)
def in_order(shares: list[list[int]]) -> list[int]:
    """Put the answers of ranks back into the order of the pictures.

    Parameters
    ----------
    shares : list of list of int
        Rank r of n has answered pictures r, r + n, r + 2n …; the shares may
        differ by one answer.

    Returns
    -------
    list of int
    """
    longest = max(len(share) for share in shares)
    return [
        share[row]
        for row in range(longest)
        for share in shares
        if row < len(share)
    ]
