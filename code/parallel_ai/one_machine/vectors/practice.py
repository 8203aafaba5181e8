"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from parallel_ai.toolbox.exercises import exercise
from parallel_ai.toolbox.stopwatch import readable_bytes


def _check_lines_touched(candidate: Callable[[int, int, int], int]) -> None:
    for count, stride, itemsize in product(
        (0, 1, 2, 9, 100), (1, 2, 3, 8, 16, 100), (1, 4, 8)
    ):
        places = range(0, count * stride * itemsize, stride * itemsize)
        expected = len({place // 64 for place in places})
        got = candidate(count, stride, itemsize)
        assert got == expected, (
            f"lines_touched({count}, {stride}, {itemsize}) returned {got!r}, "
            f"expected {expected}: the numbers begin at the bytes "
            f"{', '.join(map(str, places[:4]))} …"
        )


@exercise(_check_lines_touched)
def lines_touched(count: int, stride: int, itemsize: int) -> int:
    """Count the cache lines of 64 bytes that a strided array lies in.

    Parameters
    ----------
    count : int
        Numbers; the first one lies at the beginning of a line.
    stride : int
        Numbers from one to the next, at least 1.
    itemsize : int
        Bytes of a number: 1, 2, 4 or 8.

    Returns
    -------
    int
        Lines that have to come from memory. Find it without a loop.
    """
    step = stride * itemsize
    if count == 0 or step >= 64:
        return count
    return (count - 1) * step // 64 + 1


@dataclass(frozen=True)
class _Number:
    """A number that remembers how many roundings lie behind it at most."""

    value: int
    depth: int = 0

    def __add__(self, other: Any) -> "_Number":
        if isinstance(other, int) and other == 0:
            return self  # the 0 that `sum` begins with costs no rounding
        assert isinstance(other, _Number), (
            f"a number was added to {other!r}, which is none of them"
        )
        depth = 1 + max(self.depth, other.depth)
        return _Number(self.value + other.value, depth)

    __radd__ = __add__


def _check_pairwise_sum(candidate: Callable[[list[Any], int], Any]) -> None:
    for size in (1, 2, 3, 8, 9, 100, 1000):
        for block in (1, 8, 64):
            called = f"pairwise_sum(<{size} numbers>, {block})"
            numbers = [_Number(i * i) for i in range(size)]
            got = candidate(numbers, block)
            expected = sum(i * i for i in range(size))
            value = getattr(got, "value", got)
            assert value == expected, (
                f"{called} returned {value!r}, expected {expected}"
            )
            if size == 1:
                continue
            most = block + math.ceil(math.log2(size))
            assert got.depth <= most, (
                f"in {called} some number goes through {got.depth} "
                f"additions, expected at most {most}"
            )


@exercise(_check_pairwise_sum)
def pairwise_sum(values: list[float], block: int) -> float:
    """Add numbers up so that few roundings fall on any of them.

    Added one after the other, the first of n numbers goes through n - 1
    additions, and each rounds. Split the list into halves instead, and the
    halves again, until no more than `block` numbers are left, which are
    added one after the other. Then no number goes through more than
    ``block + log2(n)`` additions. NumPy's sums do so, with 128.

    Parameters
    ----------
    values : list of float
        At least one; only ``+`` may be used on them.
    block : int
        At least 1.

    Returns
    -------
    float
    """
    if len(values) <= block:
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total
    half = len(values) // 2
    return pairwise_sum(values[:half], block) + pairwise_sum(
        values[half:], block
    )


def _check_nearest_within(
    candidate: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
) -> None:
    rng = np.random.default_rng(0)
    for size in (0, 1, 7):
        queries = rng.integers(0, 9, (size, 3)).astype(np.float32)
        base = rng.random((5, 3), np.float32)
        _compare_nearest(candidate, queries, base, 60)
    queries = rng.random((400, 4), np.float32)
    base = rng.random((1000, 4), np.float32)
    room = 200_000
    tracemalloc.start()
    try:
        _compare_nearest(candidate, queries, base, room)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    what = "nearest_within(<400 queries>, <1000 pictures>, 200_000)"
    assert held <= room + base.nbytes + 40_000, (
        f"{what} held {readable_bytes(held)} at once; mind intermediate "
        "results: `-2 * table` is a second table"
    )
    assert held >= room // 2, (
        f"{what} used only {readable_bytes(held)}: the thinner the product, "
        "the less often each number is used"
    )


def _compare_nearest(
    candidate: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    queries: np.ndarray,
    base: np.ndarray,
    room: int,
) -> None:
    expected = [int(((base - q) ** 2).sum(axis=1).argmin()) for q in queries]
    got = np.asarray(candidate(queries, base, room)).tolist()
    assert got == expected, (
        f"for queries {queries.shape} and pictures {base.shape} with room "
        f"for {room} bytes came {got[:5]} …, expected {expected[:5]} …"
    )


@exercise(_check_nearest_within)
def nearest_within(
    queries: np.ndarray, base: np.ndarray, room: int
) -> np.ndarray:
    """Find the nearest picture for each query in little memory.

    The table of all distances has as many rows as there are queries, and
    may not fit. Take as many queries at a time as the table's room allows,
    at least one, and multiply matrices:
    ``|a - b|² = |a|² - 2 a·b + |b|²``, whose first term is the same for all
    pictures b.

    Parameters
    ----------
    queries : array of shape (q, pixels), float32
    base : array of shape (n, pixels), float32
        At least one picture.
    room : int
        Bytes for a table of distances, float32.

    Returns
    -------
    array of shape (q,), int64
        Index of the nearest picture.
    """
    squares = np.einsum("ij,ij->i", base, base)
    rows = max(1, room // (4 * len(base)))
    found = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), rows):
        part = slice(start, start + rows)
        table = queries[part] @ base.T
        table *= -2
        table += squares
        found[part] = table.argmin(axis=1)
        del table  # before the next one is made
    return found
