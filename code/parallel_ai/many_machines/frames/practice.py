"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from parallel_ai.toolbox.exercises import exercise

Group = tuple[int, float | None, float | None]


def _check_prune(
    candidate: Callable[[Sequence[Group], float, float], list[int]],
) -> None:
    groups: list[Group] = [
        (10, 0, 9), (10, 10, 19), (10, None, None), (10, 15, 40), (10, 7, 7),
    ]  # fmt: skip
    cases: list[tuple[Sequence[Group], float, float, list[int]]] = [
        ([], 0, 9, []),
        (groups, 0, 100, [0, 1, 2, 3, 4]),
        (groups, 12, 13, [1, 2]),
        (groups, 9, 10, [0, 1, 2]),
        (groups, 19, 19, [1, 2, 3]),
        (groups, 41, 50, [2]),
        (groups, 8, 8, [0, 2]),
        (groups, 20, 30, [2, 3]),
        (groups, math.inf, math.inf, [2]),
    ]
    for given, low, high, expected in cases:
        got = candidate(given, low, high)
        assert list(got) == expected, (
            f"prune({given}, {low}, {high}) returned {got}, "
            f"expected {expected}"
        )


@exercise(_check_prune)
def prune(groups: Sequence[Group], low: float, high: float) -> list[int]:
    """Say which row groups may hold a value from low to high, both included.

    Parameters
    ----------
    groups : sequence of (rows, least, greatest)
        What a Parquet file's footer tells of one column. Least and greatest
        are None where the writer kept no statistics.
    low, high : float
        low <= high.

    Returns
    -------
    list of int
        Numbers of the row groups that have to be read, in their order.
    """
    return [
        number
        for number, (_, least, greatest) in enumerate(groups)
        if least is None
        or greatest is None
        or (least <= high and greatest >= low)
    ]


def _check_quantile(
    candidate: Callable[[np.ndarray, list[np.ndarray], float], float],
) -> None:
    edges = np.array([0.0, 10.0, 20.0, 40.0])
    one, other = np.array([6, 0, 0]), np.array([0, 2, 2])
    cases = [
        ([one], 0.5, 10.0),
        ([other], 0.5, 20.0),
        ([one, other], 0.5, 10.0),
        ([other, one], 0.7, 20.0),
        ([one, other], 0.8, 20.0),
        ([one, other, other], 0.9, 40.0),
        ([one, other], 1.0, 40.0),
        ([one * 0, one], 1.0, 10.0),
    ]
    for counts, share, expected in cases:
        shown = [part.tolist() for part in counts]
        before = [part.copy() for part in counts]
        got = candidate(edges, counts, share)
        assert got == expected, (
            f"quantile_of({edges.tolist()}, {shown}, {share}) returned "
            f"{got}, expected {expected}"
        )
        assert all(map(np.array_equal, before, counts)), (
            "quantile_of changed the counts that it was given"
        )
    got = candidate(edges, [one * 0], 0.5)
    assert math.isnan(got), f"no values at all: returned {got}, expected nan"


@exercise(_check_quantile)
def quantile_of(
    edges: np.ndarray, counts: list[np.ndarray], share: float
) -> float:
    """Bound a quantile of all values, from one histogram of each part.

    Parameters
    ----------
    edges : array of shape (bins + 1,)
        Increasing. Bin i holds the values above edges[i], up to and with
        edges[i + 1].
    counts : list of arrays of shape (bins,)
        Values in each bin: one array a part, at least one.
    share : float
        Above 0, at most 1; the median is 0.5.

    Returns
    -------
    float
        The least edge such that at least this share of the values of all
        parts are not above it; nan if there are no values.
    """
    below = np.cumsum(np.sum(counts, axis=0))
    if below[-1] == 0:
        return math.nan
    return float(edges[1:][np.searchsorted(below, share * below[-1])])


def _check_shuffle(
    candidate: Callable[[list[pd.DataFrame], str, int], list[pd.DataFrame]],
) -> None:
    rng = np.random.default_rng(0)
    names = np.array(["AA", "B6", "DL", "EV", "UA", "WN"])
    for sizes, count in (([7, 0, 5], 3), ([4], 1), ([2, 2], 5), ([0], 2)):
        parts = [
            pd.DataFrame(
                {
                    "carrier": rng.choice(names, n),
                    "delay": rng.integers(9, size=n),
                }
            )
            for n in sizes
        ]
        called = f"shuffle(parts of {sizes} rows, 'carrier', {count})"
        got = candidate([part.copy() for part in parts], "carrier", count)
        assert len(got) == count, (
            f"{called} returned {len(got)} parts, expected {count}"
        )
        for part in got:
            assert list(part.columns) == ["carrier", "delay"], (
                f"{called} returned a part with columns {list(part.columns)}"
            )

        def rows(frames: list[pd.DataFrame]) -> list[tuple]:
            return sorted(
                row
                for f in frames
                for row in f.itertuples(index=False, name=None)
            )

        assert rows(got) == rows(parts), (
            f"{called} returned other rows than it was given"
        )
        homes: dict[str, int] = {}
        for number, part in enumerate(got):
            for name in part["carrier"].unique():
                assert name not in homes, (
                    f"{called} has {name!r} in parts {homes[name]} and {number}"
                )
                homes[name] = number
    many = [pd.DataFrame({"carrier": [f"N{i}" for i in range(300)]})]
    filled = [len(part) for part in candidate(many, "carrier", 3)]
    assert min(filled) > 50, (
        f"300 different keys in 3 parts became parts of {filled} rows"
    )
    again = candidate(many[::-1], "carrier", 3)
    assert [len(part) for part in again] == filled, (
        "a second call put the same keys elsewhere"
    )


@exercise(_check_shuffle)
def shuffle(
    parts: list[pd.DataFrame], key: str, count: int
) -> list[pd.DataFrame]:
    """Bring all rows of equal key into one part: split, send, concatenate.

    What goes where must depend on the key alone, in every process the same:
    `pandas.util.hash_array` does, Python's `hash` of a text does not.

    Parameters
    ----------
    parts : list of DataFrame
        At least one, all with the same columns; some may have no rows.
    key : str
        A column of text, without missing values.
    count : int
        Parts that come out, at least 1.

    Returns
    -------
    list of DataFrame
        All rows; equal keys in one part, many keys in about equal parts.
    """
    pieces: list[list[pd.DataFrame]] = [[] for _ in range(count)]
    for part in parts:
        hashed = pd.util.hash_array(part[key].to_numpy(dtype=object))
        place = hashed % np.uint64(count)
        for number in range(count):
            pieces[number].append(part[place == number])
    return [pd.concat(piece) for piece in pieces]
