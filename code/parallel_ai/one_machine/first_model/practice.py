"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

import numpy as np

from parallel_ai.toolbox.exercises import exercise

Sums = tuple[int, float, float, float, float]


def _check_adjusted(candidate: Callable[[float, int, int], float]) -> None:
    cases = [
        ((0.5, 11, 1), 0.4444444444444444),
        ((1.0, 100, 3), 1.0),
        ((0.0, 12, 5), -0.8333333333333333),
    ]
    for arguments, expected in cases:
        got = candidate(*arguments)
        assert math.isclose(got, expected, abs_tol=1e-12), (
            f"adjusted_r_squared{arguments} is {got}, expected {expected:.6g}"
        )


@exercise(_check_adjusted)
def adjusted_r_squared(value: float, rows: int, columns: int) -> float:
    """Take back what R² gains from columns that mean nothing.

    Parameters
    ----------
    value : float
        R² on the rows that the model was fitted with.
    rows, columns : int
        Rows, and columns besides the constant; rows > columns + 1.

    Returns
    -------
    float
        One minus the unexplained share of the variance, where both
        variances are divided by their degrees of freedom: rows - columns
        - 1 for what remains, rows - 1 for the whole.
    """
    remains = (1 - value) / (rows - columns - 1)
    return 1 - remains * (rows - 1)


def _check_rounds(candidate: Callable[[int, int], float]) -> None:
    for folds, workers, expected in [
        (5, 1, 1.0),
        (5, 2, 5 / 3),
        (5, 5, 5.0),
        (5, 8, 5.0),
        (8, 3, 8 / 3),
    ]:
        got = candidate(folds, workers)
        assert math.isclose(got, expected), (
            f"most_speedup({folds}, {workers}) is {got}, "
            f"expected {expected:.4g}: how many rounds do the folds need?"
        )


@exercise(_check_rounds)
def most_speedup(folds: int, workers: int) -> float:
    """Bound the speed-up of a cross-validation whose folds take equal time.

    Parameters
    ----------
    folds : int
        At least 1.
    workers : int
        At least 1, each on a CPU of its own.

    Returns
    -------
    float
        Time of one worker divided by the time of all.
    """
    return folds / -(-folds // workers)


def _sums(x: np.ndarray, y: np.ndarray) -> Sums:
    """Count, means, and sums of products of deviations from the means."""
    if not len(x):
        return 0, 0.0, 0.0, 0.0, 0.0
    dx, dy = x - x.mean(), y - y.mean()
    return (
        len(x),
        float(x.mean()),
        float(y.mean()),
        float(dx @ dx),
        float(dx @ dy),
    )


def _check_merge(candidate: Callable[[Sums, Sums], Sums]) -> None:
    rng = np.random.default_rng(1)
    for sizes in [(3, 5), (1, 1), (0, 4), (4, 0), (0, 0), (1000, 10)]:
        x = rng.normal(1e6, 1, sum(sizes))
        y = rng.normal(0, 1, sum(sizes))
        one = _sums(x[: sizes[0]], y[: sizes[0]])
        other = _sums(x[sizes[0] :], y[sizes[0] :])
        got, expected = candidate(one, other), _sums(x, y)
        assert isinstance(got, tuple), (
            f"merge_lines returned {got!r}: no tuple"
        )
        assert len(got) == 5, (
            f"merge_lines returned {len(got)} numbers, expected 5"
        )
        names = ("count", "mean of x", "mean of y", "xx", "xy")
        for name, a, b in zip(names, got, expected, strict=True):
            assert math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6), (
                f"parts of {sizes[0]} and {sizes[1]} rows: {name} is {a}, "
                f"expected {b}"
            )


@exercise(_check_merge)
def merge_lines(one: Sums, other: Sums) -> Sums:
    """Merge what two workers know about a line, without losing digits.

    Parameters
    ----------
    one, other : tuple
        Count of the points; mean of x; mean of y; sum of the squares of
        x minus its mean; sum of the products of x minus its mean and y
        minus its mean. A part may be empty: (0, 0, 0, 0, 0).

    Returns
    -------
    tuple
        The same five numbers of all points together. (Slope is the fifth
        divided by the fourth.)
    """
    count = one[0] + other[0]
    if count == 0:
        return one
    share = other[0] / count
    dx, dy = other[1] - one[1], other[2] - one[2]
    between = one[0] * share
    return (
        count,
        one[1] + share * dx,
        one[2] + share * dy,
        one[3] + other[3] + between * dx * dx,
        one[4] + other[4] + between * dx * dy,
    )
