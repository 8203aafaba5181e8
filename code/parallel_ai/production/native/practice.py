"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable, Sequence

import numpy as np

from parallel_ai.toolbox.exercises import exercise


def _check_struct_size(candidate: Callable[[Sequence[int]], int]) -> None:
    cases = [
        [], [4], [2, 4, 4], [1, 8], [8, 1], [4, 4, 2], [1, 2, 4, 8],
        [8, 4, 2, 1], [1, 1, 1], [2, 1, 8, 1],
    ]  # fmt: skip
    for sizes in cases:
        kinds = [(f"f{i}", f"V{size}") for i, size in enumerate(sizes)]
        kinds = [(n, {1: "i1", 2: "i2", 4: "i4", 8: "i8"}[s])
                 for (n, _), s in zip(kinds, sizes, strict=True)]  # fmt: skip
        expected = np.dtype(kinds, align=True).itemsize if kinds else 0
        got = candidate(sizes)
        assert got == expected, (
            f"struct_size({sizes}) returned {got}, a compiler says {expected}"
        )


@exercise(_check_struct_size)
def struct_size(sizes: Sequence[int]) -> int:
    """Compute what C's `sizeof` says of a struct.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of the members, in order: 1, 2, 4 or 8. Each member begins at
        a multiple of its own size, and so does the next struct of an array.

    Returns
    -------
    int
        0 without members.
    """
    end = 0
    for size in sizes:
        end += -end % size + size
    return end + -end % max(sizes, default=1)


def _check_rows_to_gain(
    candidate: Callable[[tuple[float, float], tuple[float, float]], float],
) -> None:
    for first, second, expected in (
        ((1e-6, 4e-6), (13e-6, 1e-6), 4.0),
        ((1e-6, 1e-6), (9e-6, 1e-6), math.inf),
        ((1e-6, 1e-6), (9e-6, 2e-6), math.inf),
        ((5e-6, 2e-6), (1e-6, 1e-6), 0.0),
        ((5e-6, 2e-6), (5e-6, 1e-6), 0.0),
    ):
        got = candidate(first, second)
        assert got == expected or abs(got - expected) < 1e-6, (
            f"rows_to_gain({first}, {second}) returned {got}, expected "
            f"{expected}"
        )


@exercise(_check_rows_to_gain)
def rows_to_gain(
    first: tuple[float, float], second: tuple[float, float]
) -> float:
    """Say from how many rows on the second way is as fast as the first.

    Parameters
    ----------
    first, second : tuple of float
        α, seconds a call, and β, seconds a row, of each way.

    Returns
    -------
    float
        Rows; 0 where the second is nowhere slower, infinity where it never
        catches up.
    """
    more, less = second[0] - first[0], first[1] - second[1]
    if more <= 0 and less >= 0:
        return 0.0
    return more / less if less > 0 else math.inf


def _check_rows_from(
    candidate: Callable[[bytes, int], np.ndarray],
) -> None:
    good = np.arange(6, dtype="<f4").reshape(2, 3)
    got = candidate(good.tobytes(), 3)
    kind = type(got).__name__
    assert isinstance(got, np.ndarray), f"rows_from returned no array: {kind}"
    assert got.dtype == np.float32, f"returned {got.dtype}"
    assert got.shape == (2, 3), f"6 numbers of 3 features: {got.shape}"
    assert (got == good).all(), f"returned {got.tolist()}"
    assert got.flags.c_contiguous, "rows must lie one after the other"
    empty = candidate(b"", 3)
    assert empty.shape == (0, 3), f"no bytes: shape {empty.shape}"
    nan, infinite = good.copy(), good.copy()
    nan[1, 1], infinite[0, 2] = np.nan, np.inf
    for what, data in (
        ("a byte too few", good.tobytes()[:-1]),
        ("half a row", good.tobytes()[:-4]),
        ("NaN", nan.tobytes()),
        ("infinity", infinite.tobytes()),
    ):
        try:
            candidate(data, 3)
        except ValueError:
            continue
        raise AssertionError(f"{what}: expected a ValueError")


@exercise(_check_rows_from)
def rows_from(data: bytes, features: int) -> np.ndarray:
    """Turn the bytes of a request into rows that may reach C.

    Parameters
    ----------
    data : bytes
        Numbers of float32, little-endian, one row after the other.
    features : int

    Returns
    -------
    array of float32, (rows, features)

    Raises
    ------
    ValueError
        Not a whole number of rows, or a number that is not finite.
    """
    if len(data) % (4 * features):
        raise ValueError(f"{len(data)} bytes are no rows of {features}")
    rows = np.frombuffer(data, "<f4").astype(np.float32)
    if not np.isfinite(rows).all():
        raise ValueError("a number is not finite")
    return rows.reshape(-1, features)
