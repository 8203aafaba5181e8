"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

from parallel_ai.toolbox.exercises import exercise


def _check_weights(
    candidate: Callable[[list[float], list[int]], float],
) -> None:
    for means, counts in (
        ([1.0, 3.0], [1, 1]),
        ([1.0, 4.0], [2, 1]),
        ([0.5, 9.0, 2.0], [30, 0, 10]),
    ):
        total = sum(m * n for m, n in zip(means, counts, strict=True))
        expected = total / sum(counts)
        got = candidate(list(means), list(counts))
        assert math.isclose(got, expected), (
            f"whole_mean({means}, {counts}) returned {got}, expected "
            f"{expected}: each picture counts once, not each rank"
        )


@exercise(_check_weights)
def whole_mean(means: list[float], counts: list[int]) -> float:
    """Combine the means of ranks into the mean over all pictures.

    Parameters
    ----------
    means : list of float
        Of each rank's share.
    counts : list of int
        Pictures of each rank; some may have none, not all.

    Returns
    -------
    float
    """
    pairs = zip(means, counts, strict=True)
    return sum(mean * count for mean, count in pairs) / sum(counts)


def _check_indices(
    candidate: Callable[[int, int, int], list[int]],
) -> None:
    for count, size in ((10, 2), (10, 4), (3, 5), (0, 2)):
        parts = [list(candidate(count, r, size)) for r in range(size)]
        seen = sorted(number for part in parts for number in part)
        assert seen == list(range(count)), (
            f"{count} pictures, {size} ranks: together they see {seen}"
        )
        lengths = [len(part) for part in parts]
        assert max(lengths) - min(lengths) <= 1, (
            f"{count} pictures, {size} ranks: shares of {lengths} pictures"
        )


@exercise(_check_indices)
def shares_of(count: int, rank: int, size: int) -> list[int]:
    """Say which pictures a rank evaluates: each once, none twice.

    Parameters
    ----------
    count : int
        Pictures, numbered from 0.
    rank, size : int

    Returns
    -------
    list of int
        The shares of two ranks differ by at most one picture.
    """
    return list(range(rank, count, size))


def _check_buckets(
    candidate: Callable[[list[int], int], list[list[int]]],
) -> None:
    cases: list[tuple[list[int], int, list[list[int]]]] = [
        ([5, 5, 5], 10, [[2, 1], [0]]),
        ([100, 1, 1], 10, [[2, 1, 0]]),
        ([1, 1, 100], 10, [[2], [1, 0]]),
        ([4], 1, [[0]]),
    ]
    for sizes, full, expected in cases:
        got = [list(one) for one in candidate(list(sizes), full)]
        assert got == expected, (
            f"fill_buckets({sizes}, {full}) returned {got}, expected "
            f"{expected}"
        )


@exercise(_check_buckets)
def fill_buckets(sizes: list[int], full: int) -> list[list[int]]:
    """Put gradients into buckets, the last layer's first.

    Parameters
    ----------
    sizes : list of int
        Bytes of each layer's gradient, the first layer's first; at least one.
    full : int
        A bucket that holds as much or more takes nothing further.

    Returns
    -------
    list of list of int
        Numbers of the layers in each bucket.
    """
    buckets: list[list[int]] = [[]]
    held = 0
    for layer in reversed(range(len(sizes))):
        if held >= full:
            buckets.append([])
            held = 0
        buckets[-1].append(layer)
        held += sizes[layer]
    return buckets
